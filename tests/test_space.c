#include "engine/base/rng.h"
#include "runner/search/quantile.h"
#include "runner/search/space.h"
#include "support/cmocka_all.h"

static double at(bn_parameter p, double u)
{
    bn_setting setting;
    if (p.q == 0) p.q = 1;
    bn_parameter_at(&p, u, &setting);
    return setting.number;
}

static void near(double a, double b, double relative)
{
    if (fabs(a - b) > relative * fmax(fabs(a), fabs(b))) fail_msg("%.17g is not %.17g", a, b);
}

static void test_distributions_are_wandbs(void **state)
{
    (void)state;
    near(at((bn_parameter){.dist = BN_DIST_UNIFORM, .min = 2, .max = 6}, 0.25), 3, 1e-15);
    near(at((bn_parameter){.dist = BN_DIST_LOG_UNIFORM, .min = -7, .max = -1}, 0.5), exp(-4),
         1e-14);
    near(at((bn_parameter){.dist = BN_DIST_LOG_UNIFORM_VALUES, .min = 1e-4, .max = 1e-2}, 0.5),
         1e-3, 1e-14);
    near(at((bn_parameter){.dist = BN_DIST_INV_LOG_UNIFORM, .min = 1, .max = 3}, 0.25), exp(-2.5),
         1e-14);
    near(at((bn_parameter){.dist = BN_DIST_INT_UNIFORM, .min = 1, .max = 4}, 0.75), 4, 0);
    near(at((bn_parameter){.dist = BN_DIST_Q_UNIFORM, .min = 0, .max = 1, .q = 0.1}, 0.3), 0.3, 0);
    near(at((bn_parameter){.dist = BN_DIST_NORMAL, .mu = 1, .sigma = 2}, 0.975),
         1 + 2 * 1.959963984540054, 1e-14);
    near(at((bn_parameter){.dist = BN_DIST_LOG_NORMAL, .mu = 0, .sigma = 1}, 0.5), 1, 1e-14);
    near(at((bn_parameter){.dist = BN_DIST_BETA, .a = 2, .b = 2}, 0.5), 0.5, 1e-12);
}

static void test_rounding_is_half_to_even(void **state)
{
    (void)state;
    bn_parameter p = {.dist = BN_DIST_Q_UNIFORM, .min = 0, .max = 10, .q = 2};
    near(at(p, 0.1), 0, 0);   /* 1 / 2 = 0.5 -> 0 */
    near(at(p, 0.3), 4, 0);   /* 3 / 2 = 1.5 -> 2 */
    near(at(p, 0.5), 4, 0);   /* 5 / 2 = 2.5 -> 2 */
    near(at(p, 0.95), 10, 0); /* 9.5 / 2 = 4.75 -> 5 */
}

static void test_shares_follow_the_probabilities(void **state)
{
    (void)state;
    bn_setting values[3] = {bn_setting_of_text("a"), bn_setting_of_text("b"),
                            bn_setting_of_text("c")};
    double shares[3] = {0.5, 0, 0.5};
    bn_parameter p = {
        .dist = BN_DIST_CATEGORICAL, .values = values, .probabilities = shares, .value_count = 3};
    bn_setting out;
    for (int i = 0; i < 1000; i++) {
        double u = i / 1000.0;
        bn_parameter_at(&p, u, &out);
        assert_string_equal(out.text, u < 0.5 ? "a" : "c");
    }
}

static void test_grid_values_are_the_bounds_and_even_steps_between(void **state)
{
    (void)state;
    bn_parameter p = {
        .dist = BN_DIST_LOG_UNIFORM_VALUES, .min = 1e-4, .max = 1e-2, .q = 1, .grid_points = 3};
    bn_setting out;
    assert_int_equal(bn_parameter_cells(&p), 3);
    bn_parameter_cell(&p, 0, &out);
    assert_true(out.number == 1e-4);
    bn_parameter_cell(&p, 1, &out);
    near(out.number, 1e-3, 1e-14);
    bn_parameter_cell(&p, 2, &out);
    assert_true(out.number == 1e-2);
    p.grid_points = 0;
    assert_int_equal(bn_parameter_cells(&p), 0);
}

static void test_whole_steps_are_counted_and_listed(void **state)
{
    (void)state;
    bn_parameter p = {.dist = BN_DIST_Q_UNIFORM, .min = 0, .max = 1, .q = 0.25};
    bn_setting out;
    assert_int_equal(bn_parameter_cells(&p), 5);
    bn_parameter_cell(&p, 3, &out);
    assert_string_equal(out.text, "0.75");
    bn_parameter i = {.dist = BN_DIST_INT_UNIFORM, .min = -2, .max = 2};
    assert_int_equal(bn_parameter_cells(&i), 5);
    bn_parameter_cell(&i, 0, &out);
    assert_string_equal(out.text, "-2");
    assert_int_equal(out.kind, BN_SETTING_INT);
}

