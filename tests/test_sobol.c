#include "runner/search/sobol.h"
#include "support/cmocka_all.h"

static bn_sobol sobol_of(uint64_t seed)
{
    bn_sobol sobol;
    bn_sobol_init(&sobol, seed);
    return sobol;
}

static void test_bare_points_are_joe_and_kuos(void **state)
{
    (void)state;
    /* The first 16 points in 8 dimensions, times 16, as SciPy 1.10 gives them. */
    static const int expected[16][8] = {
        {0, 0, 0, 0, 0, 0, 0, 0},      {8, 8, 8, 8, 8, 8, 8, 8},     {12, 4, 4, 4, 12, 12, 4, 12},
        {4, 12, 12, 12, 4, 4, 12, 4},  {6, 6, 10, 14, 6, 2, 6, 14},  {14, 14, 2, 6, 14, 10, 14, 6},
        {10, 2, 14, 10, 10, 14, 2, 2}, {2, 10, 6, 2, 2, 6, 10, 10},  {3, 5, 15, 7, 9, 5, 7, 15},
        {11, 13, 7, 15, 1, 13, 15, 7}, {15, 1, 11, 3, 5, 9, 3, 3},   {7, 9, 3, 11, 13, 1, 11, 11},
        {5, 3, 5, 9, 15, 7, 1, 1},     {13, 11, 13, 1, 7, 15, 9, 9}, {9, 7, 1, 13, 3, 11, 5, 13},
        {1, 15, 9, 5, 11, 3, 13, 5},
    };
    bn_sobol sobol = sobol_of(0);
    for (uint64_t i = 0; i < 16; i++) {
        for (int d = 0; d < 8; d++) {
            assert_int_equal(bn_sobol_digits(&sobol, d, i) >> 28, expected[i][d]);
        }
    }
}

/* Centered L2 discrepancy (Hickernell, Math. Comp. 67, 1998). */
static double discrepancy(double x[][8], int n)
{
    double first = pow(13.0 / 12.0, 8), second = 0, third = 0;
    for (int i = 0; i < n; i++) {
        double product = 1;
        for (int d = 0; d < 8; d++) {
            double a = fabs(x[i][d] - 0.5);
            product *= 1 + 0.5 * a - 0.5 * a * a;
        }
        second += product;
        for (int j = 0; j < n; j++) {
            product = 1;
            for (int d = 0; d < 8; d++) {
                double a = fabs(x[i][d] - 0.5), b = fabs(x[j][d] - 0.5);
                product *= 1 + 0.5 * a + 0.5 * b - 0.5 * fabs(x[i][d] - x[j][d]);
            }
            third += product;
        }
    }
    return first - 2.0 / n * second + third / n / n;
}

static void test_discrepancy_is_scipys(void **state)
{
    (void)state;
    static const struct {
        int n;
        double expected;
    } cases[] = {
        {16, 0.1706494561830283}, {64, 0.017918741864746845}, {256, 0.0022064141123079306}};
    static double points[256][8];
    bn_sobol sobol = sobol_of(0);
    for (int i = 0; i < 256; i++) {
        for (int d = 0; d < 8; d++) {
            points[i][d] = bn_sobol_digits(&sobol, d, (uint64_t)i) * 0x1p-32;
        }
    }
    for (size_t k = 0; k < 3; k++) {
        double found = discrepancy(points, cases[k].n);
        assert_true(fabs(found - cases[k].expected) < 1e-12);
    }
}

static void test_scrambled_points_cover_every_dyadic_interval_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        bn_sobol sobol = sobol_of(seed);
        for (int d = 0; d < BN_SOBOL_DIMS_MAX; d++) {
            bool hit[64] = {false};
            for (uint64_t i = 64; i < 128; i++) {
                double u = bn_sobol_at(&sobol, d, i);
                assert_true(u >= 0 && u < 1);
                assert_false(hit[(int)(u * 64)]);
                hit[(int)(u * 64)] = true;
            }
        }
    }
}

static void test_scrambled_points_are_even_and_other_seeds_differ(void **state)
{
    (void)state;
    static double points[64][8];
    double last = -1;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        bn_sobol sobol = sobol_of(seed);
        for (int i = 0; i < 64; i++) {
            for (int d = 0; d < 8; d++) points[i][d] = bn_sobol_at(&sobol, d, (uint64_t)i);
        }
        double found = discrepancy(points, 64);
        assert_true(found < 0.03); /* 64 independent points: 0.07 on average */
        assert_true(found != last);
        last = found;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bare_points_are_joe_and_kuos),
        cmocka_unit_test(test_discrepancy_is_scipys),
        cmocka_unit_test(test_scrambled_points_cover_every_dyadic_interval_once),
        cmocka_unit_test(test_scrambled_points_are_even_and_other_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
