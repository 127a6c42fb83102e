/* Attention and head of the CUDA backend, run by the emulator, against the reference: ragged
 * sequences and heads, all formats of the products, strips and chunks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/half.h"
#include "support/cmocka_all.h"
#include "support/half_ops.h"
#include "support/ops_lab.h"

typedef struct shape {
    int batch, seq, heads, kv_heads, dim;
} shape;

/* Around the tiles of 64 and the padded dims of 32, 64, 96 and 128. */
static const shape shapes[] = {
    {2, 1, 2, 2, 20}, {1, 63, 2, 1, 64}, {1, 64, 1, 1, 32},  {1, 65, 4, 2, 20},
    {2, 7, 3, 3, 5},  {1, 130, 2, 1, 8}, {1, 70, 1, 1, 128}, {1, 66, 1, 1, 80},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

typedef struct results {
    size_t queries, keys; /* floats */
    float *out, *lse, *dq, *dk, *dv;
} results;

/* The work is given, not yet done. dout: the deviation of the gradient of `out`. */
static results start_attention(lab *l, shape s, bn_dtype products, float dout)
{
    int rows = s.batch * s.seq;
    bn_attention_args args = {.q = lab_mat(l, rows, s.heads * s.dim, 1),
                              .k = lab_mat(l, rows, s.kv_heads * s.dim, 1),
                              .v = lab_mat(l, rows, s.kv_heads * s.dim, 1),
                              .out = lab_mat(l, rows, s.heads * s.dim, 1),
                              .lse = lab_normal(l, (size_t)rows * (size_t)s.heads, 1),
                              .batch = s.batch,
                              .seq = s.seq,
                              .heads = s.heads,
                              .kv_heads = s.kv_heads,
                              .dim = s.dim,
                              .products = products};
    bn_attention_grads grads = {.dout = lab_mat(l, rows, s.heads * s.dim, dout),
                                .dq = lab_mat(l, rows, s.heads * s.dim, 1),
                                .dk = lab_mat(l, rows, s.kv_heads * s.dim, 1),
                                .dv = lab_mat(l, rows, s.kv_heads * s.dim, 1)};
    bn_attention_forward(l->be, &args);
    bn_attention_backward(l->be, &args, &grads);
    return (results){.queries = (size_t)rows * (size_t)(s.heads * s.dim),
                     .keys = (size_t)rows * (size_t)(s.kv_heads * s.dim),
                     .out = args.out.data,
                     .lse = args.lse,
                     .dq = grads.dq.data,
                     .dk = grads.dk.data,
                     .dv = grads.dv.data};
}

static results attend_scaled(lab *l, shape s, bn_dtype products, float dout)
{
    results made = start_attention(l, s, products, dout);
    lab_wait(l);
    return made;
}

static results attend(lab *l, shape s, bn_dtype products)
{
    return attend_scaled(l, s, products, 1);
}

static void choose_order(const char *seed)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(setenv("BN_EMU_SEED", seed, 1), 0);
}

static void compare(shape s, bn_dtype products, double tolerance)
{
    lab cuda = lab_open("cuda");
    lab reference = lab_open("reference");
    results a = attend(&cuda, s, products);
    results b = attend(&reference, s, products);
    lab_assert_near(a.out, b.out, b.queries, tolerance);
    lab_assert_near(a.lse, b.lse, b.queries / (size_t)s.dim, tolerance);
    lab_assert_near(a.dv, b.dv, b.keys, tolerance);
    if (s.seq > 1) lab_assert_near(a.dq, b.dq, b.queries, tolerance);
    if (s.seq > 1) lab_assert_near(a.dk, b.dk, b.keys, tolerance);
    lab_close(&cuda);
    lab_close(&reference);
}

/* Two planes of bf16 keep 16 bits of fraction; 2e-5 was the most that was seen. */
static void test_f32_attention_agrees_with_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        choose_order(i % 2 ? "1" : "77");
        compare(shapes[i], BN_F32, 3e-5);
    }
}

