#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gpu_meter.h"
#include "engine/gpu_peak.h"
#include "engine/nvml.h"
#include "support/cmocka_all.h"

static bn_nvml *open_fake(const char *library, const char *how)
{
    bn_nvml *nvml = NULL;
    bn_error err = {0};
    assert_int_equal(setenv("BNEXP_NVML", library, 1), 0);
    assert_int_equal(setenv("FAKE_NVML", how, 1), 0);
    if (bn_nvml_open(&nvml, &err) != BN_OK) fail_msg("%s", err.text);
    return nvml;
}

static void refuses(const char *library, const char *how, bn_status status, const char *words)
{
    bn_nvml *nvml = NULL;
    bn_error err = {0};
    assert_int_equal(setenv("BNEXP_NVML", library, 1), 0);
    assert_int_equal(setenv("FAKE_NVML", how, 1), 0);
    assert_int_equal(bn_nvml_open(&nvml, &err), status);
    assert_null(nvml);
    if (!strstr(err.text, words)) fail_msg("'%s' says nothing of '%s'", err.text, words);
}

static void test_every_value_of_a_card_is_read_in_its_unit(void **state)
{
    (void)state;
    bn_nvml *nvml = open_fake(FAKE_NVML, "");
    bn_nvml_reading now = bn_nvml_read(nvml, 1);
    assert_true(now.memory_bytes == 2e9 && now.memory_total_bytes == 80e9);
    assert_true(now.busy_percent == 97 && now.memory_busy_percent == 41);
    assert_true(fabs(now.power_w - 351) < 1e-9 && fabs(now.power_limit_w - 700) < 1e-9);
    assert_true(now.sm_clock_mhz == 1755 && now.memory_clock_mhz == 2619);
    assert_true(now.temperature_c == 61);
    assert_true(now.energy_j > 9000);
    bn_nvml_close(nvml);
}

static void test_cards_are_named_and_the_driver_tells_its_version(void **state)
{
    (void)state;
    bn_nvml_card card;
    bn_error err = {0};
    bn_nvml *nvml = open_fake(FAKE_NVML, "");
    assert_int_equal(bn_nvml_count(nvml), 2);
    assert_string_equal(bn_nvml_driver(nvml), "580.65.06");
    assert_int_equal(bn_nvml_cuda(nvml), 13000);
    assert_int_equal(bn_nvml_card_at(nvml, 0, &card, &err), BN_OK);
    assert_string_equal(card.name, "Fake H100 80GB HBM3");
    assert_int_equal(card.major, 9);
    bn_nvml_close(nvml);
}

static void all_unknown(bn_nvml_reading now)
{
    assert_true(isnan(now.memory_bytes) && isnan(now.busy_percent) && isnan(now.power_w));
    assert_true(isnan(now.energy_j) && isnan(now.sm_clock_mhz) && isnan(now.temperature_c));
}

static void test_what_a_card_does_not_support_is_not_known(void **state)
{
    (void)state;
    bn_nvml *nvml = open_fake(FAKE_NVML, "silent");
    all_unknown(bn_nvml_read(nvml, 0));
    bn_nvml_close(nvml);
}

static void test_a_lost_card_is_not_known_and_cannot_be_named(void **state)
{
    (void)state;
    bn_nvml_card card;
    bn_error err = {0};
    bn_nvml *nvml = open_fake(FAKE_NVML, "lost");
    all_unknown(bn_nvml_read(nvml, 1));
    assert_int_equal(bn_nvml_card_at(nvml, 1, &card, &err), BN_EIO);
    assert_non_null(strstr(err.text, "GPU is lost"));
    bn_nvml_close(nvml);
}

static void test_an_old_driver_tells_what_it_can(void **state)
{
    (void)state;
    bn_nvml_card card;
    bn_error err = {0};
    bn_nvml *nvml = open_fake(FAKE_NVML_OLD, "");
    bn_nvml_reading now = bn_nvml_read(nvml, 0);
    assert_true(now.memory_bytes == 1e9 && fabs(now.power_w - 350) < 1e-9);
    assert_true(isnan(now.energy_j) && isnan(now.busy_percent));
    assert_int_equal(bn_nvml_card_at(nvml, 0, &card, &err), BN_OK);
    assert_string_equal(card.uuid, "");
    assert_string_equal(bn_nvml_driver(nvml), "");
    bn_nvml_close(nvml);
}

