#include <stdlib.h>

#include "engine/base/rng.h"
#include "runner/search/acquire.h"
#include "runner/search/gp.h"
#include "runner/search/lbfgs.h"
#include "runner/search/search.h"
#include "support/cmocka_all.h"

/* Two real axes, one of steps, one choice. */
static const bn_axes AXES = {.list = {{.kind = BN_AXIS_REAL},
                                      {.kind = BN_AXIS_REAL},
                                      {.kind = BN_AXIS_STEP, .count = 5},
                                      {.kind = BN_AXIS_CHOICE, .count = 3}},
                             .count = 4,
                             .groups = 1};

static double uniform(uint64_t index)
{
    return bn_rng_uniform(bn_rng_key(9, "gp", 0), index);
}

static void point_at(uint64_t index, double x[4])
{
    for (uint64_t d = 0; d < 4; d++) x[d] = bn_axis_at(&AXES.list[d], uniform(index * 4 + d));
}

static double height(const double x[4])
{
    return sin(5 * x[0]) + 2 * x[1] * x[2] - 0.5 * x[3];
}

static void open_gp(bn_gp *gp, int count)
{
    bn_error err = {0};
    assert_int_equal(bn_gp_open(gp, &AXES, count, &err), BN_OK);
    for (int i = 0; i < count; i++) {
        double x[4];
        point_at((uint64_t)i, x);
        bn_gp_add(gp, x, height(x), i == 3 ? 0.1 : 0);
    }
}

static void test_the_loss_has_the_gradient_of_its_differences(void **state)
{
    (void)state;
    bn_gp gp;
    open_gp(&gp, 12);
    double at[6] = {0.3, -0.7, 0.1, 0.9, 0.4, -3}, gradient[6];
    (void)bn_gp_loss(&gp, at, gradient);
    for (int i = 0; i < 6; i++) {
        double left[6], right[6], step = 1e-5;
        memcpy(left, at, sizeof at);
        memcpy(right, at, sizeof at);
        left[i] -= step;
        right[i] += step;
        double slope = (bn_gp_loss(&gp, right, NULL) - bn_gp_loss(&gp, left, NULL)) / (2 * step);
        if (fabs(slope - gradient[i]) > 1e-6 * (1 + fabs(slope))) {
            fail_msg("parameter %d: %.10g, by differences %.10g", i, gradient[i], slope);
        }
    }
    bn_gp_close(&gp);
}

static void check_slope(const bn_gp *gp, const double x[4], double best, int axis)
{
    double left[4], right[4], gradient[4], step = 1e-6;
    memcpy(left, x, sizeof left);
    memcpy(right, x, sizeof right);
    left[axis] -= step;
    right[axis] += step;
    (void)bn_gp_log_ei(gp, x, best, gradient);
    double rise = bn_gp_log_ei(gp, right, best, NULL) - bn_gp_log_ei(gp, left, best, NULL);
    double slope = rise / (2 * step);
    if (fabs(slope - gradient[axis]) > 1e-4 * (1 + fabs(slope))) {
        fail_msg("axis %d: %.8g, by differences %.8g", axis, gradient[axis], slope);
    }
}

static void test_expected_improvement_has_the_gradient_of_its_differences(void **state)
{
    (void)state;
    bn_gp gp;
    open_gp(&gp, 15);
    bn_gp_fit(&gp);
    assert_true(bn_gp_factor(&gp));
    const double bests[] = {-1, 1, 3, 20, 400}; /* from sure to hopeless: z down to -100s */
    for (size_t b = 0; b < 5; b++) {
        double x[4];
        point_at(100 + b, x);
        for (int axis = 0; axis < 3; axis++) check_slope(&gp, x, bests[b], axis);
    }
    bn_gp_close(&gp);
}

/* Against the definition, by quadrature: E[max(0, f - best)]. */
static void test_expected_improvement_is_the_integral_it_stands_for(void **state)
{
    (void)state;
    bn_gp gp;
    open_gp(&gp, 15);
    bn_gp_fit(&gp);
    assert_true(bn_gp_factor(&gp));
    double x[4], mean, deviation;
    point_at(200, x);
    bn_gp_predict(&gp, x, &mean, &deviation);
    for (int k = -3; k <= 3; k++) {
        double best = mean + k * deviation, sum = 0, step = 1e-3;
        for (int i = 0; i < 15000; i++) {
            double z = k + (i + 0.5) * step;
            sum += (z - k) * exp(-0.5 * z * z) * step;
        }
        double expected = log(deviation * sum / sqrt(2 * 3.14159265358979323846));
        assert_true(fabs(bn_gp_log_ei(&gp, x, best, NULL) - expected) < 1e-4);
    }
    bn_gp_close(&gp);
}