/* Operands are rounded to 8 bits, errors of 2^-9 a term; 5e-3 of the largest value was the most. */
static void test_bf16_attention_agrees_within_its_rounding(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        choose_order(i % 2 ? "3" : "0");
        compare(shapes[i], BN_BF16, 1e-2);
    }
}

/* Operands are rounded to 11 bits; 8e-4 of the largest value was the most. */
static void test_f16_attention_agrees_within_its_rounding(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        choose_order(i % 2 ? "9" : "1");
        compare(shapes[i], BN_F16, 1.5e-3);
    }
}

/* In place where heads are of whole eights of elements, packed where not. */
static void test_attention_reads_and_writes_sixteen_bits(void **state)
{
    static const char *const seeds[] = {"0", "1", "12"};
    (void)state;
    for (uint64_t seed = 0; seed < 9; seed++) {
        choose_order(seeds[seed % 3]);
        half_op_agrees("cuda", HALF_OP_ATTENTION, BN_BF16, seed);
        half_op_agrees("cuda", HALF_OP_ATTENTION, BN_F16, seed);
    }
}

enum { KEPT_MAX = 8 };

/* Attention whose matrices are kept in 16 bits: q, k, v, dout; out, dq, dk, dv. */
typedef struct kept {
    bn_attention_args args;
    bn_attention_grads grads;
    bn_mat *all[KEPT_MAX];
} kept;

/* Normal values, as those of `dtype` nearest to them; `offset` elements from where memory begins.
 */
static bn_mat keep(lab *l, int rows, int cols, bn_dtype dtype, int offset)
{
    bn_mat wide = lab_mat(l, rows, cols, 1), mat = {.rows = rows, .cols = cols, .dtype = dtype};
    size_t count = (size_t)rows * (size_t)cols;
    uint16_t *memory = lab_bytes(l, (count + (size_t)offset) * sizeof *memory);
    mat.half = memory + offset;
    for (size_t i = 0; i < count; i++) {
        float value = wide.data[i];
        mat.half[i] = dtype == BN_F16 ? bn_f16_from_float(value) : bn_bf16_from_float(value);
    }
    return mat;
}

static void keep_all(lab *l, kept *k, shape s, bn_dtype dtype, int offset)
{
    int rows = s.batch * s.seq;
    *k = (kept){.args = {.batch = s.batch,
                         .seq = s.seq,
                         .heads = s.heads,
                         .kv_heads = s.kv_heads,
                         .dim = s.dim,
                         .products = BN_BF16,
                         .lse = lab_floats(l, (size_t)rows * (size_t)s.heads)}};
    bn_mat *const all[KEPT_MAX] = {&k->args.q,   &k->args.k,   &k->args.v,   &k->grads.dout,
                                   &k->args.out, &k->grads.dq, &k->grads.dk, &k->grads.dv};
    for (int i = 0; i < KEPT_MAX; i++) {
        bool keys = all[i] == &k->args.k || all[i] == &k->args.v || i >= KEPT_MAX - 2;
        *all[i] = keep(l, rows, (keys ? s.kv_heads : s.heads) * s.dim, dtype, offset);
        k->all[i] = all[i];
    }
}

static void run_kept(lab *l, kept *k)
{
    bn_attention_forward(l->be, &k->args);
    bn_attention_backward(l->be, &k->args, &k->grads);
    lab_wait(l);
}

/* Rows and columns [first, end) of a matrix. */
typedef struct part {
    int rows[2], cols[2];
} part;

static void poison(bn_mat mat, part p)
{
    for (int r = p.rows[0]; r < p.rows[1]; r++) {
        for (int c = p.cols[0]; c < p.cols[1]; c++) {
            mat.half[(size_t)r * (size_t)mat.cols + (size_t)c] = c % 2 ? 0x7FC0 : 0x7F80;
        }
    }
}

static void assert_same_part(bn_mat a, bn_mat b, part p)
{
    for (int r = p.rows[0]; r < p.rows[1]; r++) {
        size_t at = (size_t)r * (size_t)a.cols + (size_t)p.cols[0];
        size_t bytes = (size_t)(p.cols[1] - p.cols[0]) * sizeof *a.half;
        assert_memory_equal(a.half + at, b.half + at, bytes);
    }
}

