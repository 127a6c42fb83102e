#include <stdlib.h>

#include "runner/search/search.h"
#include "support/cmocka_all.h"

/* A space of `count` categorical parameters p0, p1, ... with the numbers 0 ... values[i] - 1. */
static void categorical_space(bn_space *space, const int *values, int count)
{
    memset(space, 0, sizeof *space);
    space->count = count;
    for (int i = 0; i < count; i++) {
        bn_parameter *p = &space->params[i];
        p->name[0] = 'p';
        p->name[1] = (char)('0' + i);
        p->dist = BN_DIST_CATEGORICAL;
        p->value_count = values[i];
        p->values = calloc((size_t)values[i], sizeof *p->values);
        for (int v = 0; v < values[i]; v++) {
            p->values[v] = bn_setting_of_number(BN_SETTING_INT, v);
        }
    }
}

static bn_search *open_search(const bn_space *space, const char *method, const char *order,
                              uint64_t seed)
{
    bn_search *search = NULL;
    bn_error err = {0};
    bn_search_options options = {.method = method, .order = order, .seed = seed};
    assert_int_equal(bn_search_open(&search, space, &options, &err), BN_OK);
    return search;
}

static bn_point suggest(bn_search *search, int64_t index)
{
    bn_point point;
    bn_error err = {0};
    assert_int_equal(bn_search_suggest(search, index, NULL, 0, &point, &err), BN_OK);
    return point;
}

static void test_grid_counts_with_the_last_parameter_fastest(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){2, 3}, 2);
    bn_search *search = open_search(&space, "grid", NULL, 0);
    assert_int_equal(bn_search_count(search), 6);
    for (int i = 0; i < 6; i++) {
        bn_point point = suggest(search, i);
        assert_int_equal((int)point.values[0].number, i / 3);
        assert_int_equal((int)point.values[1].number, i % 3);
    }
    bn_search_close(search);
    bn_space_release(&space);
}

static void test_grid_says_equal_points_once(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){3, 2}, 2);
    space.params[0].values[2] = space.params[0].values[0];
    bn_search *search = open_search(&space, "grid", NULL, 0);
    bn_search_tally tally;
    bn_search_tally_of(search, &tally);
    assert_int_equal(bn_search_count(search), 4);
    assert_int_equal(tally.duplicates, 2);
    bn_search_close(search);
    bn_space_release(&space);
}

static void test_a_shuffled_grid_has_the_same_points_in_an_order_of_its_seed(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){10, 10}, 2);
    bn_search *a = open_search(&space, "grid", "shuffle", 1);
    bn_search *b = open_search(&space, "grid", "shuffle", 2);
    bool seen[100] = {false};
    int moved = 0;
    for (int i = 0; i < 100; i++) {
        bn_point p = suggest(a, i), q = suggest(b, i);
        int cell = (int)(p.values[0].number * 10 + p.values[1].number);
        assert_false(seen[cell]);
        seen[cell] = true;
        moved += !bn_point_equal(&p, &q);
    }
    assert_true(moved > 50);
    bn_search_close(a);
    bn_search_close(b);
    bn_space_release(&space);
}

static void real_space(bn_space *space)
{
    memset(space, 0, sizeof *space);
    space->count = 2;
    space->params[0] = (bn_parameter){
        .name = "lr", .dist = BN_DIST_LOG_UNIFORM_VALUES, .min = 1e-4, .max = 1e-1, .q = 1};
    space->params[1] = (bn_parameter){.name = "wd", .dist = BN_DIST_UNIFORM, .max = 1, .q = 1};
}

static void test_random_points_do_not_depend_on_what_was_asked_before(void **state)
{
    (void)state;
    bn_space space;
    real_space(&space);
    bn_search *forward = open_search(&space, "random", NULL, 42);
    bn_search *direct = open_search(&space, "random", NULL, 42);
    bn_point last;
    for (int i = 0; i <= 30; i++) last = suggest(forward, i);
    bn_point same = suggest(direct, 30);
    assert_true(bn_point_equal(&last, &same));
    bn_search_close(forward);
    bn_search_close(direct);
}

static void test_another_parameter_leaves_random_values_as_they_were(void **state)
{
    (void)state;
    bn_space two, one;
    real_space(&two);
    real_space(&one);
    one.count = 1;
    bn_search *a = open_search(&two, "random", NULL, 7);
    bn_search *b = open_search(&one, "random", NULL, 7);
    for (int i = 0; i < 20; i++) {
        assert_true(suggest(a, i).values[0].number == suggest(b, i).values[0].number);
    }
    bn_search_close(a);
    bn_search_close(b);
}

