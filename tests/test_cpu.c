/* The cpu backend against the reference over ragged shapes, for every instruction set that this
 * machine has; and its bits against themselves for 1 to 4 threads. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/rng.h"
#include "engine/cpu/isa.h"
#include "support/cmocka_all.h"
#include "support/ops_lab.h"

typedef struct shape {
    int rows, ins, outs;
} shape;

typedef struct numbers {
    const char *name;
    bn_dtype act;
    bn_weight_format format;
} numbers;

static const numbers all_numbers[] = {
    {"f32", BN_F32, {.kind = BN_WEIGHT_F32}},
    {"bf16", BN_BF16, {.kind = BN_WEIGHT_BF16}},
    {"f16", BN_F16, {.kind = BN_WEIGHT_F16}},
    {"f32 x bf16", BN_F32, {.kind = BN_WEIGHT_BF16}},
    {"ternary/f32", BN_I8, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_F32}},
    {"ternary/bf16", BN_I8, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_BF16}},
    {"ternary/f16", BN_I8, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_F16}},
    {"ternary/i8", BN_I8, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_I8}},
    {"ternary median",
     BN_I8,
     {.kind = BN_WEIGHT_TERNARY, .median = true, .fp16_scale = true, .backward = BN_PRODUCT_BF16}},
    {"binary/bf16", BN_I8, {.kind = BN_WEIGHT_BINARY, .backward = BN_PRODUCT_BF16}},
    {"int8/i8", BN_I8, {.kind = BN_WEIGHT_INT8, .backward = BN_PRODUCT_I8}},
    {"int8/bf16", BN_I8, {.kind = BN_WEIGHT_INT8, .fp16_scale = true, .backward = BN_PRODUCT_BF16}},
    {"weights only, f32", BN_F32, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_F32}},
    {"weights only, bf16", BN_BF16, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_BF16}},
    {"weights only, i8", BN_BF16, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_I8}},
};
enum { NUMBERS = sizeof all_numbers / sizeof all_numbers[0] };

/* What a linear layer makes of operands drawn from the lab's key. */
typedef struct layer_results {
    size_t out_count, dx_count, dw_count;
    float *out, *dx, *dw;
} layer_results;

static layer_results run_layer(lab *l, shape s, const numbers *n)
{
    bn_norm_args norm = {.site = {.outer = true, .eps = 1e-5F},
                         .x = lab_mat(l, s.rows, s.ins, 1),
                         .out = lab_act(l, s.rows, s.ins, n->act),
                         .stats = lab_floats(l, (size_t)s.rows * BN_NORM_STATS)};
    bn_weight weight = lab_weight(l, s.outs, s.ins, n->format);
    bn_mat residual = lab_mat(l, s.rows, s.outs, 1);
    bn_mat out = lab_mat(l, s.rows, s.outs, 0);
    bn_linear_grads grads = {.dy = lab_mat(l, s.rows, s.outs, 1e-3),
                             .dx = lab_mat(l, s.rows, s.ins, 1e-3),
                             .accumulate = s.rows % 2 == 0,
                             .dw = lab_normal(l, (size_t)s.outs * (size_t)s.ins, 1e-3)};
    bn_norm_forward(l->be, &norm);
    bn_linear_forward(l->be, out, residual.data, norm.out, &weight);
    bn_linear_backward(l->be, norm.out, &weight, &grads);
    return (layer_results){.out_count = (size_t)s.rows * (size_t)s.outs,
                           .dx_count = (size_t)s.rows * (size_t)s.ins,
                           .dw_count = (size_t)s.outs * (size_t)s.ins,
                           .out = out.data,
                           .dx = grads.dx.data,
                           .dw = grads.dw};
}

/* Sums of up to 1e3 floats in another order differ by some 1e-6 of the largest. An activation that
 * is a tie may fall on the other side when 1/rms differs in its last bit: one code in 127. */
static void compare_layers(shape s, const numbers *n)
{
    lab cpu = lab_open("cpu:2");
    lab reference = lab_open("reference");
    layer_results a = run_layer(&cpu, s, n);
    layer_results b = run_layer(&reference, s, n);
    lab_assert_near(a.out, b.out, a.out_count, 2e-5);
    lab_assert_near(a.dx, b.dx, a.dx_count, 2e-5);
    lab_assert_near(a.dw, b.dw, a.dw_count, 2e-5);
    lab_close(&cpu);
    lab_close(&reference);
}