/* NaN and infinity in one part of all operands change no bit of another part's results. */
static void assert_apart(shape s, part poisoned, part healthy)
{
    lab l = lab_open("cuda");
    kept clean, sick;
    keep_all(&l, &clean, s, BN_BF16, 0);
    l.key = 1;
    keep_all(&l, &sick, s, BN_BF16, 0);
    for (int i = 0; i < 4; i++) poison(*sick.all[i], poisoned);
    run_kept(&l, &clean);
    run_kept(&l, &sick);
    for (int i = 4; i < KEPT_MAX; i++) assert_same_part(*clean.all[i], *sick.all[i], healthy);
    lab_close(&l);
}

static void test_what_lies_beside_a_head_or_a_sequence_never_leaks_in(void **state)
{
    (void)state;
    choose_order("8");
    shape s = {2, 70, 2, 2, 40};
    part first = {{0, 70}, {0, 80}}, second = {{70, 140}, {0, 80}};
    part left = {{0, 140}, {0, 40}}, right = {{0, 140}, {40, 80}};
    assert_apart(s, first, second);
    assert_apart(s, second, first);
    assert_apart(s, left, right);
    assert_apart(s, right, left);
}

/* One reads in place, the other packs what does not lie on 16 bytes. */
static void test_packed_operands_and_those_in_place_give_the_same_bits(void **state)
{
    (void)state;
    choose_order("4");
    shape s = {2, 66, 2, 1, 24};
    lab l = lab_open("cuda");
    kept in_place, packed;
    keep_all(&l, &in_place, s, BN_BF16, 0);
    l.key = 1;
    keep_all(&l, &packed, s, BN_BF16, 1);
    run_kept(&l, &in_place);
    run_kept(&l, &packed);
    for (int i = 4; i < KEPT_MAX; i++) {
        bn_mat a = *in_place.all[i];
        assert_same_part(a, *packed.all[i], (part){{0, a.rows}, {0, a.cols}});
    }
    lab_close(&l);
}

/* fp16 read by products in bf16: as the same values in f32 are. */
static void test_operands_of_another_format_are_rounded_to_the_products(void **state)
{
    (void)state;
    choose_order("2");
    shape s = {1, 66, 2, 1, 16};
    lab l = lab_open("cuda");
    kept k;
    keep_all(&l, &k, s, BN_F16, 0);
    bn_attention_args wide = k.args;
    for (bn_mat *mat = &wide.q; mat <= &wide.out; mat++) {
        bn_mat half = *mat;
        *mat = lab_mat(&l, half.rows, half.cols, 0);
        size_t count = (size_t)half.rows * (size_t)half.cols;
        for (size_t i = 0; i < count; i++) mat->data[i] = bn_f16_to_float(half.half[i]);
    }
    wide.lse = lab_floats(&l, (size_t)(s.seq * s.heads));
    bn_attention_forward(l.be, &k.args);
    bn_attention_forward(l.be, &wide);
    lab_wait(&l);
    assert_memory_equal(k.args.lse, wide.lse, (size_t)(s.seq * s.heads) * sizeof *wide.lse);
    for (size_t i = 0; i < (size_t)(s.seq * s.heads * s.dim); i++) {
        assert_int_equal(k.args.out.half[i], bn_f16_from_float(wide.out.data[i]));
    }
    lab_close(&l);
}

/* One key: its weight is 1 whatever the scores are, so nothing changes with them. */
static void test_a_lone_key_has_no_slope(void **state)
{
    (void)state;
    lab l = lab_open("cuda");
    for (bn_dtype products = BN_BF16; products <= BN_F16; products++) {
        results r = attend(&l, (shape){2, 1, 2, 1, 20}, products);
        for (size_t i = 0; i < r.queries; i++) assert_true(fabs((double)r.dq[i]) < 1e-6);
        for (size_t i = 0; i < r.keys; i++) assert_true(fabs((double)r.dk[i]) < 1e-6);
    }
    lab_close(&l);
}

