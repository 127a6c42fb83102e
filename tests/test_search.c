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
        assert_true(point.values[0].number == i / 3);
        assert_true(point.values[1].number == i % 3);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
