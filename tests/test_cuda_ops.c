/* Every op of the CUDA backend, its kernels run by the emulator, against the reference over ragged
 * shapes; and its bits against themselves under other orders of threads, warps and blocks. */
#include <math.h>
#include <stdlib.h>

#include "engine/base/rng.h"
#include "support/cmocka_all.h"
#include "support/every_op.h"

static const char *const seeds[] = {"0", "1", "7", "20240229"};
enum { SEEDS = sizeof seeds / sizeof seeds[0] };

/* The order in which the emulator runs what a GPU runs at once. */
static void choose_order(int seed)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(setenv("BN_EMU_SEED", seeds[seed], 1), 0);
}

static void test_every_product_agrees_with_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        uint64_t key = bn_rng_key(17, every_op_numbers[i].name, 0);
        choose_order(i % SEEDS);
        every_op_layer_agrees("cuda", (every_op_shape){1, 1, 1}, &every_op_numbers[i]);
        every_op_layer_agrees("cuda", (every_op_shape){48, 64, 32}, &every_op_numbers[i]);
        every_op_layer_agrees("cuda", (every_op_shape){129, 127, 65}, &every_op_numbers[i]);
        for (uint64_t j = 0; j < 2; j++) {
            every_op_shape s = every_op_draw_shape(key, j);
            every_op_layer_agrees("cuda", s, &every_op_numbers[i]);
        }
    }
}

static void test_long_sums_agree_with_the_reference(void **state)
{
    (void)state;
    choose_order(2);
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        every_op_layer_agrees("cuda", (every_op_shape){3, 1301, 5}, &every_op_numbers[i]);
        every_op_layer_agrees("cuda", (every_op_shape){1301, 3, 5}, &every_op_numbers[i]);
    }
}

/* Several tiles of the kernel that multiplies codes, and more steps than it has stages. */
static void test_products_of_many_tiles_agree_with_the_reference(void **state)
{
    (void)state;
    static const int low_bit[] = {5, 10}; /* ternary/bf16, int8/i8 */
    for (size_t i = 0; i < sizeof low_bit / sizeof low_bit[0]; i++) {
        choose_order(3);
        every_op_layer_agrees("cuda", (every_op_shape){261, 272, 140},
                              &every_op_numbers[low_bit[i]]);
        every_op_layer_agrees("cuda", (every_op_shape){129, 401, 131},
                              &every_op_numbers[low_bit[i]]);
    }
}

/* Rows of all the shared memory that a launch gets unasked, and of more than there is. */
static void test_very_wide_rows_agree_with_the_reference(void **state)
{
    (void)state;
    choose_order(3);
    every_op_layer_agrees("cuda", (every_op_shape){2, 12288, 3}, &every_op_numbers[6]);
    every_op_layer_agrees("cuda", (every_op_shape){2, 13001, 3}, &every_op_numbers[6]);
}

/* What a norm site of these columns makes on the way back, with and without a norm inside. */
static void wide_site(lab *l, every_op_results *out, int cols, bool gated)
{
    enum { ROWS = 35 }; /* more than a block's span */
    bn_norm_site site = {
        .gain = lab_normal(l, (size_t)cols, 1), .outer = true, .inner = !gated, .eps = 1e-5F};
    bn_mat x = lab_mat(l, ROWS, cols, 1);
    bn_mat dx = lab_mat(l, ROWS, cols, 1);
    bn_act act = lab_act(l, ROWS, cols, BN_F32);
    float *stats = lab_floats(l, (size_t)ROWS * BN_NORM_STATS);
    float *dgain = lab_normal(l, (size_t)cols, 1);
    bn_mat other = lab_mat(l, ROWS, cols, 1);
    bn_mat dy = lab_mat(l, ROWS, cols, 1);
    if (gated) {
        bn_glu_args args = {.site = site, .gate = x, .up = other, .out = act, .stats = stats};
        bn_glu_forward(l->be, &args);
        bn_glu_backward(l->be, &args, &(bn_glu_grads){dy, dx, other, dgain});
    } else {
        bn_norm_args args = {.site = site, .x = x, .out = act, .stats = stats};
        bn_norm_forward(l->be, &args);
        bn_norm_backward(l->be, &args, &(bn_norm_grads){dy, dx, true, dgain});
    }
    lab_wait(l);
    const float *made[] = {act.data, dx.data, other.data, dgain};
    for (int i = 0; i < 4; i++) {
        out->data[out->used] = made[i];
        out->count[out->used++] = (size_t)(i == 3 ? 1 : ROWS) * (size_t)cols;
    }
}

