/* What quantizers must do with numbers that training meets sooner or later, on every backend whose
 * memory is the host's. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/half.h"
#include "support/cmocka_all.h"
#include "support/ops_lab.h"

enum { MOST = 64 };

typedef struct codes {
    int8_t code[MOST];
    float scale;
} codes;

/* The codes of a [1, count] weight. */
static codes weight_codes(const char *device, bn_weight_format format, const float *w, int count)
{
    lab l = lab_open(device);
    codes out = {.scale = -1};
    bn_weight weight = lab_weight(&l, 1, count, format);
    memcpy(weight.master, w, (size_t)count * sizeof *w);
    bn_weight_prepare(l.be, &weight);
    bn_weight_codes(l.be, &weight, out.code, &out.scale);
    lab_close(&l);
    return out;
}

/* The codes of one row of activations behind a site. */
static codes act_codes(const char *device, bn_norm_site site, const float *x, int count)
{
    lab l = lab_open(device);
    codes out;
    bn_norm_args args = {.site = site,
                         .x = lab_mat(&l, 1, count, 0),
                         .out = lab_act(&l, 1, count, BN_I8),
                         .stats = lab_floats(&l, BN_NORM_STATS)};
    memcpy(args.x.data, x, (size_t)count * sizeof *x);
    bn_norm_forward(l.be, &args);
    memcpy(out.code, args.out.data, (size_t)count);
    out.scale = args.out.scale[0];
    int32_t sum = 0;
    for (int i = 0; i < count; i++) sum += out.code[i];
    assert_int_equal(args.out.sum[0], sum);
    lab_close(&l);
    return out;
}

static const bn_norm_site no_norm = {.outer = false};

static void test_ternary_is_absmean_and_ties_go_to_even(void **state)
{
    const float w[] = {0.5F, -0.5F, 1.5F, -1.5F};
    const int8_t expected[] = {0, 0, 1, -1}; /* mean |w| = 1 */
    codes got = weight_codes(*state, (bn_weight_format){.kind = BN_WEIGHT_TERNARY}, w, 4);
    assert_true(got.scale == 1.0F);
    assert_memory_equal(got.code, expected, 4);
}

static void test_ternary_median_is_the_lower_one(void **state)
{
    const float w[] = {-8, 0.25F, 1, -0.5F};
    bn_weight_format format = {.kind = BN_WEIGHT_TERNARY, .median = true};
    codes got = weight_codes(*state, format, w, 4);
    assert_true(got.scale == 0.5F);
    const int8_t expected[] = {-1, 0, 1, -1}; /* 0.25 / 0.5 is a tie */
    assert_memory_equal(got.code, expected, 4);
}

static void test_weights_of_zeros_and_denormals_take_the_floor(void **state)
{
    const float zeros[4] = {0};
    const float tiny[] = {1e-40F, -1e-40F, 1e-42F, 0};
    const int8_t none[4] = {0};
    for (bn_weight_kind kind = BN_WEIGHT_TERNARY; kind <= BN_WEIGHT_INT8; kind++) {
        if (kind == BN_WEIGHT_BINARY) continue;
        codes a = weight_codes(*state, (bn_weight_format){.kind = kind}, zeros, 4);
        codes b = weight_codes(*state, (bn_weight_format){.kind = kind}, tiny, 4);
        float floor = kind == BN_WEIGHT_TERNARY ? 1e-5F : 1e-5F / 127.0F;
        assert_true(a.scale == floor && b.scale == floor);
        assert_memory_equal(a.code, none, 4);
        assert_memory_equal(b.code, none, 4);
    }
}

static void test_binary_is_the_sign_around_the_mean_and_zero_is_plus(void **state)
{
    const float w[] = {3, 1, 2, 2, -3, 7};
    const int8_t expected[] = {1, -1, 1, 1, -1, 1}; /* the mean is 2 */
    codes got = weight_codes(*state, (bn_weight_format){.kind = BN_WEIGHT_BINARY}, w, 6);
    assert_true(got.scale == 3.0F);
    assert_memory_equal(got.code, expected, 6);
}