static void compare_orders(shape s, bn_dtype products)
{
    static const char *const seeds[] = {"1", "5", "90210"};
    choose_order("0");
    lab one = lab_open("cuda");
    results a = attend(&one, s, products);
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        choose_order(seeds[i]);
        lab other = lab_open("cuda");
        results b = attend(&other, s, products);
        assert_memory_equal(a.out, b.out, a.queries * sizeof *a.out);
        assert_memory_equal(a.dq, b.dq, a.queries * sizeof *a.dq);
        assert_memory_equal(a.dk, b.dk, a.keys * sizeof *a.dk);
        assert_memory_equal(a.dv, b.dv, a.keys * sizeof *a.dv);
        lab_close(&other);
    }
    lab_close(&one);
}

static void test_bits_of_attention_do_not_depend_on_the_order_of_threads(void **state)
{
    (void)state;
    compare_orders((shape){1, 70, 2, 1, 20}, BN_BF16);
    compare_orders((shape){1, 70, 2, 1, 20}, BN_F16);
}

static size_t count_not_finite(const float *values, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) found += isfinite(values[i]) ? 0 : 1;
    return found;
}

/* dout of 1.4e4 times a normal number is within fp16, and its sums with 128 values are not; of 1e6
 * it is not itself. bf16 ends where f32 does. */
static void test_gradients_beyond_fp16_come_out_as_not_finite(void **state)
{
    (void)state;
    shape s = {1, 66, 1, 1, 128};
    choose_order("5");
    lab l = lab_open("cuda");
    results slopes = attend_scaled(&l, s, BN_F16, 1.4e4F);
    assert_int_equal(count_not_finite(slopes.dv, slopes.keys), 0);
    assert_true(count_not_finite(slopes.dq, slopes.queries) > 0);
    assert_true(count_not_finite(slopes.dk, slopes.keys) > 0);
    results inputs = attend_scaled(&l, s, BN_F16, 1e6F);
    assert_true(count_not_finite(inputs.dv, inputs.keys) > 0);
    results wide = attend_scaled(&l, s, BN_BF16, 1e6F);
    assert_int_equal(count_not_finite(wide.dq, wide.queries), 0);
    assert_int_equal(count_not_finite(wide.dv, wide.keys), 0);
    lab_close(&l);
}

static void test_scores_that_overflow_a_bare_exponential_are_survived(void **state)
{
    (void)state;
    shape s = {1, 66, 1, 1, 16};
    choose_order("0");
    lab l = lab_open("cuda");
    bn_attention_args args = {.q = lab_mat(&l, s.seq, s.dim, 100),
                              .k = lab_mat(&l, s.seq, s.dim, 100),
                              .v = lab_mat(&l, s.seq, s.dim, 1),
                              .out = lab_mat(&l, s.seq, s.dim, 0),
                              .lse = lab_floats(&l, (size_t)s.seq),
                              .batch = 1,
                              .seq = s.seq,
                              .heads = 1,
                              .kv_heads = 1,
                              .dim = s.dim};
    bn_attention_forward(l.be, &args);
    lab_wait(&l);
    for (int i = 0; i < s.seq * s.dim; i++) assert_true(fabs((double)args.out.data[i]) < 10);
    for (int i = 0; i < s.seq; i++) assert_true(isfinite(args.lse[i]));
    lab_close(&l);
}

static void test_heads_that_are_too_wide_are_refused(void **state)
{
    (void)state;
    bn_error err = {0};
    lab l = lab_open("cuda");
    (void)start_attention(&l, (shape){1, 2, 1, 1, 130}, BN_BF16, 1);
    assert_int_equal(bn_backend_sync(l.be, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "130"));
    assert_non_null(strstr(err.text, "128"));
    lab_close(&l);
}

typedef struct head_results {
    float *loss, *dx, *dw;
} head_results;

enum { VOCABULARY = 9, WIDTH = 3 };