/* The columns that a thread does not keep are read again by each of its passes. */
static void test_rows_beyond_what_a_block_holds_agree_with_the_reference(void **state)
{
    static const int widths[] = {4100, 4099};
    (void)state;
    choose_order(2);
    for (int i = 0; i < 4; i++) {
        lab cuda = lab_open("cuda");
        lab reference = lab_open("reference");
        every_op_results a = {0};
        every_op_results b = {0};
        wide_site(&cuda, &a, widths[i % 2], i < 2);
        wide_site(&reference, &b, widths[i % 2], i < 2);
        for (int k = 0; k < a.used; k++) lab_assert_near(a.data[k], b.data[k], a.count[k], 2e-5);
        lab_close(&cuda);
        lab_close(&reference);
    }
}

/* Where the scales of x's codes are powers of two, they are exact on either side of dW's product,
 * and nothing else differs from the reference. */
static void run_exact_scales(lab *l, every_op_results *out, const every_op_number *n)
{
    enum { ROWS = 70, INS = 36, OUTS = 40 };
    bn_norm_args norm = {.x = lab_mat(l, ROWS, INS, 30),
                         .out = lab_act(l, ROWS, INS, BN_I8),
                         .stats = lab_floats(l, (size_t)ROWS * BN_NORM_STATS)};
    for (int i = 0; i < ROWS * INS; i++) {
        float value = rintf(fminf(fmaxf(norm.x.data[i], -127), 127));
        norm.x.data[i] = (i % INS == i / INS % INS ? 127 : value) * (i / INS % 2 ? 0.25F : 0.5F);
    }
    bn_weight weight = lab_weight(l, OUTS, INS, n->format);
    bn_linear_grad grad = {&weight, lab_mat(l, ROWS, OUTS, 1), lab_normal(l, OUTS * INS, 1)};
    bn_norm_forward(l->be, &norm);
    bn_linear_backward(l->be, (bn_mat){.rows = 0}, norm.out, &grad, 1);
    lab_wait(l);
    out->data[0] = grad.dw;
    out->count[0] = OUTS * INS;
}

static void test_weight_gradients_take_scales_and_codes_exactly(void **state)
{
    (void)state;
    choose_order(3);
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        if (every_op_numbers[i].act != BN_I8) continue;
        lab cuda = lab_open("cuda");
        lab reference = lab_open("reference");
        every_op_results a = {0};
        every_op_results b = {0};
        run_exact_scales(&cuda, &a, &every_op_numbers[i]);
        run_exact_scales(&reference, &b, &every_op_numbers[i]);
        lab_assert_near(a.data[0], b.data[0], b.count[0], 2e-6);
        lab_close(&cuda);
        lab_close(&reference);
    }
}

static void test_bits_of_products_do_not_depend_on_the_order_of_threads(void **state)
{
    (void)state;
    every_op_shape s = {33, 70, 41};
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        choose_order(0);
        lab one = lab_open("cuda");
        every_op_layer_results expected = every_op_layer(&one, s, &every_op_numbers[i]);
        for (int seed = 1; seed < SEEDS; seed++) {
            choose_order(seed);
            lab other = lab_open("cuda");
            every_op_layer_results got = every_op_layer(&other, s, &every_op_numbers[i]);
            every_op_layer_same_bits(&got, &expected);
            lab_close(&other);
        }
        lab_close(&one);
    }
}

static void test_all_other_ops_agree_with_the_reference(void **state)
{
    (void)state;
    for (int which = 0; which < EVERY_OP_RESTS; which++) {
        choose_order(which % SEEDS);
        every_op_rest_agrees("cuda", which);
    }
}