static void test_int8_weights_reach_127_and_are_symmetric(void **state)
{
    const float w[] = {254, -254, 1, -1, 3, 127};
    const int8_t expected[] = {127, -127, 0, 0, 2, 64}; /* scale 2: 0.5, 1.5 and 63.5 are ties */
    codes got = weight_codes(*state, (bn_weight_format){.kind = BN_WEIGHT_INT8}, w, 6);
    assert_true(got.scale == 2.0F);
    assert_memory_equal(got.code, expected, 6);
}

static void test_one_huge_weight_silences_the_others(void **state)
{
    float w[MOST];
    for (int i = 0; i < MOST; i++) w[i] = 0.02F;
    w[7] = -1e30F;
    codes got = weight_codes(*state, (bn_weight_format){.kind = BN_WEIGHT_TERNARY}, w, MOST);
    assert_true(isfinite(got.scale));
    for (int i = 0; i < MOST; i++) assert_int_equal(got.code[i], i == 7 ? -1 : 0);
}

static void test_fp16_scale_is_an_fp16_number(void **state)
{
    float w[MOST];
    for (int i = 0; i < MOST; i++) w[i] = 0.0123F * (float)(i - 20);
    for (bn_weight_kind kind = BN_WEIGHT_TERNARY; kind <= BN_WEIGHT_INT8; kind++) {
        bn_weight_format format = {.kind = kind};
        codes exact = weight_codes(*state, format, w, MOST);
        format.fp16_scale = true;
        codes rounded = weight_codes(*state, format, w, MOST);
        assert_true(rounded.scale == bn_f16_to_float(bn_f16_from_float(exact.scale)));
    }
}

static void test_activation_ties_go_to_even(void **state)
{
    const float x[] = {127, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -126.5F};
    const int8_t expected[] = {127, 0, 2, 2, 0, -2, -126};
    codes got = act_codes(*state, no_norm, x, 7);
    assert_true(got.scale == 1.0F);
    assert_memory_equal(got.code, expected, 7);
}

static void test_rows_of_zeros_and_denormals_take_the_floor(void **state)
{
    const float zeros[5] = {0};
    const float tiny[] = {1e-40F, -1e-41F, 0, 1e-45F, -1e-38F};
    const int8_t none[5] = {0};
    codes a = act_codes(*state, no_norm, zeros, 5);
    codes b = act_codes(*state, no_norm, tiny, 5);
    assert_true(a.scale == 1e-5F / 127.0F && b.scale == 1e-5F / 127.0F);
    assert_memory_equal(a.code, none, 5);
    assert_memory_equal(b.code, none, 5);
    codes normed =
        act_codes(*state, (bn_norm_site){.outer = true, .inner = true, .eps = 1e-5F}, zeros, 5);
    assert_memory_equal(normed.code, none, 5);
}

static void test_one_huge_activation_silences_the_others(void **state)
{
    float x[MOST];
    for (int i = 0; i < MOST; i++) x[i] = (float)(i % 5) - 2;
    x[9] = 3e38F;
    codes got = act_codes(*state, no_norm, x, MOST);
    for (int i = 0; i < MOST; i++) assert_int_equal(got.code[i], i == 9 ? 127 : 0);
}