static void test_any_quantile_lies_in_its_bounds(void **state)
{
    (void)state;
    const bn_dist bounded[] = {BN_DIST_UNIFORM, BN_DIST_LOG_UNIFORM_VALUES,
                               BN_DIST_INV_LOG_UNIFORM_VALUES, BN_DIST_INT_UNIFORM};
    for (uint64_t i = 0; i < 40000; i++) {
        bn_parameter p = {.dist = bounded[i % 4], .min = 3, .max = 7, .q = 1};
        double u = i % 7 == 0 ? 1 - 0x1p-53 : i % 7 == 1 ? 0 : bn_rng_uniform(1, i);
        bn_setting out;
        bn_parameter_at(&p, u, &out);
        assert_true(out.number >= p.min && out.number <= p.max);
    }
}

static void test_quantiles_invert_their_distribution(void **state)
{
    (void)state;
    for (int i = 1; i < 1000; i++) {
        double u = i / 1000.0;
        near(0.5 * erfc(-bn_normal_quantile(u) * sqrt(0.5)), u, 1e-13);
        near(bn_beta_cdf(bn_beta_quantile(u, 0.5, 3), 0.5, 3), u, 1e-9);
    }
    near(bn_normal_quantile(1e-300), -37.0471, 1e-5);
    near(bn_normal_log_cdf(-40), -804.608442013754, 1e-12);
    near(bn_erfcx(25), 0.022549572, 1e-6);
}

static void test_text_from_people_becomes_what_it_looks_like(void **state)
{
    (void)state;
    assert_int_equal(bn_setting_parse("3").kind, BN_SETTING_INT);
    assert_int_equal(bn_setting_parse("3.0").kind, BN_SETTING_REAL);
    assert_int_equal(bn_setting_parse("1e-3").kind, BN_SETTING_REAL);
    assert_int_equal(bn_setting_parse("true").kind, BN_SETTING_BOOL);
    assert_int_equal(bn_setting_parse("1e-3x").kind, BN_SETTING_TEXT);
    assert_int_equal(bn_setting_parse("nan").kind, BN_SETTING_TEXT);
    assert_int_equal(bn_setting_parse("").kind, BN_SETTING_TEXT);
    bn_setting whole = bn_setting_parse("3"), real = bn_setting_parse("3.0");
    assert_true(bn_setting_equal(&whole, &real));
}

static void test_points_are_read_back_from_the_json_of_their_runs(void **state)
{
    (void)state;
    bn_setting words[3] = {bn_setting_of_text("8"), bn_setting_of_text("a \"b\"\n\\"),
                           bn_setting_of_text("data/x.txt")};
    bn_space space = {.count = 2};
    space.params[0] =
        (bn_parameter){.name = "w", .dist = BN_DIST_CATEGORICAL, .values = words, .value_count = 3};
    space.params[1] = (bn_parameter){.name = "lr", .dist = BN_DIST_UNIFORM, .max = 1};
    bn_point point = {0};
    for (int i = 0; i < 3; i++) {
        bn_text text = {0};
        bn_json json = {.text = &text};
        bn_setting_json(&words[i], &json);
        assert_true(bn_point_set_json(&space, &point, "w", text.data));
        assert_string_equal(point.values[0].text, words[i].text);
        bn_text_release(&text);
    }
    assert_true(bn_point_set_json(&space, &point, "w", "8"));
    assert_string_equal(point.values[0].text, "8");
    assert_true(bn_point_set_json(&space, &point, "w", "\"/home/me/data/x.txt\""));
    assert_string_equal(point.values[0].text, "data/x.txt");
    assert_true(bn_point_set_json(&space, &point, "lr", "0.001"));
    assert_true(point.values[1].number == 0.001);
    assert_false(bn_point_set_json(&space, &point, "w", "\"other\""));
    assert_false(bn_point_set_json(&space, &point, "lr", "\"fast\""));
    assert_false(bn_point_set_json(&space, &point, "none", "1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions_are_wandbs),
        cmocka_unit_test(test_rounding_is_half_to_even),
        cmocka_unit_test(test_shares_follow_the_probabilities),
        cmocka_unit_test(test_grid_values_are_the_bounds_and_even_steps_between),
        cmocka_unit_test(test_whole_steps_are_counted_and_listed),
        cmocka_unit_test(test_any_quantile_lies_in_its_bounds),
        cmocka_unit_test(test_quantiles_invert_their_distribution),
        cmocka_unit_test(test_points_are_read_back_from_the_json_of_their_runs),
        cmocka_unit_test(test_text_from_people_becomes_what_it_looks_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