static void test_bits_of_all_other_ops_do_not_depend_on_the_order_of_threads(void **state)
{
    (void)state;
    for (int which = 0; which < EVERY_OP_RESTS; which++) {
        choose_order(0);
        lab one = lab_open("cuda");
        every_op_results a = {0};
        every_op_rest(&one, &a, which);
        for (int seed = 1; seed < SEEDS; seed++) {
            choose_order(seed);
            lab other = lab_open("cuda");
            every_op_results b = {0};
            every_op_rest(&other, &b, which);
            for (int i = 0; i < a.used; i++) {
                assert_memory_equal(a.data[i], b.data[i], a.count[i] * sizeof(float));
            }
            lab_close(&other);
        }
        lab_close(&one);
    }
}

/* What lies where a result goes must not matter, not even where it is multiplied with zero. */
static void test_products_do_not_read_what_they_overwrite(void **state)
{
    (void)state;
    enum { ROWS = 33, INS = 64, OUTS = 48 };
    choose_order(0);
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        lab l = lab_open("cuda");
        bn_norm_args norm = {.x = lab_mat(&l, ROWS, INS, 1),
                             .out = lab_act(&l, ROWS, INS, every_op_numbers[i].act),
                             .stats = lab_floats(&l, (size_t)ROWS * BN_NORM_STATS)};
        bn_weight weight = lab_weight(&l, OUTS, INS, every_op_numbers[i].format);
        bn_mat out = lab_mat(&l, ROWS, OUTS, 1);
        bn_mat dx = lab_mat(&l, ROWS, INS, 1);
        bn_linear_out forward = {.weight = &weight, .out = out};
        bn_linear_grad backward = {.weight = &weight,
                                   .dy = lab_mat(&l, ROWS, OUTS, 1),
                                   .dw = lab_floats(&l, (size_t)OUTS * INS)};
        lab_wait(&l);
        for (int n = 0; n < ROWS * OUTS; n++) out.data[n] = NAN;
        for (int n = 0; n < ROWS * INS; n++) dx.data[n] = NAN;
        bn_norm_forward(l.be, &norm);
        bn_linear_forward(l.be, norm.out, &forward, 1);
        bn_linear_backward(l.be, dx, norm.out, &backward, 1);
        lab_wait(&l);
        for (int n = 0; n < ROWS * OUTS; n++) assert_true(isfinite(out.data[n]));
        for (int n = 0; n < ROWS * INS; n++) assert_true(isfinite(dx.data[n]));
        lab_close(&l);
    }
}

static void test_a_tensor_that_does_not_fit_says_how_much_is_missing(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be;
    assert_int_equal(bn_device_open(&be, "cuda", 1, &err), BN_OK);
    assert_null(bn_backend_alloc(be, (size_t)1 << 60));
    bn_embed_forward(be, (bn_mat){.rows = 1, .cols = 1}, (bn_mat){.rows = 1, .cols = 1}, NULL);
    assert_int_equal(bn_backend_sync(be, &err), BN_ENOMEM);
    assert_non_null(strstr(err.text, "1152921504606846976 bytes"));
    assert_non_null(strstr(err.text, "are missing"));
    err = (bn_error){0};
    assert_int_equal(bn_backend_sync(be, &err), BN_OK);
    bn_backend_close(be);
}

static void test_a_card_that_does_not_exist_is_refused_by_its_number(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be;
    assert_int_equal(bn_device_open(&be, "cuda:999", 1, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "no card 999"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_product_agrees_with_the_reference),
        cmocka_unit_test(test_long_sums_agree_with_the_reference),
        cmocka_unit_test(test_products_of_many_tiles_agree_with_the_reference),
        cmocka_unit_test(test_very_wide_rows_agree_with_the_reference),
        cmocka_unit_test(test_rows_beyond_what_a_block_holds_agree_with_the_reference),
        cmocka_unit_test(test_weight_gradients_take_scales_and_codes_exactly),
        cmocka_unit_test(test_bits_of_products_do_not_depend_on_the_order_of_threads),
        cmocka_unit_test(test_all_other_ops_agree_with_the_reference),
        cmocka_unit_test(test_bits_of_all_other_ops_do_not_depend_on_the_order_of_threads),
        cmocka_unit_test(test_products_do_not_read_what_they_overwrite),
        cmocka_unit_test(test_a_tensor_that_does_not_fit_says_how_much_is_missing),
        cmocka_unit_test(test_a_card_that_does_not_exist_is_refused_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
