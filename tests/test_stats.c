#include <stdlib.h>

#include "engine/base/rng.h"
#include "reporters/stats/anova.h"
#include "reporters/stats/effects.h"
#include "reporters/stats/importance.h"
#include "reporters/stats/paired.h"
#include "reporters/stats/scaling.h"
#include "reporters/stats/special.h"
#include "reporters/stats/valley.h"
#include "support/cmocka_all.h"

static void assert_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance)) {
        fail_msg("%.15g instead of %.15g (within %g)", got, expected, tolerance);
    }
}

static void test_distributions_agree_with_closed_forms(void **state)
{
    (void)state;
    assert_near(bn_gauss_quantile(0.975), 1.959963984540054, 1e-12);
    assert_near(bn_gauss_quantile(1e-10), -6.361340902404056, 1e-9);
    assert_near(bn_gauss_cdf(bn_gauss_quantile(0.3)), 0.3, 1e-14);
    assert_near(bn_student_cdf(1, 1), 0.75, 1e-13); /* Cauchy */
    double alpha = 2 * 0.01 - 1;
    assert_near(bn_student_quantile(0.01, 2), alpha * sqrt(2 / (1 - alpha * alpha)), 1e-11);
    assert_near(bn_student_quantile(0.975, 4), 2.7764451051977987, 1e-10);
    assert_near(bn_fisher_tail(4, 2, 10), pow(1.8, -5), 1e-13);
    assert_near(bn_fisher_tail(0.3, 2, 7), pow(1 + 0.6 / 7, -3.5), 1e-13);
    double t = 2.1; /* F with one degree of freedom is t squared */
    assert_near(bn_fisher_tail(t * t, 1, 9), 2 * (1 - bn_student_cdf(t, 9)), 1e-12);
}

static bn_paired compare(const double *values, size_t count, uint64_t seed)
{
    bn_pair_difference list[64];
    bn_paired out;
    bn_error err = {0};
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) list[i] = (bn_pair_difference){values[i], 0};
    assert_int_equal(bn_paired_compare(list, count, seed, &out, &err), BN_OK);
    return out;
}

static void test_fewer_than_five_pairs_have_no_interval(void **state)
{
    (void)state;
    const double values[] = {0.1, -0.2, 0, 0.3};
    bn_paired out = compare(values, 4, 1);
    assert_int_equal(out.interval, BN_INTERVAL_NONE);
    assert_true(isnan(out.low) && isnan(out.p));
    assert_near(out.mean, 0.05, 1e-15);
    assert_int_equal(out.above, 2);
    assert_int_equal(out.ties, 1);
    assert_int_equal(out.below, 1);
}

static void test_five_to_nine_pairs_have_students_interval(void **state)
{
    (void)state;
    const double values[] = {1, 2, 3, 4, 5}; /* mean 3, variance 2.5 */
    bn_paired out = compare(values, 5, 1);
    assert_int_equal(out.interval, BN_INTERVAL_STUDENT);
    assert_near(out.high - out.mean, 2.7764451051977987 * sqrt(0.5), 1e-9);
    assert_near(out.p, 2.0 / 32, 1e-15); /* only no flip and all flips reach the sum of 15 */
}

static void test_ten_pairs_have_the_accelerated_bootstrap(void **state)
{
    (void)state;
    const double values[] = {0.12, 0.05, -0.03, 0.2, 0.11, 0.07, 0.5, 0.02, 0.09, 0.15, -0.01, 0.3};
    bn_paired out = compare(values, 12, 3);
    assert_int_equal(out.interval, BN_INTERVAL_BCA);
    assert_near(out.low, 0.06917, 0.004); /* 600,000 resamples of the definition */
    assert_near(out.high, 0.24083, 0.006);
    bn_paired again = compare(values, 12, 3);
    assert_true(again.low == out.low && again.high == out.high && again.p == out.p);
}

static void test_intervals_cover_the_truth_as_often_as_they_say(void **state)
{
    (void)state;
    int covered = 0;
    for (uint64_t trial = 0; trial < 200; trial++) {
        double values[20];
        uint64_t key = bn_rng_key(11, "trial", trial);
        for (uint64_t i = 0; i < 20; i++) values[i] = 0.5 + bn_rng_normal(key, i);
        bn_paired out = compare(values, 20, trial);
        covered += out.low <= 0.5 && out.high >= 0.5;
    }
    assert_in_range(covered, 180, 198); /* 95 % of 200, and three deviations around it */
}