static int draw(uint64_t key, uint64_t index, int most)
{
    return 1 + (int)bn_rng_below(key, index, (uint64_t)most);
}

static void test_every_product_agrees_with_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < NUMBERS; i++) {
        uint64_t key = bn_rng_key(11, all_numbers[i].name, 0);
        compare_layers((shape){1, 1, 1}, &all_numbers[i]);
        compare_layers((shape){129, 127, 65}, &all_numbers[i]);
        for (uint64_t j = 0; j < 4; j++) {
            shape s = {draw(key, 3 * j, 60), draw(key, 3 * j + 1, 129), draw(key, 3 * j + 2, 129)};
            compare_layers(s, &all_numbers[i]);
        }
    }
}

/* Longer than one pass of any kernel over the sum. */
static void test_long_sums_agree_with_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < NUMBERS; i++) {
        compare_layers((shape){3, 1301, 5}, &all_numbers[i]);
        compare_layers((shape){1301, 3, 5}, &all_numbers[i]);
    }
}

static void test_bits_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu:1", "cpu:2", "cpu:3", "cpu:4"};
    shape s = {150, 70, 200};
    for (int i = 0; i < NUMBERS; i++) {
        lab one = lab_open(devices[0]);
        layer_results expected = run_layer(&one, s, &all_numbers[i]);
        for (int d = 1; d < 4; d++) {
            lab more = lab_open(devices[d]);
            layer_results got = run_layer(&more, s, &all_numbers[i]);
            assert_memory_equal(got.out, expected.out, got.out_count * sizeof(float));
            assert_memory_equal(got.dx, expected.dx, got.dx_count * sizeof(float));
            assert_memory_equal(got.dw, expected.dw, got.dw_count * sizeof(float));
            lab_close(&more);
        }
        lab_close(&one);
    }
}

/* Everything of a block that is not a linear layer, as one list of floats. */
enum { BATCH = 3, SEQ = 37, HEADS = 4, KV_HEADS = 2, DIM = 20, VOCAB = 83 };
enum { TOKENS = BATCH * SEQ, WIDTH = HEADS * DIM, KV_WIDTH = KV_HEADS * DIM, RESULTS = 16 };
typedef struct rest_results {
    const float *data[RESULTS];
    size_t count[RESULTS];
    int used;
} rest_results;

static void keep(rest_results *out, const float *data, size_t count)
{
    out->data[out->used] = data;
    out->count[out->used++] = count;
}

static void run_attention(lab *l, rest_results *out)
{
    bn_attention_args args = {.q = lab_mat(l, TOKENS, WIDTH, 1),
                              .k = lab_mat(l, TOKENS, KV_WIDTH, 1),
                              .v = lab_mat(l, TOKENS, KV_WIDTH, 1),
                              .out = lab_mat(l, TOKENS, WIDTH, 0),
                              .lse = lab_floats(l, (size_t)TOKENS * HEADS),
                              .batch = BATCH,
                              .seq = SEQ,
                              .heads = HEADS,
                              .kv_heads = KV_HEADS,
                              .dim = DIM};
    bn_attention_grads grads = {.dout = lab_mat(l, TOKENS, WIDTH, 1),
                                .dq = lab_mat(l, TOKENS, WIDTH, 1),
                                .dk = lab_mat(l, TOKENS, KV_WIDTH, 1),
                                .dv = lab_mat(l, TOKENS, KV_WIDTH, 1)};
    bn_rope_args rope = {.x = args.q, .heads = HEADS, .dim = DIM, .seq = SEQ, .theta = 10000};
    bn_rope(l->be, &rope);
    bn_attention_forward(l->be, &args);
    bn_attention_backward(l->be, &args, &grads);
    keep(out, args.q.data, (size_t)TOKENS * WIDTH);
    keep(out, args.out.data, (size_t)TOKENS * WIDTH);
    keep(out, args.lse, (size_t)TOKENS * HEADS);
    keep(out, grads.dq.data, (size_t)TOKENS * WIDTH);
    keep(out, grads.dk.data, (size_t)TOKENS * KV_WIDTH);
    keep(out, grads.dv.data, (size_t)TOKENS * KV_WIDTH);
}

