#include "reporters/comparison.h"
#include "reporters/insight.h"
#include "support/demo_home.h"
#include "support/store_home.h"

typedef struct fixture {
    char home[BN_PATH_MAX];
    bn_store *store;
} fixture;

static int setup(void **state)
{
    static fixture at;
    home_make(at.home);
    at.store = home_open(at.home, BN_STORE_WRITE);
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    bn_store_close(at->store);
    home_remove(at->home);
    return 0;
}

static bn_comparison_ask fill(fixture *at, int widths, int seeds, bool pending)
{
    demo_plan plan = {
        .name = "demo", .widths = widths, .seeds = seeds, .records = 3, .pending = pending};
    bn_sweep sweep;
    bn_error err = {0};
    ASSERT_OK(demo_home_fill(at->store, &plan, &err));
    ASSERT_OK(bn_sweep_find(at->store, "demo", &sweep, &err));
    return (bn_comparison_ask){
        .sweep = sweep.id, .by = "quant.variant", .baseline = "fp16", .metric = "val/loss"};
}

static bn_comparison make(fixture *at, const bn_comparison_ask *ask)
{
    bn_comparison made;
    bn_error err = {0};
    ASSERT_OK(bn_comparison_make(&made, at->store, ask, &err));
    return made;
}

static void test_each_side_is_judged_at_its_own_best_rate(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 2, 3, false);
    bn_comparison made = make(at, &ask);
    assert_int_equal(made.shape_count, 2);
    assert_int_equal(made.cell_count, 4);
    assert_string_equal(made.sides[made.baseline], "fp16");
    for (int width = 0; width < 2; width++) {
        const bn_comparison_cell *fp16 = bn_comparison_at(&made, width, 0);
        const bn_comparison_cell *ternary = bn_comparison_at(&made, width, 1);
        assert_string_equal(made.settings[fp16->setting], "optim.lr=0.001");
        assert_string_equal(made.settings[ternary->setting], "optim.lr=0.003");
        assert_int_equal(fp16->settings, 4);
        assert_int_equal(fp16->runs, 3);
        double mean = 0;
        for (int seed = 0; seed < 3; seed++) mean += demo_loss(false, 1, width, seed) / 3;
        assert_true(fabs(fp16->value - mean) < 1e-12);
        assert_true(fabs(fp16->deviation - 0.01) < 1e-9);
        assert_true(ternary->deployed_bytes == 1e6 && ternary->tokens_per_s == 8000);
    }
    bn_comparison_release(&made);
}

static void test_twins_differ_by_what_is_known(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 2, 3, false);
    bn_comparison made = make(at, &ask);
    assert_int_equal(made.pair_count, 2);
    const bn_paired *own = &made.pairs[0].loss, *same = &made.pairs[1].loss;
    assert_true(made.pairs[0].own_best);
    assert_int_equal(own->count, 6);
    assert_true(fabs(own->mean - (0.07 + 0.002 / 3)) < 1e-9); /* seed 1 costs ternary 0.002 more */
    assert_int_equal(own->above, 6);
    assert_int_equal(own->interval, BN_INTERVAL_STUDENT);
    assert_int_equal(same->count, 24);
    assert_int_equal(same->interval, BN_INTERVAL_BCA);
    bn_comparison_release(&made);
}

static void test_a_best_at_the_end_of_what_was_tried_is_told(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 1, 1, false);
    ask.maximize = true; /* the worst rates are the outermost ones */
    bn_comparison made = make(at, &ask);
    assert_true(bn_comparison_at(&made, 0, 0)->edge);
    bn_comparison_release(&made);
    ask.maximize = false;
    made = make(at, &ask);
    assert_false(bn_comparison_at(&made, 0, 0)->edge);
    bn_comparison_release(&made);
}

static void test_unfinished_runs_are_left_out_and_counted(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 1, 2, true);
    bn_comparison made = make(at, &ask);
    assert_int_equal(made.run_count, 0);
    assert_int_equal(made.unfinished, 16);
    assert_int_equal(made.baseline, -1);
    bn_comparison_release(&made);
}

static void test_a_metric_nobody_recorded_leaves_runs_without_a_value(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 1, 1, false);
    ask.metric = "no/such";
    bn_comparison made = make(at, &ask);
    assert_int_equal(made.without_value, 8);
    assert_int_equal(made.cell_count, 0);
    bn_comparison_release(&made);
}

static void test_a_misspelt_knob_names_the_nearest(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 1, 1, false);
    bn_comparison made;
    bn_error err = {0};
    ask.by = "quant.varient";
    assert_int_equal(bn_comparison_make(&made, at->store, &ask, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "did you mean 'quant.variant'?"));
}

static void test_without_the_baseline_there_are_cells_but_no_pairs(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 1, 1, false);
    ask.baseline = "bf16";
    bn_comparison made = make(at, &ask);
    assert_int_equal(made.baseline, -1);
    assert_int_equal(made.cell_count, 2);
    assert_int_equal(made.pair_count, 0);
    bn_comparison_release(&made);
}

static void test_pair_says_what_twins_share(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 2, 2, false);
    ask.pair = "optim.lr,train.seed"; /* the width is each side's own choice */
    bn_comparison made = make(at, &ask);
    assert_int_equal(made.shape_count, 4);
    assert_string_equal(made.settings[bn_comparison_at(&made, 0, 0)->setting], "model.width=128");
    bn_comparison_release(&made);
    bn_error err = {0};
    ask.pair = "optim.lr,modle.width";
    assert_int_equal(bn_comparison_make(&made, at->store, &ask, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "did you mean 'model.width'?"));
}