static bn_act normal_act(lab *l, int rows, bn_dtype dtype)
{
    size_t count = (size_t)rows * WIDTH;
    bn_act act = lab_act(l, rows, WIDTH, dtype);
    const float *values = lab_normal(l, count, 1);
    if (dtype == BN_F32) memcpy(act.data, values, count * sizeof *values);
    for (size_t i = 0; dtype == BN_BF16 && i < count; i++) {
        ((uint16_t *)act.data)[i] = bn_bf16_from_float(values[i]);
    }
    return act;
}

static head_results lose(lab *l, int rows, bn_dtype x, bool backward)
{
    bn_weight head = lab_weight(l, VOCABULARY, WIDTH, (bn_weight_format){.kind = BN_WEIGHT_BF16});
    bn_act act = normal_act(l, rows, x);
    int32_t *targets = lab_bytes(l, (size_t)rows * sizeof *targets);
    for (int r = 0; r < rows; r++) targets[r] = r % 11 == 3 ? -1 : r % VOCABULARY;
    bn_head_args args = {.x = act, .head = &head, .targets = targets, .scale = 1.0F / 64};
    args.loss = lab_floats(l, (size_t)rows);
    if (backward) args.dx = lab_mat(l, rows, WIDTH, 1);
    if (backward) args.dw = lab_normal(l, VOCABULARY * WIDTH, 1);
    bn_head_loss(l->be, &args);
    lab_wait(l);
    return (head_results){args.loss, args.dx.data, args.dw};
}

/* More rows than a chunk of 4,096, and a last strip of 5. */
static void test_strips_and_chunks_of_the_head_meet_without_a_seam(void **state)
{
    enum { ROWS = 4096 + 1024 + 5 };
    (void)state;
    choose_order("5");
    lab cuda = lab_open("cuda");
    lab reference = lab_open("reference");
    head_results a = lose(&cuda, ROWS, BN_F32, true);
    head_results b = lose(&reference, ROWS, BN_F32, true);
    lab_assert_near(a.loss, b.loss, ROWS, 2e-5);
    lab_assert_near(a.dx, b.dx, (size_t)ROWS * WIDTH, 5e-3);
    lab_assert_near(a.dw, b.dw, VOCABULARY * WIDTH, 1e-3);
    lab_close(&cuda);
    lab_close(&reference);
}

static void test_the_loss_alone_is_the_loss_with_gradients(void **state)
{
    enum { ROWS = 1030 };
    (void)state;
    choose_order("0");
    lab one = lab_open("cuda");
    lab two = lab_open("cuda");
    head_results a = lose(&one, ROWS, BN_BF16, false);
    head_results b = lose(&two, ROWS, BN_BF16, true);
    assert_memory_equal(a.loss, b.loss, ROWS * sizeof *a.loss);
    lab_close(&one);
    lab_close(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_attention_agrees_with_the_reference),
        cmocka_unit_test(test_bf16_attention_agrees_within_its_rounding),
        cmocka_unit_test(test_f16_attention_agrees_within_its_rounding),
        cmocka_unit_test(test_attention_reads_and_writes_sixteen_bits),
        cmocka_unit_test(test_what_lies_beside_a_head_or_a_sequence_never_leaks_in),
        cmocka_unit_test(test_packed_operands_and_those_in_place_give_the_same_bits),
        cmocka_unit_test(test_operands_of_another_format_are_rounded_to_the_products),
        cmocka_unit_test(test_a_lone_key_has_no_slope),
        cmocka_unit_test(test_bits_of_attention_do_not_depend_on_the_order_of_threads),
        cmocka_unit_test(test_gradients_beyond_fp16_come_out_as_not_finite),
        cmocka_unit_test(test_scores_that_overflow_a_bare_exponential_are_survived),
        cmocka_unit_test(test_heads_that_are_too_wide_are_refused),
        cmocka_unit_test(test_strips_and_chunks_of_the_head_meet_without_a_seam),
        cmocka_unit_test(test_the_loss_alone_is_the_loss_with_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