/* Not finite in, not finite out: so the loss tells of it. */
static void check_not_finite(const char *device, float poison, bool in_weight, bn_norm_site site)
{
    enum { ROWS = 3, INS = 20, OUTS = 4 };
    lab l = lab_open(device);
    bn_norm_args norm = {.site = site,
                         .x = lab_mat(&l, ROWS, INS, 1),
                         .out = lab_act(&l, ROWS, INS, BN_I8),
                         .stats = lab_floats(&l, (size_t)ROWS * BN_NORM_STATS)};
    bn_weight weight = lab_weight(&l, OUTS, INS, (bn_weight_format){.kind = BN_WEIGHT_TERNARY});
    bn_mat out = lab_mat(&l, ROWS, OUTS, 0);
    if (in_weight) {
        weight.master[5] = poison;
        bn_weight_prepare(l.be, &weight);
    } else {
        norm.x.data[INS + 3] = poison;
    }
    bn_norm_forward(l.be, &norm);
    bn_linear_forward(l.be, norm.out, &(bn_linear_out){.weight = &weight, .out = out}, 1);
    for (int i = 0; i < OUTS; i++) {
        assert_true(!isfinite(out.data[OUTS + i]));
        if (!in_weight) assert_true(isfinite(out.data[i]));
    }
    lab_close(&l);
}

static void test_nan_and_infinity_come_out_of_the_product(void **state)
{
    const float poisons[] = {NAN, INFINITY, -INFINITY};
    const bn_norm_site normed = {.outer = true, .inner = true, .eps = 1e-5F};
    for (int i = 0; i < 3; i++) {
        check_not_finite(*state, poisons[i], true, normed);
        check_not_finite(*state, poisons[i], false, normed);
        check_not_finite(*state, poisons[i], false, no_norm);
    }
}

/* round(127 x / max |x|) does not see a factor of the whole row: neither one that was there
 * before, nor the norm's own (BitNet b1.58: norm and quantizer fuse). A power of two moves no
 * float's fraction, so the codes are equal even at ties. */
static void test_codes_do_not_see_the_scale_of_a_row(void **state)
{
    lab l = lab_open(*state);
    const float *x = lab_normal(&l, MOST, 1);
    float scaled[MOST];
    for (int i = 0; i < MOST; i++) scaled[i] = 0x1p-9F * x[i];
    const bn_norm_site gain_free = {.inner = true};
    codes plain = act_codes(*state, no_norm, x, MOST);
    codes small = act_codes(*state, no_norm, scaled, MOST);
    codes normed = act_codes(*state, gain_free, x, MOST);
    assert_memory_equal(plain.code, small.code, MOST);
    assert_true(small.scale == 0x1p-9F * plain.scale);
    double rms = sqrt(lab_dot(x, x, MOST) / MOST + 1e-6);
    assert_true(fabs((double)normed.scale - (double)plain.scale / rms) <= 1e-7);
    for (int i = 0; i < MOST; i++) assert_true(abs(normed.code[i] - plain.code[i]) <= 1);
    lab_close(&l);
}

static int run_on(const char *device)
{
    static char name[16];
    (void)snprintf(name, sizeof name, "%s", device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_ternary_is_absmean_and_ties_go_to_even, name),
        cmocka_unit_test_prestate(test_ternary_median_is_the_lower_one, name),
        cmocka_unit_test_prestate(test_weights_of_zeros_and_denormals_take_the_floor, name),
        cmocka_unit_test_prestate(test_binary_is_the_sign_around_the_mean_and_zero_is_plus, name),
        cmocka_unit_test_prestate(test_int8_weights_reach_127_and_are_symmetric, name),
        cmocka_unit_test_prestate(test_one_huge_weight_silences_the_others, name),
        cmocka_unit_test_prestate(test_fp16_scale_is_an_fp16_number, name),
        cmocka_unit_test_prestate(test_activation_ties_go_to_even, name),
        cmocka_unit_test_prestate(test_rows_of_zeros_and_denormals_take_the_floor, name),
        cmocka_unit_test_prestate(test_one_huge_activation_silences_the_others, name),
        cmocka_unit_test_prestate(test_nan_and_infinity_come_out_of_the_product, name),
        cmocka_unit_test_prestate(test_codes_do_not_see_the_scale_of_a_row, name),
    };
    return cmocka_run_group_tests_name(device, tests, NULL, NULL);
}

int main(void)
{
    return run_on("reference") + run_on("cpu:2");
}