static void test_what_is_no_driver_says_why(void **state)
{
    (void)state;
    refuses("/nowhere/libnvidia-ml.so.1", "", BN_ENOENT, "no NVIDIA driver");
    refuses(FAKE_NVML_FOREIGN, "", BN_EINVAL, "nvmlDeviceGetCount_v2");
    refuses(FAKE_NVML, "broken", BN_EIO, "Driver Not Loaded");
}

static void test_a_card_is_found_by_number_and_by_the_beginning_of_its_uuid(void **state)
{
    (void)state;
    bn_nvml *nvml = open_fake(FAKE_NVML, "");
    assert_int_equal(bn_nvml_find(nvml, "1"), 1);
    assert_int_equal(bn_nvml_find(nvml, "GPU-1234"), 1);
    assert_int_equal(bn_nvml_find(nvml, "2"), -1);
    assert_int_equal(bn_nvml_find(nvml, "-1"), -1);
    assert_int_equal(bn_nvml_find(nvml, "GPU-9"), -1);
    assert_int_equal(bn_nvml_find(nvml, ""), -1);
    bn_nvml_close(nvml);
}

static bn_gpu_meter watch(const char *visible, int index, const char *how)
{
    bn_gpu_meter meter;
    bn_error err = {0};
    bn_gpu_place place = {visible, index, "Fake H100 80GB HBM3", ""};
    assert_int_equal(setenv("BNEXP_NVML", FAKE_NVML, 1), 0);
    assert_int_equal(setenv("FAKE_NVML", how, 1), 0);
    if (bn_gpu_meter_init(&meter, &place, &err) != BN_OK) fail_msg("%s", err.text);
    return meter;
}