static void test_seeds_inside_configurations_widen_the_interval(void **state)
{
    (void)state;
    bn_pair_difference nested[24], flat[24];
    bn_paired with, without;
    bn_error err = {0};
    for (int i = 0; i < 24; i++) { /* six configurations far apart, four seeds close together */
        double value = (i / 4 % 2 ? 1.0 : -0.5) + 0.001 * (i % 4);
        nested[i] = (bn_pair_difference){value, i / 4};
        flat[i] = (bn_pair_difference){value, 0};
    }
    assert_int_equal(bn_paired_compare(nested, 24, 1, &with, &err), BN_OK);
    assert_int_equal(bn_paired_compare(flat, 24, 1, &without, &err), BN_OK);
    assert_true(with.high - with.low > 1.3 * (without.high - without.low));
}

static void test_equal_pairs_give_a_point_and_no_surprise(void **state)
{
    (void)state;
    double values[12];
    for (int i = 0; i < 12; i++) values[i] = 0.25;
    bn_paired out = compare(values, 12, 1);
    assert_true(out.low == 0.25 && out.high == 0.25);
    assert_near(out.p, 2.0 / 4096, 1e-15);
    for (int i = 0; i < 12; i++) values[i] = 0;
    assert_near(compare(values, 12, 1).p, 1, 0);
}

static void test_holm_corrects_step_by_step(void **state)
{
    (void)state;
    double p[] = {0.01, 0.04, (double)NAN, 0.03, 0.005};
    bn_holm(p, 5);
    assert_near(p[4], 0.02, 1e-15); /* 4 * 0.005 */
    assert_near(p[0], 0.03, 1e-15); /* 3 * 0.01 */
    assert_near(p[3], 0.06, 1e-15); /* 2 * 0.03 */
    assert_near(p[1], 0.06, 1e-15); /* never below the one before */
    assert_true(isnan(p[2]));
}

static void test_anova_splits_a_full_grid_exactly(void **state)
{
    (void)state;
    /* y = 10 + 3 (a) + 1 (b) + 0.5 (a b), levels -1 and 1: contrasts are orthogonal. */
    const int levels[] = {0, 0, 0, 1, 1, 0, 1, 1}, counts[] = {2, 2};
    const double values[] = {10 - 3 - 1 + 0.5, 10 - 3 + 1 - 0.5, 10 + 3 - 1 - 0.5,
                             10 + 3 + 1 + 0.5};
    bn_anova_data data = {levels, counts, 2, values, 4};
    bn_anova out;
    bool full = false;
    bn_error err = {0};
    assert_int_equal(bn_anova_make(&data, &out, &full, &err), BN_OK);
    assert_true(full);
    assert_int_equal(out.effect_count, 3);
    double total = 9 + 1 + 0.25;
    assert_near(out.effects[0].share, 9 / total, 1e-12);
    assert_near(out.effects[1].share, 1 / total, 1e-12);
    assert_near(out.effects[2].share, 0.25 / total, 1e-12);
    assert_true(isnan(out.effects[0].p)); /* no replicates, nothing to hold it against */
}

static void test_anova_with_replicates_gives_the_textbook_f(void **state)
{
    (void)state;
    /* One factor, three levels, three values each: means 2, 3, 7; SSB 42, SSW 6, F = 21. */
    const int levels[] = {0, 0, 0, 1, 1, 1, 2, 2, 2}, counts[] = {3};
    const double values[] = {1, 2, 3, 2, 3, 4, 6, 7, 8};
    bn_anova_data data = {levels, counts, 1, values, 9};
    bn_anova out;
    bool full = false;
    bn_error err = {0};
    assert_int_equal(bn_anova_make(&data, &out, &full, &err), BN_OK);
    assert_near(out.effects[0].f, 21, 1e-12);
    assert_near(out.effects[0].p, pow(1 + 21.0 * 2 / 6, -3), 1e-12);
    assert_near(out.effects[0].share, 42.0 / 48, 1e-12);
    assert_near(out.residual_share, 6.0 / 48, 1e-12);
}

static void test_anova_says_when_a_grid_has_holes(void **state)
{
    (void)state;
    const int levels[] = {0, 0, 0, 1, 1, 0}, counts[] = {2, 2};
    const double values[] = {1, 2, 3};
    bn_anova_data data = {levels, counts, 2, values, 3};
    bn_anova out;
    bool full = true;
    bn_error err = {0};
    assert_int_equal(bn_anova_make(&data, &out, &full, &err), BN_OK);
    assert_false(full);
}