static void test_random_search_ends_when_a_finite_space_is_exhausted(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){2, 3}, 2);
    bn_search *search = open_search(&space, "random", NULL, 3);
    for (int i = 0; i < 6; i++) (void)suggest(search, i);
    bn_point point;
    bn_error err = {0};
    assert_int_equal(bn_search_suggest(search, 6, NULL, 0, &point, &err), BN_ENOENT);
    bn_search_close(search);
    bn_space_release(&space);
}

static void test_a_grid_over_a_continuous_parameter_is_refused_with_the_way_out(void **state)
{
    (void)state;
    bn_space space;
    real_space(&space);
    bn_search *search = NULL;
    bn_error err = {0};
    bn_search_options options = {.method = "grid"};
    assert_int_equal(bn_search_open(&search, &space, &options, &err), BN_EINVAL);
    assert_string_equal(err.text, "a grid cannot vary 'lr' (log_uniform_values): give grid_points "
                                  "or values, or use method = \"random\"");
    assert_null(search);
}

static bn_expr *formula(const char *text)
{
    bn_expr *expr = NULL;
    bn_error err = {0};
    assert_int_equal(bn_expr_compile(&expr, text, &err), BN_OK);
    return expr;
}

static void test_a_parameter_is_absent_where_its_condition_is_false(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){2, 3}, 2);
    space.params[1].when = formula("p0 == 1");
    bn_search *search = open_search(&space, "grid", NULL, 0);
    assert_int_equal(bn_search_count(search), 4); /* once without p1, three times with it */
    assert_int_equal(suggest(search, 0).values[1].kind, BN_SETTING_NONE);
    for (int i = 1; i < 4; i++) assert_true(suggest(search, i).values[1].number == i - 1);
    bn_search_close(search);
    bn_space_release(&space);
}

static void test_constraints_leave_points_out_and_are_counted(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){4, 4}, 2);
    space.constraints[0] = (bn_constraint){.name = "order", .expr = formula("p0 < p1")};
    space.constraints[1] = (bn_constraint){.name = "sum", .expr = formula("p0 + p1 < 4")};
    space.constraint_count = 2;
    bn_search *search = open_search(&space, "grid", NULL, 0);
    bn_search_tally tally;
    bn_search_tally_of(search, &tally);
    assert_int_equal(bn_search_count(search), 4); /* 01 02 03 12 */
    assert_int_equal(tally.by_constraint[0], 10);
    assert_int_equal(tally.by_constraint[1], 2);
    assert_int_equal(tally.rejected, 12);
    bn_search_close(search);
    bn_space_release(&space);
}

static void test_zipped_parameters_go_in_step(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){2, 3, 3}, 3);
    space.params[1].zip = space.params[2].zip = 1;
    const char *methods[] = {"grid", "random", "sobol"};
    for (size_t m = 0; m < 3; m++) {
        bn_search *search = open_search(&space, methods[m], NULL, 5);
        for (int i = 0; i < 6; i++) {
            bn_point point = suggest(search, i);
            assert_true(point.values[1].number == point.values[2].number);
        }
        if (m == 0) assert_int_equal(bn_search_count(search), 6);
        bn_search_close(search);
    }
    bn_space_release(&space);
}

static void test_derived_values_follow_the_point(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){3}, 1);
    space.params[1] = (bn_parameter){.name = "twice", .derived = formula("2 * p0 + half")};
    space.params[2] = (bn_parameter){.name = "half_of", .derived = formula("twice / p0")};
    space.count = 3;
    space.fixed = calloc(1, sizeof *space.fixed);
    space.fixed[0] = (bn_fixed){.name = "half", .value = bn_setting_parse("0.5")};
    space.fixed_count = 1;
    bn_search *search = open_search(&space, "grid", NULL, 0);
    bn_search_tally tally;
    bn_search_tally_of(search, &tally);
    assert_int_equal(tally.undefined, 1); /* p0 = 0: its half_of is infinite */
    assert_true(suggest(search, 0).values[1].number == 2.5);
    assert_true(suggest(search, 1).values[2].number == 2.25);
    bn_search_close(search);
    bn_space_release(&space);
}