static void test_a_process_remembers_what_it_was_told(void **state)
{
    (void)state;
    bn_gp gp;
    open_gp(&gp, 40);
    bn_gp_fit(&gp);
    assert_true(bn_gp_factor(&gp));
    double worst = 0, error = 0;
    for (uint64_t i = 0; i < 60; i++) {
        double x[4], mean, deviation;
        point_at(i, x);
        bn_gp_predict(&gp, x, &mean, &deviation);
        if (i < 40) worst = fmax(worst, fabs(mean - height(x)));
        if (i >= 40) error += fabs(mean - height(x)) / 20;
    }
    assert_true(worst < 0.1); /* seen points; one was told to be uncertain */
    assert_true(error < 0.2); /* unseen ones: the surface spans 4 */
    bn_gp_close(&gp);
}

static double rosenbrock(void *self, const double *x, double *gradient)
{
    (void)self;
    double a = 1 - x[0], b = x[1] - x[0] * x[0];
    gradient[0] = -2 * a - 400 * x[0] * b;
    gradient[1] = 200 * b;
    return a * a + 100 * b * b;
}

static void test_lbfgs_finds_the_valley_and_keeps_to_its_box(void **state)
{
    (void)state;
    const double low[2] = {-2, -2}, high[2][2] = {{2, 2}, {0.5, 2}};
    const double ends[2][2] = {{1, 1}, {0.5, 0.25}};
    for (int k = 0; k < 2; k++) {
        double x[2] = {-1.2, 1};
        bn_lbfgs problem = {.dims = 2,
                            .low = low,
                            .high = high[k],
                            .iterations_max = 200,
                            .gradient_max = 1e-7,
                            .value = rosenbrock};
        (void)bn_lbfgs_minimize(&problem, x);
        assert_true(fabs(x[0] - ends[k][0]) < 1e-5 && fabs(x[1] - ends[k][1]) < 1e-5);
    }
}

/* A bowl over two real parameters, one of steps and one choice: its least value is 0. */
static void bowl_space(bn_space *space)
{
    memset(space, 0, sizeof *space);
    space->count = 4;
    space->params[0] = (bn_parameter){
        .name = "lr", .dist = BN_DIST_LOG_UNIFORM_VALUES, .min = 1e-5, .max = 1e-1, .q = 1};
    space->params[1] = (bn_parameter){.name = "x", .dist = BN_DIST_UNIFORM, .max = 1, .q = 1};
    space->params[2] =
        (bn_parameter){.name = "w", .dist = BN_DIST_Q_UNIFORM, .min = 64, .max = 1024, .q = 64};
    space->params[3] = (bn_parameter){.name = "v", .dist = BN_DIST_CATEGORICAL, .value_count = 3};
    space->params[3].values = calloc(3, sizeof *space->params[3].values);
    for (int i = 0; i < 3; i++) {
        space->params[3].values[i] = bn_setting_of_number(BN_SETTING_INT, i);
    }
}

static double bowl(const bn_point *p)
{
    double lr = log10(p->values[0].number) + 3, x = p->values[1].number - 0.3;
    double w = (p->values[2].number - 640) / 1024;
    return lr * lr + x * x + w * w + 0.2 * fabs(p->values[3].number - 1);
}

static bn_search *open_search(const bn_space *space, const char *method)
{
    bn_search *search = NULL;
    bn_error err = {0};
    bn_search_options options = {.method = method, .seed = 4};
    assert_int_equal(bn_search_open(&search, space, &options, &err), BN_OK);
    return search;
}

/* Least value after `count` trials, told one after another. */
static double search_bowl(const char *method, bn_trial *trials, int count)
{
    bn_space space;
    bn_error err = {0};
    double best = INFINITY;
    bowl_space(&space);
    bn_search *search = open_search(&space, method);
    assert_true(bn_search_learns(search) || strcmp(method, "random") == 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(bn_search_suggest(search, i, trials, (size_t)i, &trials[i].point, &err),
                         BN_OK);
        for (int k = 0; k < space.count; k++) {
            assert_true(bn_parameter_holds(&space.params[k], &trials[i].point.values[k]));
        }
        trials[i].state = BN_TRIAL_COMPLETE;
        trials[i].value = bowl(&trials[i].point);
        trials[i].replicates = 1;
        best = fmin(best, trials[i].value);
    }
    /* What a model proposes is short enough to type again. */
    if (bn_search_learns(search)) assert_true(strlen(trials[count - 1].point.values[0].text) <= 11);
    bn_search_close(search);
    bn_space_release(&space);
    return best;
}