static void test_importance_finds_the_knob_that_matters(void **state)
{
    (void)state;
    enum { N = 200 };
    static double lr[N], width[N], variant[N], loss[N];
    for (uint64_t i = 0; i < N; i++) {
        lr[i] = pow(10, -4 + 3 * bn_rng_uniform(1, i));
        width[i] = 64 + 64 * (double)bn_rng_below(2, i, 8);
        variant[i] = (double)bn_rng_below(3, i, 3);
        double off = log10(lr[i]) + 2.5;
        loss[i] = off * off + 0.01 * variant[i] + 1e-5 * width[i];
    }
    const bn_importance_knob knobs[] = {
        {false, true, lr}, {false, false, width}, {true, false, variant}};
    bn_importance_data data = {knobs, 3, loss, N, 1};
    bn_importance out[3];
    size_t top = 0;
    bn_error err = {0};
    assert_int_equal(bn_importance_make(&data, out, &top, &err), BN_OK);
    assert_int_equal(top, 20);
    assert_true(out[0].share > 0.7);
    assert_near(out[0].share + out[1].share + out[2].share, 1, 1e-12);
    assert_true(isnan(out[2].spearman));
    data.count = 40; /* four in the best tenth are too few to speak of */
    assert_int_equal(bn_importance_make(&data, out, &top, &err), BN_OK);
    assert_int_equal(top, 4);
    assert_true(isnan(out[0].share));
}

/* A made-up search of 60 runs; the numbers expected of it were computed apart, in Python. */
enum { SEARCH = 60 };
static double search_lr[SEARCH], search_width[SEARCH], search_variant[SEARCH], search_loss[SEARCH];

static bn_importance_data make_search(const bn_importance_knob *knobs)
{
    for (int i = 0; i < SEARCH; i++) {
        double place = (i + 1) * 0.6180339887, noise = i * 0.7548776662;
        search_lr[i] = pow(10, -4 + 3 * (place - floor(place)));
        search_width[i] = 64 * (1 + i % 8);
        search_variant[i] = i * 7 % 3;
        double off = log10(search_lr[i]) + 2.5;
        search_loss[i] = off * off + 0.1 * search_variant[i] + 1e-4 * search_width[i] +
                         0.05 * (noise - floor(noise));
    }
    return (bn_importance_data){knobs, 3, search_loss, SEARCH, 1};
}

static const bn_importance_knob SEARCH_KNOBS[] = {
    {false, true, search_lr}, {false, false, search_width}, {true, false, search_variant}};

static void test_importance_has_the_published_formulas_numbers(void **state)
{
    (void)state;
    bn_importance_data data = make_search(SEARCH_KNOBS);
    bn_importance out[3];
    size_t top = 0;
    bn_error err = {0};
    assert_int_equal(bn_importance_make(&data, out, &top, &err), BN_OK);
    assert_int_equal(top, 6);
    assert_near(out[0].share, 0.674812977255669, 1e-12);
    assert_near(out[1].share, 0.06313080988613505, 1e-12);
    assert_near(out[2].share, 0.2620562128581958, 1e-12);
    for (int k = 0; k < 3; k++) {
        assert_true(0 <= out[k].low && out[k].low < out[k].high && out[k].high <= 1);
    }
    assert_true(out[0].low < out[0].share && out[0].share < out[0].high);
}

static void test_effects_of_knobs_have_omega_squared(void **state)
{
    (void)state;
    bn_importance_data data = make_search(SEARCH_KNOBS);
    bn_effect out[3];
    bn_error err = {0};
    assert_int_equal(bn_effects_make(&data, 7, out, &err), BN_OK);
    assert_near(out[0].share, 0.8294319288833494, 1e-12); /* six bins of ten runs */
    assert_near(out[1].share, 0.0060848021332211965, 1e-12);
    assert_near(out[2].share, 0, 0); /* less than chance: nothing */
    assert_int_equal(out[0].levels, 6);
    assert_int_equal(out[2].levels, 3);
    assert_true(out[0].low > 0.6 && out[0].low < out[0].share && out[0].high > out[0].share);
    data.count = BN_EFFECT_RUNS_MIN - 1;
    assert_int_equal(bn_effects_make(&data, 7, out, &err), BN_OK);
    assert_true(isnan(out[0].share));
}

/* Two seeds at each of five rates. */
static size_t make_valley(bn_valley_point *points)
{
    const double rates[] = {1e-4, 3e-4, 1e-3, 3e-3, 1e-2};
    const double losses[][2] = {
        {2.31, 2.35}, {2.12, 2.15}, {2.02, 2.05}, {2.08, 2.04}, {2.30, 2.26}};
    for (size_t i = 0; i < 10; i++) {
        size_t mixed = (i * 7 + 3) % 10; /* their order must not matter */
        points[i] = (bn_valley_point){rates[mixed / 2], losses[mixed / 2][mixed % 2]};
    }
    return 10;
}