static void run_glu(lab *l, rest_results *out, bool relu2)
{
    bn_glu_args args = {
        .site = {.gain = lab_normal(l, WIDTH, 1), .outer = true, .inner = true, .eps = 1e-5F},
        .gate = lab_mat(l, TOKENS, WIDTH, 2),
        .up = lab_mat(l, TOKENS, WIDTH, 1),
        .out = lab_act(l, TOKENS, WIDTH, BN_F32),
        .stats = lab_floats(l, (size_t)TOKENS * BN_NORM_STATS),
        .relu2 = relu2};
    bn_glu_grads grads = {.dy = lab_mat(l, TOKENS, WIDTH, 1),
                          .dgate = lab_mat(l, TOKENS, WIDTH, 0),
                          .dup = lab_mat(l, TOKENS, WIDTH, 0),
                          .dgain = lab_normal(l, WIDTH, 1)};
    bn_glu_forward(l->be, &args);
    bn_glu_backward(l->be, &args, &grads);
    keep(out, args.out.data, (size_t)TOKENS * WIDTH);
    keep(out, grads.dgate.data, (size_t)TOKENS * WIDTH);
    keep(out, grads.dup.data, (size_t)TOKENS * WIDTH);
    keep(out, grads.dgain, WIDTH);
}

static void run_head(lab *l, rest_results *out, bn_weight_kind kind)
{
    int32_t *targets = lab_bytes(l, TOKENS * sizeof *targets);
    for (int r = 0; r < TOKENS; r++) targets[r] = r % 7 == 3 ? -1 : (r * 31) % VOCAB;
    bn_weight head = lab_weight(l, VOCAB, WIDTH, (bn_weight_format){.kind = kind});
    bn_head_args args = {
        .x = {.data = lab_normal(l, (size_t)TOKENS * WIDTH, 1), .rows = TOKENS, .cols = WIDTH},
        .head = &head,
        .targets = targets,
        .loss = lab_floats(l, TOKENS),
        .dx = lab_mat(l, TOKENS, WIDTH, 1),
        .dw = lab_normal(l, (size_t)VOCAB * WIDTH, 0.1),
        .scale = 1.0F / TOKENS};
    bn_head_loss(l->be, &args);
    keep(out, args.loss, TOKENS);
    keep(out, args.dx.data, (size_t)TOKENS * WIDTH);
    keep(out, args.dw, (size_t)VOCAB * WIDTH);
}

static void run_embedding(lab *l, rest_results *out)
{
    int32_t *tokens = lab_bytes(l, TOKENS * sizeof *tokens);
    for (int r = 0; r < TOKENS; r++) tokens[r] = (r * r) % VOCAB;
    bn_mat table = lab_mat(l, VOCAB, WIDTH, 1);
    bn_mat rows = lab_mat(l, TOKENS, WIDTH, 0);
    bn_embed_forward(l->be, rows, table, tokens);
    bn_embed_backward(l->be, table, rows, tokens);
    keep(out, rows.data, (size_t)TOKENS * WIDTH);
    keep(out, table.data, (size_t)VOCAB * WIDTH);
}

static void run_adamw(lab *l, rest_results *out)
{
    enum { COUNT = 40000 }; /* more than one piece */
    double *squares = lab_bytes(l, sizeof *squares);
    bn_adamw_args args = {.param = lab_normal(l, COUNT, 1),
                          .m = lab_normal(l, COUNT, 0.1),
                          .v = lab_floats(l, COUNT),
                          .count = COUNT,
                          .grad_squares = squares,
                          .lr = 0.01F,
                          .beta1 = 0.9F,
                          .beta2 = 0.95F,
                          .eps = 1e-8F,
                          .decay = 0.1F,
                          .clip = 1,
                          .grad_scale = 0.5F,
                          .step = 3};
    args.grad = lab_normal(l, COUNT, 1);
    for (int i = 0; i < COUNT; i++) args.v[i] = args.m[i] * args.m[i];
    bn_sum_squares(l->be, squares, args.grad, COUNT);
    bn_adamw(l->be, &args);
    keep(out, args.param, COUNT);
}