static void test_the_visible_card_is_watched(void **state)
{
    (void)state;
    static const struct {
        const char *visible;
        int index, card;
    } cases[] = {{NULL, 1, 1},     {"1", 0, 1},          {"1,0", 1, 0},
                 {" 1 , 0", 0, 1}, {"GPU-1234,0", 0, 1}, {"0,GPU-1", 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bn_gpu_meter meter = watch(cases[i].visible, cases[i].index, "");
        assert_int_equal(meter.card, cases[i].card);
        bn_gpu_meter_release(&meter);
    }
}

static void test_a_card_of_another_kind_is_not_taken_for_ours(void **state)
{
    (void)state;
    bn_gpu_meter meter;
    bn_error err = {0};
    bn_gpu_place place = {NULL, 1, "Fake H100 80GB HBM3", ""};
    assert_int_equal(setenv("FAKE_NVML", "two-kinds", 1), 0);
    assert_int_equal(bn_gpu_meter_init(&meter, &place, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "Fake A100"));
    all_unknown(bn_gpu_meter_read(&meter));
    assert_true(isnan(bn_gpu_meter_joules(&meter)));
}

/* CUDA puts the fastest card first, the driver the first of the bus. */
static void test_a_card_is_watched_where_it_sits_however_it_is_numbered(void **state)
{
    (void)state;
    static const struct {
        const char *bus;
        int card;
    } cases[] = {{"0000:0B:00.0", 1}, {"0000:0A:00.0", 0}, {"0000:0C:00.0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bn_gpu_meter meter;
        bn_error err = {0};
        bn_gpu_place place = {NULL, 0, "Fake H100 80GB HBM3", cases[i].bus};
        assert_int_equal(setenv("BNEXP_NVML", FAKE_NVML, 1), 0);
        assert_int_equal(setenv("FAKE_NVML", "", 1), 0);
        assert_int_equal(bn_gpu_meter_init(&meter, &place, &err), BN_OK);
        assert_int_equal(meter.card, cases[i].card);
        bn_gpu_meter_release(&meter);
    }
}

static void test_energy_is_what_was_spent_since_the_last_look(void **state)
{
    (void)state;
    bn_gpu_meter meter = watch(NULL, 0, "");
    assert_true(fabs(bn_gpu_meter_joules(&meter) - 1) < 1e-6);
    (void)bn_gpu_meter_read(&meter); /* a look that is not the meter's */
    assert_true(fabs(bn_gpu_meter_joules(&meter) - 2) < 1e-6);
    assert_int_equal(setenv("FAKE_NVML", "reset", 1), 0);
    assert_true(fabs(bn_gpu_meter_joules(&meter) - 0.25) < 1e-6);
    assert_int_equal(setenv("FAKE_NVML", "silent", 1), 0);
    assert_true(isnan(bn_gpu_meter_joules(&meter)));
    bn_gpu_meter_release(&meter);
}

static double bf16_peak_of(const char *card)
{
    const bn_gpu_peak *peak = bn_gpu_peak_find(card);
    return peak ? peak->bf16 : 0;
}

static void test_peaks_are_found_by_whole_words(void **state)
{
    (void)state;
    assert_true(bf16_peak_of("NVIDIA A100-SXM4-80GB") == 312e12);
    assert_true(bf16_peak_of("NVIDIA A10") == 125e12);
    assert_true(bf16_peak_of("NVIDIA H100 80GB HBM3") == 989.5e12);
    assert_true(bf16_peak_of("NVIDIA H100 PCIe") == 756.5e12);
    assert_true(bf16_peak_of("NVIDIA B200") == 2250e12 && bf16_peak_of("NVIDIA GB200") == 0);
    assert_true(bf16_peak_of("NVIDIA GH200 480GB") == 989.5e12);
    assert_true(bf16_peak_of("NVIDIA L40") == 181.05e12 && bf16_peak_of("NVIDIA L40S") > 300e12);
    assert_true(bf16_peak_of("NVIDIA A10G") == 0);
    assert_true(bf16_peak_of("NVIDIA A100-SXM4-80GB MIG 1g.10gb") == 0);
    assert_true(bf16_peak_of("NVIDIA GeForce GTX 1080") == 0);
}

static void test_the_peak_of_a_step_weighs_forward_and_backward(void **state)
{
    (void)state;
    bn_config config;
    bn_error err = {0};
    bn_config_init(&config);
    const bn_gpu_peak *a100 = bn_gpu_peak_find("NVIDIA A100-SXM4-40GB");
    assert_int_equal(bn_config_set(&config, "quant.variant", "bf16", &err), BN_OK);
    assert_true(fabs(bn_gpu_peak_flops(a100, &config) / 312e12 - 1) < 1e-12);
    assert_int_equal(bn_config_set(&config, "quant.variant", "ternary", &err), BN_OK);
    assert_int_equal(bn_config_set(&config, "quant.backward", "int8", &err), BN_OK);
    assert_true(fabs(bn_gpu_peak_flops(a100, &config) / 624e12 - 1) < 1e-12);
    assert_int_equal(bn_config_set(&config, "quant.backward", "bf16", &err), BN_OK);
    assert_true(fabs(bn_gpu_peak_flops(a100, &config) / 374.4e12 - 1) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_of_a_card_is_read_in_its_unit),
        cmocka_unit_test(test_cards_are_named_and_the_driver_tells_its_version),
        cmocka_unit_test(test_what_a_card_does_not_support_is_not_known),
        cmocka_unit_test(test_a_lost_card_is_not_known_and_cannot_be_named),
        cmocka_unit_test(test_an_old_driver_tells_what_it_can),
        cmocka_unit_test(test_what_is_no_driver_says_why),
        cmocka_unit_test(test_a_card_is_found_by_number_and_by_the_beginning_of_its_uuid),
        cmocka_unit_test(test_the_visible_card_is_watched),
        cmocka_unit_test(test_a_card_of_another_kind_is_not_taken_for_ours),
        cmocka_unit_test(test_a_card_is_watched_where_it_sits_however_it_is_numbered),
        cmocka_unit_test(test_energy_is_what_was_spent_since_the_last_look),
        cmocka_unit_test(test_peaks_are_found_by_whole_words),
        cmocka_unit_test(test_the_peak_of_a_step_weighs_forward_and_backward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
