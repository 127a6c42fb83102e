#include "engine/config.h"
#include "support/cmocka_all.h"

static void test_every_default_is_valid_and_reads_back(void **state)
{
    (void)state;
    bn_config a, b;
    bn_config_init(&a);
    bn_config_init(&b);
    size_t count = 0;
    const bn_knob *table = bn_knob_table(&count);
    for (size_t i = 0; i < count; i++) {
        bn_text text = {0};
        bn_error err = {0};
        bn_config_get(&a, &table[i], &text);
        assert_int_equal(bn_config_set(&b, table[i].name, text.data ? text.data : "", &err), BN_OK);
        bn_text_release(&text);
    }
    assert_memory_equal(&a, &b, sizeof a);
}

static void test_a_misspelt_knob_names_the_nearest(void **state)
{
    (void)state;
    bn_config config;
    bn_error err = {0};
    bn_config_init(&config);
    assert_int_equal(bn_config_set(&config, "optim.rl", "1", &err), BN_EINVAL);
    assert_string_equal(err.text, "there is no knob 'optim.rl'; did you mean 'optim.lr'?");
}

static void test_values_out_of_range_are_named(void **state)
{
    (void)state;
    bn_config config;
    bn_config_init(&config);
    const char *bad[][3] = {
        {"optim.lr", "-1", "'optim.lr' must be from 0 to 10, is -1"},
        {"model.width", "1.5", "'model.width' must be a whole number, is '1.5'"},
        {"model.tied", "maybe", "'model.tied' must be true or false, is 'maybe'"},
        {"quant.act_bits", "4", "'quant.act_bits' must be one of 8|none, is '4'"},
        {"optim.lr", "nan", "'optim.lr' must be a number, is 'nan'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bn_error err = {0};
        assert_int_equal(bn_config_set(&config, bad[i][0], bad[i][1], &err), BN_EINVAL);
        assert_string_equal(err.text, bad[i][2]);
    }
}

static void test_resolve_gives_each_variant_its_published_rate(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_config ternary, half;
    bn_config_init(&ternary);
    bn_config_init(&half);
    assert_int_equal(bn_config_set(&half, "quant.variant", "fp16", &err), BN_OK);
    assert_int_equal(bn_config_resolve(&ternary, &err), BN_OK);
    assert_int_equal(bn_config_resolve(&half, &err), BN_OK);
    assert_true(ternary.optim.lr == 2.4e-3 && half.optim.lr == 4e-4);
    assert_int_equal(ternary.optim.schedule, BN_LR_TWO_STAGE);
    assert_int_equal(half.optim.wd_schedule, BN_WD_CONSTANT);
}

static void test_heads_that_do_not_divide_the_width_are_refused(void **state)
{
    (void)state;
    bn_config config;
    bn_error err = {0};
    bn_config_init(&config);
    assert_int_equal(bn_config_set(&config, "model.heads", "3", &err), BN_OK);
    assert_int_equal(bn_config_resolve(&config, &err), BN_EINVAL);
    assert_string_equal(err.text,
                        "'model.heads' must divide 'model.width' into even parts, is 3 for 128");
}

static void test_presets_exist_and_resolve(void **state)
{
    (void)state;
    size_t count = 0;
    const char *const *names = bn_config_preset_names(&count);
    for (size_t i = 0; i < count; i++) {
        bn_config config;
        bn_error err = {0};
        bn_config_init(&config);
        assert_int_equal(bn_config_preset(&config, names[i], &err), BN_OK);
        assert_int_equal(bn_config_resolve(&config, &err), BN_OK);
    }
    bn_config config;
    bn_error err = {0};
    assert_int_equal(bn_config_preset(&config, "seed7m", &err), BN_ENOENT);
    assert_string_equal(err.text, "there is no preset 'seed7m'; did you mean 'seed70m'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_default_is_valid_and_reads_back),
        cmocka_unit_test(test_a_misspelt_knob_names_the_nearest),
        cmocka_unit_test(test_values_out_of_range_are_named),
        cmocka_unit_test(test_resolve_gives_each_variant_its_published_rate),
        cmocka_unit_test(test_heads_that_do_not_divide_the_width_are_refused),
        cmocka_unit_test(test_presets_exist_and_resolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