static void test_learners_beat_chance_within_forty_trials(void **state)
{
    (void)state;
    static bn_trial trials[40];
    double chance = search_bowl("random", trials, 40);
    assert_true(search_bowl("tpe", trials, 40) < 0.7 * chance);
    assert_true(search_bowl("gp", trials, 40) < 0.01);
    assert_true(search_bowl("bayes", trials, 40) < 0.01);
}

static void test_a_suggestion_depends_on_what_is_told_and_on_nothing_else(void **state)
{
    (void)state;
    static bn_trial trials[30];
    const char *methods[] = {"tpe", "gp"};
    bn_error err = {0};
    for (size_t m = 0; m < 2; m++) {
        bn_space space;
        bn_point a, b;
        (void)search_bowl(methods[m], trials, 30);
        trials[28].state = BN_TRIAL_RUNNING;
        trials[29].state = BN_TRIAL_FAILED;
        trials[29].value = NAN;
        bowl_space(&space);
        bn_search *used = open_search(&space, methods[m]), *fresh = open_search(&space, methods[m]);
        for (int i = 20; i < 30; i++) {
            assert_int_equal(bn_search_suggest(used, i, trials, (size_t)i, &a, &err), BN_OK);
        }
        assert_int_equal(bn_search_suggest(used, 30, trials, 30, &a, &err), BN_OK);
        assert_int_equal(bn_search_suggest(fresh, 30, trials, 30, &b, &err), BN_OK);
        assert_true(bn_point_equal(&a, &b));
        bn_search_close(used);
        bn_search_close(fresh);
        bn_space_release(&space);
    }
}

static void test_running_trials_are_looked_away_from(void **state)
{
    (void)state;
    static bn_trial trials[40];
    (void)search_bowl("gp", trials, 20);
    bn_space space;
    bn_error err = {0};
    bowl_space(&space);
    bn_search *search = open_search(&space, "gp");
    for (int i = 20; i < 26; i++) {
        assert_int_equal(bn_search_suggest(search, i, trials, (size_t)i, &trials[i].point, &err),
                         BN_OK);
        trials[i].state = BN_TRIAL_RUNNING;
        trials[i].value = NAN;
        for (int k = 0; k < i; k++) {
            assert_false(bn_point_equal(&trials[i].point, &trials[k].point));
        }
    }
    bn_search_close(search);
    bn_space_release(&space);
}

static void test_a_small_space_is_tried_out_and_then_exhausted(void **state)
{
    (void)state;
    static bn_trial trials[12];
    bn_space space;
    bn_error err = {0};
    bowl_space(&space);
    space.params[0] = space.params[3]; /* three choices by four steps */
    space.params[1] = (bn_parameter){.dist = BN_DIST_INT_UNIFORM, .min = 1, .max = 4, .q = 1};
    space.count = 2;
    const char *methods[] = {"tpe", "gp"};
    for (size_t m = 0; m < 2; m++) {
        bn_search *search = open_search(&space, methods[m]);
        bn_point last;
        for (int i = 0; i < 12; i++) {
            bn_status status =
                bn_search_suggest(search, i, trials, (size_t)i, &trials[i].point, &err);
            assert_int_equal(status, BN_OK);
            trials[i].state = BN_TRIAL_COMPLETE;
            trials[i].value = trials[i].point.values[1].number;
            for (int k = 0; k < i; k++) {
                assert_false(bn_point_equal(&trials[i].point, &trials[k].point));
            }
        }
        bn_error full = {0};
        assert_int_equal(bn_search_suggest(search, 12, trials, 12, &last, &full), BN_ENOENT);
        bn_search_close(search);
    }
    bn_space_release(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_loss_has_the_gradient_of_its_differences),
        cmocka_unit_test(test_expected_improvement_has_the_gradient_of_its_differences),
        cmocka_unit_test(test_expected_improvement_is_the_integral_it_stands_for),
        cmocka_unit_test(test_a_process_remembers_what_it_was_told),
        cmocka_unit_test(test_lbfgs_finds_the_valley_and_keeps_to_its_box),
        cmocka_unit_test(test_learners_beat_chance_within_forty_trials),
        cmocka_unit_test(test_a_suggestion_depends_on_what_is_told_and_on_nothing_else),
        cmocka_unit_test(test_running_trials_are_looked_away_from),
        cmocka_unit_test(test_a_small_space_is_tried_out_and_then_exhausted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