static void test_a_valley_has_fiellers_interval(void **state)
{
    (void)state; /* expected: least squares and the roots of Fieller's equation in NumPy */
    bn_valley_point points[10];
    bn_valley out;
    bn_valley_fit(points, make_valley(points), &out);
    assert_true(out.fitted);
    assert_int_equal(out.points, 10);
    assert_int_equal(out.rates, 5);
    assert_near(out.rate / 0.0011459766873830246, 1, 1e-9);
    assert_near(out.rate_low / 0.0010240186445525815, 1, 1e-7);
    assert_near(out.rate_high / 0.0012926635267389189, 1, 1e-7);
    assert_near(out.loss, 2.029613173145925, 1e-10);
    assert_near(out.loss_low, 2.000183558060321, 1e-8);
    assert_near(out.loss_high, 2.059042788231529, 1e-8);
}

static void test_no_valley_without_a_far_side(void **state)
{
    (void)state;
    bn_valley_point points[10];
    bn_valley out;
    size_t count = make_valley(points);
    for (size_t i = 0; i < count; i++) points[i].loss = -log10(points[i].rate); /* ever falling */
    bn_valley_fit(points, count, &out);
    assert_false(out.fitted);
    assert_true(isnan(out.rate) && isnan(out.loss_high));
    bn_valley_fit(points, 2, &out);
    assert_false(out.fitted);
    bn_valley_fit(points, 0, &out);
    assert_false(out.fitted);
}

static void test_a_valley_of_three_runs_has_no_interval(void **state)
{
    (void)state;
    bn_valley_point points[] = {{1e-2, 3}, {1e-3, 2}, {1e-4, 3}, {0, 1}, {1e-3, (double)NAN}};
    bn_valley out;
    bn_valley_fit(points, 5, &out);
    assert_true(out.fitted);
    assert_near(out.rate, 1e-3, 1e-15);
    assert_near(out.loss, 2, 1e-12);
    assert_true(isnan(out.rate_low) && isnan(out.loss_low));
}

/* Runs that a far too large rate drove off: between it and the rest a parabola falls below all. */
static void test_a_valley_is_seen_not_made_by_a_wreck(void **state)
{
    (void)state;
    bn_valley_point edge[] = {{3e-3, 3.44}, {3e-3, 3.45}, {3, 13.1},
                              {3, 13.8},    {10, 280},    {10, 310}};
    bn_valley_point far[] = {{1e-3, 3.50}, {1e-3, 3.52}, {3e-3, 3.44}, {3e-3, 3.45}, {10, 280}};
    bn_valley out;
    bn_valley_fit(edge, 6, &out); /* the best was the least that was tried */
    assert_false(out.fitted);
    assert_true(isnan(out.loss));
    bn_valley_fit(far, 5, &out); /* by least squares 2.1 at 1.8e-3 */
    assert_false(out.fitted);
}

static const double SIZES[] = {99e6, 190e6, 390e6, 560e6, 830e6, 1.1e9, 1.5e9, 2.4e9, 3.9e9};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

static void make_law(bn_scaling_point *points, double e, double a, double alpha, double noise)
{
    for (uint64_t i = 0; i < SIZE_COUNT; i++) {
        double loss = e + a * pow(SIZES[i], -alpha);
        points[i] = (bn_scaling_point){SIZES[i], loss * (1 + noise * bn_rng_normal(5, i))};
    }
}

static bn_scaling_fits *open_fits(const bn_scaling_point *points, uint64_t seed)
{
    bn_scaling_fits *fits = NULL;
    bn_error err = {0};
    assert_int_equal(bn_scaling_open(&fits, points, SIZE_COUNT, seed, &err), BN_OK);
    return fits;
}

static bn_scaling fit_law(const bn_scaling_point *points)
{
    bn_scaling_fits *fits = open_fits(points, 1);
    bn_scaling law = bn_scaling_law(fits);
    bn_scaling_close(fits);
    return law;
}

static bn_scaling_twins compare_laws(const bn_scaling_point *side, const bn_scaling_point *base)
{
    bn_scaling_fits *a = open_fits(side, 1), *b = open_fits(base, 2);
    bn_scaling_twins out = bn_scaling_compare(a, b);
    bn_scaling_close(a);
    bn_scaling_close(b);
    return out;
}

