#include <stdlib.h>

#include "engine/diagnostics.h"
#include "engine/machine.h"
#include "engine/meter.h"
#include "support/cmocka_all.h"
#include "support/model_lab.h"
#include "support/scratch.h"

static bn_codes codes_of(const model_lab *lab)
{
    bn_codes codes;
    bn_error err = {0};
    assert_int_equal(bn_codes_init(&codes, lab->model, &err), BN_OK);
    return codes;
}

static void test_nothing_flips_while_nothing_moves(void **state)
{
    (void)state;
    bn_quant_stats stats;
    model_lab lab = model_lab_open("reference", "quant.variant=ternary", NULL);
    bn_codes codes = codes_of(&lab);
    bn_codes_look(&codes, lab.model, &stats);
    assert_true(stats.flip_rate == 0);
    bn_codes_release(&codes);
    model_lab_close(&lab);
}

/* Normal weights: |W| < s/2 with s = mean |W| = 0.798 sigma is 31 % of them. */
static void test_normal_weights_have_the_zeros_that_theory_says(void **state)
{
    (void)state;
    bn_quant_stats stats;
    double sum = 0;
    model_lab lab = model_lab_open("reference", "quant.variant=ternary", "model.width=64", NULL);
    bn_codes codes = codes_of(&lab);
    bn_codes_look(&codes, lab.model, &stats);
    assert_true(fabs(stats.zero_frac - 0.310) < 0.02);
    assert_true(fabs(stats.balance) < 0.05);
    for (int i = 0; i < BN_HIST_BINS; i++) sum += stats.hist[i];
    assert_true(fabs(sum - 1) < 1e-12);
    assert_true(fabs(stats.hist[0] + stats.hist[1] - stats.zero_frac) < 0.01);
    bn_codes_release(&codes);
    model_lab_close(&lab);
}

static void test_a_negated_layer_flips_all_but_its_zeros(void **state)
{
    (void)state;
    bn_quant_stats stats;
    model_lab lab = model_lab_open("reference", "quant.variant=ternary", NULL);
    bn_codes codes = codes_of(&lab);
    float *weights = model_lab_weights(&lab);
    for (size_t i = 0; i < lab.model->params.floats; i++) weights[i] = -weights[i];
    model_lab_write(&lab, weights);
    bn_codes_look(&codes, lab.model, &stats);
    assert_true(fabs(stats.flip_rate - (1 - stats.zero_frac)) < 1e-12);
    bn_codes_look(&codes, lab.model, &stats);
    assert_true(stats.flip_rate == 0);
    free(weights);
    bn_codes_release(&codes);
    model_lab_close(&lab);
}

static void test_binary_weights_are_never_zero(void **state)
{
    (void)state;
    bn_quant_stats stats;
    model_lab lab = model_lab_open("reference", "quant.variant=binary", NULL);
    bn_codes codes = codes_of(&lab);
    bn_codes_look(&codes, lab.model, &stats);
    assert_true(stats.zero_frac == 0);
    bn_codes_release(&codes);
    model_lab_close(&lab);
}

static void write_counter(const char *root, const char *name, const char *number)
{
    char path[128];
    bn_error err = {0};
    (void)snprintf(path, sizeof path, "%s/intel-rapl:%c", root, name[0]);
    assert_int_equal(bn_dir_make(path, 0755, &err), BN_OK);
    (void)snprintf(path, sizeof path, "intel-rapl:%s", name);
    (void)scratch_write(root, path, number, strlen(number));
}

static void test_energy_is_the_sum_of_packages_and_survives_a_wrap(void **state)
{
    bn_rapl rapl;
    write_counter(*state, "0/energy_uj", "1000000\n");
    write_counter(*state, "0/max_energy_range_uj", "5000000\n");
    write_counter(*state, "1/energy_uj", "4000000\n");
    write_counter(*state, "1/max_energy_range_uj", "5000000\n");
    bn_rapl_init(&rapl, *state);
    assert_int_equal(rapl.count, 2);
    write_counter(*state, "0/energy_uj", "3000000\n");
    write_counter(*state, "1/energy_uj", "500000\n");
    assert_true(fabs(bn_rapl_joules(&rapl) - 3.5) < 1e-12);
    assert_true(bn_rapl_joules(&rapl) == 0);
}

static void test_energy_that_cannot_be_read_is_not_made_up(void **state)
{
    bn_rapl rapl;
    bn_rapl_init(&rapl, *state);
    assert_int_equal(rapl.count, 0);
    assert_true(isnan(bn_rapl_joules(&rapl)));
}

static void test_memory_is_measured_where_the_system_tells(void **state)
{
    (void)state;
    bn_memory memory = bn_memory_now();
    if (isnan(memory.rss_bytes)) skip();
    assert_true(memory.rss_bytes > 1e6);
    assert_true(memory.peak_rss_bytes >= memory.rss_bytes);
}

static void test_rates_are_of_the_steps_since_the_last_report(void **state)
{
    (void)state;
    static bn_values values;
    bn_meter meter = {.tokens_per_step = 100, .peak_flops = 1000};
    meter.cost.train_flops_per_token = 4;
    bn_meter_steps(&meter, 1, 1.5);
    bn_meter_steps(&meter, 1, 0.5);
    bn_meter_report(&meter, &values);
    assert_string_equal(values.rows[0].key, "tokens_per_s");
    assert_true(values.rows[0].number == 100);
    assert_true(values.rows[1].number == 1000); /* step_ms */
    assert_true(values.rows[2].number == 0.4);  /* mfu */
    values.count = 0;
    bn_meter_report(&meter, &values);
    assert_string_not_equal(values.rows[0].key, "tokens_per_s");
}

static void test_a_full_record_drops_what_is_too_much(void **state)
{
    (void)state;
    static bn_values values;
    for (int i = 0; i < BN_RECORD_VALUES_MAX + 5; i++) bn_values_add(&values, "x", i);
    assert_int_equal(values.count, BN_RECORD_VALUES_MAX);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_flips_while_nothing_moves),
        cmocka_unit_test(test_normal_weights_have_the_zeros_that_theory_says),
        cmocka_unit_test(test_a_negated_layer_flips_all_but_its_zeros),
        cmocka_unit_test(test_binary_weights_are_never_zero),
        TEST(test_energy_is_the_sum_of_packages_and_survives_a_wrap),
        TEST(test_energy_that_cannot_be_read_is_not_made_up),
        cmocka_unit_test(test_memory_is_measured_where_the_system_tells),
        cmocka_unit_test(test_rates_are_of_the_steps_since_the_last_report),
        cmocka_unit_test(test_a_full_record_drops_what_is_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
