#include <math.h>

#include "engine/base/rng.h"
#include "runner/search/quantile.h"
#include "runner/search/warp.h"
#include "support/cmocka_all.h"

/* scipy.stats.yeojohnson (SciPy 1.10). */
static void test_the_transform_is_scipys(void **state)
{
    (void)state;
    static const double at[] = {-2.5, -1, 0, 0.5, 3};
    static const struct {
        double power, values[5];
    } cases[] = {
        {-0.7, {-10.53448615, -2.0363034, 0, 0.35300292, 0.88724408}},
        {0, {-5.625, -1.5, 0, 0.40546511, 1.38629436}},
        {1, {-2.5, -1, 0, 0.5, 3}},
        {2, {-1.25276297, -0.69314718, 0, 0.625, 7.5}},
        {2.6, {-0.88069313, -0.56707674, 0, 0.71911736, 13.75321052}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        bn_warp warp = {.deviation = 1, .power = cases[c].power, .bent_deviation = 1};
        for (int i = 0; i < 5; i++) {
            double slope, value = bn_warp_at(&warp, at[i], &slope), next, step = 1e-6;
            assert_true(fabs(value - cases[c].values[i]) < 1e-7);
            next = bn_warp_at(&warp, at[i] + step, &slope);
            assert_true(fabs((next - value) / step - slope) < 1e-4 * slope);
        }
    }
}

static double normal(uint64_t index)
{
    return bn_normal_quantile(bn_rng_uniform(bn_rng_key(4, "warp", 0), index));
}

/* Third standardised moment after the warp. */
static double skewness(const bn_warp *warp, const double *values, size_t count)
{
    double cubes = 0, sum = 0, squares = 0, slope;
    for (size_t i = 0; i < count; i++) {
        double y = bn_warp_at(warp, values[i], &slope);
        sum += y;
        squares += y * y;
        cubes += y * y * y;
    }
    assert_true(fabs(sum / (double)count) < 1e-9);
    assert_true(fabs(squares / (double)count - 1) < 1e-9);
    return cubes / (double)count;
}

static void test_skew_is_taken_away_to_either_side(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    for (int turn = 0; turn < 2; turn++) {
        double side = turn == 0 ? -1 : 1;
        double values[COUNT], cubes = 0;
        for (int i = 0; i < COUNT; i++) values[i] = 7 + side * exp(0.7 * normal((uint64_t)i));
        bn_warp warp;
        bn_warp_fit(&warp, values, COUNT);
        for (int i = 0; i < COUNT; i++) {
            cubes += pow((values[i] - warp.mean) / warp.deviation, 3) / COUNT;
        }
        assert_true(side * cubes > 1);
        assert_true(fabs(skewness(&warp, values, COUNT)) < 0.3);
        assert_true(side > 0 ? warp.power < 0.5 : warp.power > 1.5);
    }
}

static void test_what_is_normal_stays_nearly_straight(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    double values[COUNT];
    for (int i = 0; i < COUNT; i++) values[i] = 3 + 1e-3 * normal((uint64_t)i);
    bn_warp warp;
    bn_warp_fit(&warp, values, COUNT);
    assert_true(fabs(warp.power - 1) < 0.21);
}

static void test_order_is_kept_where_one_result_is_far_out(void **state)
{
    (void)state;
    double values[12], last = -INFINITY, slope;
    for (int i = 0; i < 11; i++) values[i] = 2.5 + 1e-4 * i;
    values[11] = 1e9;
    bn_warp warp;
    bn_warp_fit(&warp, values, 12);
    for (int i = 0; i < 12; i++) {
        double y = bn_warp_at(&warp, values[i], &slope);
        assert_true(isfinite(y) && y >= last && slope > 0);
        last = y;
    }
}

static void test_values_without_spread_only_shift(void **state)
{
    (void)state;
    static const double equal[] = {2.5, 2.5, 2.5};
    double slope;
    for (size_t count = 0; count <= 3; count++) {
        bn_warp warp;
        bn_warp_fit(&warp, equal, count);
        double mean = count ? 2.5 : 0;
        assert_true(fabs(bn_warp_at(&warp, mean, &slope)) < 1e-12);
        assert_true(fabs(bn_warp_at(&warp, mean + 1, &slope) - 1) < 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_transform_is_scipys),
        cmocka_unit_test(test_skew_is_taken_away_to_either_side),
        cmocka_unit_test(test_what_is_normal_stays_nearly_straight),
        cmocka_unit_test(test_order_is_kept_where_one_result_is_far_out),
        cmocka_unit_test(test_values_without_spread_only_shift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