static void test_a_scaling_law_without_noise_is_found_exactly(void **state)
{
    (void)state; /* the published sizes and law of TriLM: 1.76 + 185 N^-0.26 */
    bn_scaling_point points[SIZE_COUNT];
    make_law(points, 1.76, 185, 0.26, 0);
    bn_scaling law = fit_law(points);
    assert_true(law.fitted);
    assert_near(law.e, 1.76, 1e-7);
    assert_near(law.alpha, 0.26, 1e-8);
    assert_near(law.a, 185, 1e-4);
    assert_near(law.e_low, 1.76, 1e-3);
    assert_near(law.alpha_high, 0.26, 1e-3);
}

static void test_one_outlier_does_not_move_a_scaling_law(void **state)
{
    (void)state;
    bn_scaling_point points[SIZE_COUNT];
    make_law(points, 1.76, 185, 0.26, 0.0005);
    points[4].loss *= 1.03;
    bn_scaling law = fit_law(points);
    assert_near(law.e, 1.76, 0.03); /* least squares without weights ends near 1.54 */
    assert_near(law.alpha, 0.26, 0.01);
    assert_true(law.e_low <= law.e && law.e <= law.e_high);
}

static void test_too_few_sizes_make_no_law(void **state)
{
    (void)state;
    bn_scaling_point points[SIZE_COUNT];
    make_law(points, 1.76, 185, 0.26, 0);
    for (int i = 3; i < SIZE_COUNT; i++) points[i].size = points[0].size;
    bn_scaling law = fit_law(points);
    assert_int_equal(law.sizes, 3);
    assert_false(law.fitted);
    assert_true(isnan(law.e));
}

static void test_twins_meet_where_their_laws_cross(void **state)
{
    (void)state;
    bn_scaling_point side[SIZE_COUNT], base[SIZE_COUNT];
    make_law(side, 1.63, 185, 0.26, 0); /* worse while small, better in the end */
    make_law(base, 1.70, 159, 0.26, 0);
    bn_scaling_twins out = compare_laws(side, base);
    double crossing = pow((185.0 - 159.0) / 0.07, 1 / 0.26);
    assert_int_equal(out.meeting, BN_MEETING_AHEAD);
    assert_near(out.size / crossing, 1, 0.01);
    make_law(side, 1.76, 185, 0.26, 0); /* the published pair: never */
    make_law(base, 1.67, 159, 0.26, 0);
    out = compare_laws(side, base);
    assert_int_equal(out.meeting, BN_MEETING_BEYOND);
    assert_true(isnan(out.size));
    double loss = 1.76 + 185 * pow(3.9e9, -0.26);
    assert_near(out.ratio, pow((loss - 1.67) / 159, -1 / 0.26) / 3.9e9, 1e-5);
    assert_true(out.ratio < 1);
    assert_near(out.ratio_low, out.ratio, 1e-3); /* without noise resampling moves nothing */
    assert_near(out.ratio_high, out.ratio, 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions_agree_with_closed_forms),
        cmocka_unit_test(test_fewer_than_five_pairs_have_no_interval),
        cmocka_unit_test(test_five_to_nine_pairs_have_students_interval),
        cmocka_unit_test(test_ten_pairs_have_the_accelerated_bootstrap),
        cmocka_unit_test(test_intervals_cover_the_truth_as_often_as_they_say),
        cmocka_unit_test(test_seeds_inside_configurations_widen_the_interval),
        cmocka_unit_test(test_equal_pairs_give_a_point_and_no_surprise),
        cmocka_unit_test(test_holm_corrects_step_by_step),
        cmocka_unit_test(test_anova_splits_a_full_grid_exactly),
        cmocka_unit_test(test_anova_with_replicates_gives_the_textbook_f),
        cmocka_unit_test(test_anova_says_when_a_grid_has_holes),
        cmocka_unit_test(test_importance_finds_the_knob_that_matters),
        cmocka_unit_test(test_importance_has_the_published_formulas_numbers),
        cmocka_unit_test(test_effects_of_knobs_have_omega_squared),
        cmocka_unit_test(test_a_valley_has_fiellers_interval),
        cmocka_unit_test(test_no_valley_without_a_far_side),
        cmocka_unit_test(test_a_valley_of_three_runs_has_no_interval),
        cmocka_unit_test(test_a_valley_is_seen_not_made_by_a_wreck),
        cmocka_unit_test(test_a_scaling_law_without_noise_is_found_exactly),
        cmocka_unit_test(test_one_outlier_does_not_move_a_scaling_law),
        cmocka_unit_test(test_too_few_sizes_make_no_law),
        cmocka_unit_test(test_twins_meet_where_their_laws_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