static void run_rest(lab *l, rest_results *out, int which)
{
    switch (which) {
    case 0:
        run_attention(l, out);
        break;
    case 1:
        run_glu(l, out, false);
        break;
    case 2:
        run_glu(l, out, true);
        break;
    case 3:
        run_head(l, out, BN_WEIGHT_F32);
        break;
    case 4:
        run_head(l, out, BN_WEIGHT_BF16);
        break;
    case 5:
        run_embedding(l, out);
        break;
    case 6:
        run_adamw(l, out);
        break;
    }
}
enum { RESTS = 7 };

static void test_all_other_ops_agree_with_the_reference(void **state)
{
    (void)state;
    for (int which = 0; which < RESTS; which++) {
        lab cpu = lab_open("cpu:3");
        lab reference = lab_open("reference");
        rest_results a = {0};
        rest_results b = {0};
        run_rest(&cpu, &a, which);
        run_rest(&reference, &b, which);
        for (int i = 0; i < a.used; i++) {
            /* bf16 gradients of the logits: a last bit of p turns a tie, 2^-9 of one term */
            lab_assert_near(a.data[i], b.data[i], a.count[i], which == 4 ? 2e-4 : 2e-5);
        }
        lab_close(&cpu);
        lab_close(&reference);
    }
}

static void test_all_other_ops_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu:2", "cpu:3", "cpu:4"};
    for (int which = 0; which < RESTS; which++) {
        lab one = lab_open("cpu:1");
        rest_results a = {0};
        run_rest(&one, &a, which);
        for (int d = 0; d < 3; d++) {
            lab more = lab_open(devices[d]);
            rest_results b = {0};
            run_rest(&more, &b, which);
            for (int i = 0; i < a.used; i++) {
                assert_memory_equal(a.data[i], b.data[i], a.count[i] * sizeof(float));
            }
            lab_close(&more);
        }
        lab_close(&one);
    }
}

/* Also NULL: the machine's best. Before any backend has threads. */
static void choose_isa(const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(name ? setenv("BNEXP_ISA", name, 1) : unsetenv("BNEXP_ISA"), 0);
}

static void test_an_unknown_instruction_set_is_refused_by_name(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be;
    choose_isa("avx3");
    assert_int_equal(bn_device_open(&be, "cpu", 1, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "avx3"));
    assert_non_null(strstr(err.text, "portable"));
    choose_isa(NULL);
}

static void test_an_impossible_allocation_sticks_until_sync(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be;
    assert_int_equal(bn_device_open(&be, "cpu", 1, &err), BN_OK);
    assert_null(bn_backend_alloc(be, SIZE_MAX - 8));
    bn_embed_forward(be, (bn_mat){.rows = 1, .cols = 1}, (bn_mat){.rows = 1, .cols = 1}, NULL);
    assert_int_equal(bn_backend_sync(be, &err), BN_ENOMEM);
    err = (bn_error){0};
    assert_int_equal(bn_backend_sync(be, &err), BN_OK);
    bn_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest each_isa[] = {
        cmocka_unit_test(test_every_product_agrees_with_the_reference),
        cmocka_unit_test(test_long_sums_agree_with_the_reference),
        cmocka_unit_test(test_bits_do_not_depend_on_the_thread_count),
        cmocka_unit_test(test_all_other_ops_agree_with_the_reference),
        cmocka_unit_test(test_all_other_ops_do_not_depend_on_the_thread_count),
    };
    const struct CMUnitTest once[] = {
        cmocka_unit_test(test_an_unknown_instruction_set_is_refused_by_name),
        cmocka_unit_test(test_an_impossible_allocation_sticks_until_sync),
    };
    int failed = 0;
    int count;
    const bn_isa *table = bn_isa_table(&count);
    for (int i = 0; i < count; i++) {
        if (!bn_isa_usable(i)) {
            (void)printf("SKIP %s: this processor lacks it\n", table[i].name);
            continue;
        }
        choose_isa(table[i].name);
        failed += cmocka_run_group_tests_name(table[i].name, each_isa, NULL, NULL);
    }
    choose_isa(NULL);
    return failed + cmocka_run_group_tests(once, NULL, NULL);
}
