#include <stdlib.h>

#include "engine/base/rng.h"
#include "reporters/stats/paired.h"
#include "reporters/stats/special.h"
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