static void test_a_grid_tells_which_knobs_matter(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 2, 3, false);
    bn_comparison made = make(at, &ask);
    bn_insight insight;
    bn_error err = {0};
    ASSERT_OK(bn_insight_make(&insight, at->store, &ask, &made, &err));
    assert_true(insight.full_grid);
    assert_false(insight.searched);
    assert_int_equal(insight.knob_count, 3);
    assert_string_equal(insight.knobs[0], "model.width");
    double shares = insight.anova.higher_share + insight.anova.residual_share;
    for (int i = 0; i < insight.anova.effect_count; i++) shares += insight.anova.effects[i].share;
    assert_true(fabs(shares - 1) < 1e-9);
    assert_true(insight.anova.effects[0].p < 1e-6);     /* width: 0.25 between the two */
    assert_true(insight.anova.effects[3].share < 1e-9); /* width x rate: none was put in */
    assert_int_equal(insight.scaling_count, 0);         /* two sizes make no law */
    bn_insight_release(&insight);
    bn_comparison_release(&made);
}

static void test_a_sweep_over_sizes_has_a_scaling_law_a_side(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 5, 1, false);
    bn_comparison made = make(at, &ask);
    bn_insight insight;
    bn_error err = {0};
    ASSERT_OK(bn_insight_make(&insight, at->store, &ask, &made, &err));
    assert_int_equal(insight.scaling_count, 1);
    const bn_scaling_twins *twins = &insight.scaling[0].twins;
    assert_true(twins->base.fitted && twins->side.fitted);
    assert_true(fabs(twins->base.e - 2.0) < 1e-4); /* 2 + 0.5 / 2^i, sizes grow by 4: alpha 1/2 */
    assert_true(fabs(twins->base.alpha - 0.5) < 1e-4);
    assert_true(fabs(twins->side.e - 2.07) < 1e-4);
    assert_int_equal(twins->meeting, BN_MEETING_BEYOND);
    bn_insight_release(&insight);
    bn_comparison_release(&made);
}

static void test_each_cell_has_the_valley_of_its_rate(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 2, 3, false);
    bn_comparison made = make(at, &ask);
    const double best[] = {1e-3, 3e-3}; /* fp16's and ternary's, by demo_loss */
    for (size_t i = 0; i < made.cell_count; i++) {
        const bn_valley *valley = &made.cells[i].valley;
        assert_true(valley->fitted);
        assert_int_equal(valley->points, 12);
        assert_true(fabs(log10(valley->rate / best[made.cells[i].side])) < 0.05);
        assert_true(valley->rate_low < valley->rate && valley->rate < valley->rate_high);
        assert_true(fabs(valley->loss - made.cells[i].value) < 0.01);
    }
    bn_comparison_release(&made);
    ask.pair = "train.seed"; /* width and rate are both chosen: no one number was tuned */
    made = make(at, &ask);
    assert_false(made.cells[0].valley.fitted);
    bn_comparison_release(&made);
}

static void test_many_sides_correct_their_p_values(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 2, 3, false);
    ask.by = "optim.lr";
    ask.baseline = "0.001";
    bn_comparison made = make(at, &ask);
    double least = 1, holm = 0;
    size_t own = 0;
    for (size_t i = 0; i < made.pair_count; i++) {
        const bn_comparison_pairs *pairs = &made.pairs[i];
        assert_true(pairs->p_holm >= pairs->loss.p);
        if (!pairs->own_best) continue;
        own++;
        if (pairs->loss.p < least) {
            least = pairs->loss.p;
            holm = pairs->p_holm;
        }
    }
    assert_int_equal(own, 3);
    assert_true(fabs(holm - 3 * least) < 1e-12);
    bn_comparison_release(&made);
}

static void test_runs_without_sides_still_tell_which_knobs_matter(void **state)
{
    fixture *at = *state;
    bn_comparison_ask ask = fill(at, 2, 3, false);
    ask.by = NULL;
    bn_comparison made = make(at, &ask);
    bn_insight insight;
    bn_error err = {0};
    ASSERT_OK(bn_insight_make(&insight, at->store, &ask, &made, &err));
    assert_int_equal(made.side_count, 1);
    assert_int_equal(made.baseline, -1);
    assert_int_equal(made.run_count, 48);
    assert_non_null(insight.effects);
    assert_string_equal(insight.knobs[0], "model.width");
    assert_true(insight.effects[0].share > 0.3); /* 0.25 between the two */
    for (size_t k = 0; k < insight.knob_count; k++) {
        const bn_effect *effect = &insight.effects[k];
        assert_true(effect->low <= effect->share && effect->share <= effect->high);
    }
    bn_insight_release(&insight);
    bn_comparison_release(&made);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(test_each_side_is_judged_at_its_own_best_rate),
        WITH_HOME(test_twins_differ_by_what_is_known),
        WITH_HOME(test_a_best_at_the_end_of_what_was_tried_is_told),
        WITH_HOME(test_unfinished_runs_are_left_out_and_counted),
        WITH_HOME(test_a_metric_nobody_recorded_leaves_runs_without_a_value),
        WITH_HOME(test_a_misspelt_knob_names_the_nearest),
        WITH_HOME(test_pair_says_what_twins_share),
        WITH_HOME(test_a_grid_tells_which_knobs_matter),
        WITH_HOME(test_a_sweep_over_sizes_has_a_scaling_law_a_side),
        WITH_HOME(test_each_cell_has_the_valley_of_its_rate),
        WITH_HOME(test_many_sides_correct_their_p_values),
        WITH_HOME(test_runs_without_sides_still_tell_which_knobs_matter),
        WITH_HOME(test_without_the_baseline_there_are_cells_but_no_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