static void test_enqueued_points_come_first_and_only_once(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){3, 3}, 2);
    bn_point wanted = {.count = 2};
    wanted.values[0] = space.params[0].values[2];
    wanted.values[1] = space.params[1].values[1];
    const char *orders[] = {"grid", "shuffle", "sobol"};
    for (size_t k = 0; k < 3; k++) {
        bn_search *search = NULL;
        bn_error err = {0};
        bn_search_options options = {
            .method = "grid", .order = orders[k], .enqueue = &wanted, .enqueue_count = 1};
        assert_int_equal(bn_search_open(&search, &space, &options, &err), BN_OK);
        assert_int_equal(bn_search_count(search), 9);
        bn_point first = suggest(search, 0);
        assert_true(bn_point_equal(&first, &wanted));
        for (int i = 1; i < 9; i++) {
            bn_point point = suggest(search, i);
            assert_false(bn_point_equal(&point, &wanted));
        }
        bn_search_close(search);
    }
    bn_space_release(&space);
}

static void test_a_sobol_order_covers_a_grid_evenly_from_the_start(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){8, 8}, 2);
    bn_search *search = open_search(&space, "grid", "sobol", 3);
    int quarters[4] = {0};
    for (int i = 0; i < 16; i++) {
        bn_point point = suggest(search, i);
        quarters[(point.values[0].number >= 4) * 2 + (point.values[1].number >= 4)]++;
    }
    for (int q = 0; q < 4; q++) assert_int_equal(quarters[q], 4);
    assert_int_equal(bn_search_count(search), 64);
    bn_search_close(search);
    bn_space_release(&space);
}

static void check_holds(const bn_space *space, const bn_point *point)
{
    bn_point again = *point;
    assert_int_equal(bn_space_complete(space, &again), -1);
    for (int k = 0; k < space->count; k++) {
        bool absent = k == 5 && point->values[0].number == 0;
        if (absent) assert_int_equal(point->values[k].kind, BN_SETTING_NONE);
        if (!absent && !bn_parameter_holds(&space->params[k], &point->values[k])) {
            fail_msg("%s cannot be %s", bn_dist_name(space->params[k].dist), point->values[k].text);
        }
    }
}

/* Every distribution, zips, conditions and constraints: whatever is suggested could have been. */
static void test_any_point_satisfies_its_space(void **state)
{
    (void)state;
    bn_space space;
    categorical_space(&space, (int[]){3, 2, 2}, 3);
    space.params[1].zip = space.params[2].zip = 1;
    for (int d = BN_DIST_INT_UNIFORM; d <= BN_DIST_Q_BETA; d++) {
        bn_parameter *p = &space.params[space.count++];
        *p = (bn_parameter){.min = 1, .max = 3, .sigma = 1, .a = 2, .b = 3, .q = 0.25};
        p->dist = (bn_dist)d;
        p->name[0] = (char)('a' + d);
    }
    space.params[5].when = formula("p0 > 0");
    space.constraints[0] = (bn_constraint){.name = "c", .expr = formula("p0 != 1 or d < 2")};
    space.constraint_count = 1;
    const char *methods[] = {"random", "sobol"};
    for (size_t m = 0; m < 2; m++) {
        bn_search *search = open_search(&space, methods[m], NULL, 11);
        for (int i = 0; i < 1000; i++) {
            bn_point point = suggest(search, i);
            check_holds(&space, &point);
        }
        bn_search_close(search);
    }
    bn_space_release(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid_counts_with_the_last_parameter_fastest),
        cmocka_unit_test(test_grid_says_equal_points_once),
        cmocka_unit_test(test_a_shuffled_grid_has_the_same_points_in_an_order_of_its_seed),
        cmocka_unit_test(test_random_points_do_not_depend_on_what_was_asked_before),
        cmocka_unit_test(test_another_parameter_leaves_random_values_as_they_were),
        cmocka_unit_test(test_random_search_ends_when_a_finite_space_is_exhausted),
        cmocka_unit_test(test_a_grid_over_a_continuous_parameter_is_refused_with_the_way_out),
        cmocka_unit_test(test_a_parameter_is_absent_where_its_condition_is_false),
        cmocka_unit_test(test_constraints_leave_points_out_and_are_counted),
        cmocka_unit_test(test_zipped_parameters_go_in_step),
        cmocka_unit_test(test_derived_values_follow_the_point),
        cmocka_unit_test(test_enqueued_points_come_first_and_only_once),
        cmocka_unit_test(test_a_sobol_order_covers_a_grid_evenly_from_the_start),
        cmocka_unit_test(test_any_point_satisfies_its_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
