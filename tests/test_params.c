#include "engine/cost.h"
#include "engine/params.h"
#include "engine/train.h"
#include "support/cmocka_all.h"

static bn_config preset(const char *name, const char *variant)
{
    bn_config config;
    bn_error err = {0};
    bn_config_init(&config);
    assert_int_equal(bn_config_preset(&config, name, &err), BN_OK);
    assert_int_equal(bn_config_set(&config, "quant.variant", variant, &err), BN_OK);
    assert_int_equal(bn_config_resolve(&config, &err), BN_OK);
    return config;
}

static bn_params params_of(const bn_config *config)
{
    bn_params params;
    bn_error err = {0};
    assert_int_equal(bn_params_init(&params, config, &err), BN_OK);
    return params;
}

static void test_seed70m_counts_as_published(void **state)
{
    (void)state;
    bn_config config = preset("seed70m", "ternary");
    bn_params params = params_of(&config);
    assert_int_equal(params.total, 77468928);
    assert_int_equal(params.linear, 28311552);
    bn_params_release(&params);
}

static void test_bitnet70m_counts_as_published(void **state)
{
    (void)state;
    bn_config config = preset("bitnet70m", "ternary");
    bn_params params = params_of(&config);
    assert_int_equal(params.total, 70610688);
    assert_int_equal(params.linear, 46006272);
    bn_params_release(&params);
}

static void test_bitnet778m_has_the_parameters_that_its_name_says(void **state)
{
    (void)state;
    bn_config config = preset("bitnet778m", "ternary");
    bn_params params = params_of(&config);
    assert_int_equal(params.total, 777991680);
    assert_int_equal(params.linear, 679477248);
    bn_params_release(&params);
}

static void test_seed70m_has_the_published_norms_and_no_other(void **state)
{
    (void)state;
    bn_config config = preset("seed70m", "ternary");
    bn_params params = params_of(&config);
    assert_non_null(bn_params_find(&params, "model.layers.5.post_attention_layernorm.weight"));
    assert_null(bn_params_find(&params, "model.layers.5.input_layernorm.weight"));
    assert_null(bn_params_find(&params, "model.layers.5.self_attn.attn_sub_norm.weight"));
    assert_non_null(bn_params_find(&params, "lm_head.weight"));
    bn_params_release(&params);
}

static void test_tensors_lie_side_by_side_and_aligned(void **state)
{
    (void)state;
    bn_config config = preset("tiny", "fp32");
    config.model.vocab = 251;
    bn_params params = params_of(&config);
    size_t at = 0;
    for (size_t i = 0; i < params.count; i++) {
        assert_int_equal(params.tensors[i].offset % BN_TENSOR_ALIGN, 0);
        assert_true(params.tensors[i].offset >= at);
        assert_true(params.tensors[i].offset < at + BN_TENSOR_ALIGN);
        at = params.tensors[i].offset + params.tensors[i].count;
    }
    assert_true(at <= params.floats);
    bn_params_release(&params);
}

static void test_grouped_heads_shrink_key_and_value(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_config config = preset("bitnet70m", "ternary");
    assert_int_equal(bn_config_set(&config, "model.kv_heads", "3", &err), BN_OK);
    bn_params params = params_of(&config);
    const bn_tensor *key = bn_params_at(&params, BN_ROLE_LINEAR, 2, BN_LINEAR_K);
    assert_int_equal(key->rows, 192);
    assert_int_equal(key->cols, 768);
    bn_params_release(&params);
}

static void test_only_linear_layers_and_an_own_head_decay(void **state)
{
    (void)state;
    bn_config config = preset("seed70m", "ternary");
    bn_params params = params_of(&config);
    for (size_t i = 0; i < params.count; i++) {
        bn_role role = params.tensors[i].role;
        assert_int_equal(params.tensors[i].decayed, role == BN_ROLE_LINEAR || role == BN_ROLE_HEAD);
    }
    bn_params_release(&params);
}

/* 28.3 M additions at 0.007 pJ and a 24.6 M head at 0.5 pJ, against 52.9 M at 0.5 pJ. */
static void test_the_energy_estimate_is_the_papers(void **state)
{
    (void)state;
    bn_config ternary = preset("seed70m", "ternary"), half = preset("seed70m", "fp16");
    bn_params params = params_of(&ternary);
    double low = bn_cost_of(&ternary, &params).energy_estimate_j * 1e6;
    double high = bn_cost_of(&half, &params).energy_estimate_j * 1e6;
    assert_true(fabs(low - 12.5) < 0.1);
    assert_true(fabs(high - 26.4) < 0.1);
    bn_params_release(&params);
}

static void test_deployed_bytes_count_two_bits_a_ternary_weight(void **state)
{
    (void)state;
    bn_config config = preset("seed70m", "ternary");
    bn_params params = params_of(&config);
    bn_cost cost = bn_cost_of(&config, &params);
    double matrices = 6 * 7;
    assert_true(cost.deployed_bytes == 28311552 / 4.0 + 2 * matrices + 2.0 * (24576000 * 2 + 5376));
    assert_true(cost.fp16_bytes == 2.0 * 77468928);
    assert_int_equal(cost.ternary_params, 28311552);
    bn_params_release(&params);
}

static void test_the_dry_run_counts_without_data(void **state)
{
    (void)state;
    bn_text out = {0};
    bn_error err = {0};
    bn_config config = preset("seed70m", "ternary");
    assert_int_equal(bn_train_plan(&config, true, &out, &err), BN_OK);
    assert_non_null(strstr(out.data, "\"params\":77468928,\"ternary_params\":28311552,"));
    bn_text_clear(&out);
    assert_int_equal(bn_train_plan(&config, false, &out, &err), BN_OK);
    assert_non_null(strstr(out.data, "parameters      77468928\n"));
    bn_text_release(&out);
}

static void test_the_dry_run_takes_the_vocabulary_from_the_tokenizer(void **state)
{
    (void)state;
    bn_text out = {0};
    bn_error err = {0};
    bn_config config = preset("tiny", "ternary");
    assert_int_equal(bn_train_plan(&config, true, &out, &err), BN_OK);
    assert_non_null(strstr(out.data, "\"model.embed_tokens.weight\",\"kind\":\"embedding\","
                                     "\"shape\":[256,64]"));
    bn_text_release(&out);
}

static void test_the_dry_run_names_an_unknown_device(void **state)
{
    (void)state;
    bn_text out = {0};
    bn_error err = {0};
    bn_config config = preset("tiny", "ternary");
    assert_int_equal(bn_config_set(&config, "train.device", "refrence", &err), BN_OK);
    assert_int_equal(bn_train_plan(&config, true, &out, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "refrence"));
    bn_text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed70m_counts_as_published),
        cmocka_unit_test(test_bitnet70m_counts_as_published),
        cmocka_unit_test(test_bitnet778m_has_the_parameters_that_its_name_says),
        cmocka_unit_test(test_seed70m_has_the_published_norms_and_no_other),
        cmocka_unit_test(test_tensors_lie_side_by_side_and_aligned),
        cmocka_unit_test(test_grouped_heads_shrink_key_and_value),
        cmocka_unit_test(test_only_linear_layers_and_an_own_head_decay),
        cmocka_unit_test(test_the_energy_estimate_is_the_papers),
        cmocka_unit_test(test_deployed_bytes_count_two_bits_a_ternary_weight),
        cmocka_unit_test(test_the_dry_run_counts_without_data),
        cmocka_unit_test(test_the_dry_run_takes_the_vocabulary_from_the_tokenizer),
        cmocka_unit_test(test_the_dry_run_names_an_unknown_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
