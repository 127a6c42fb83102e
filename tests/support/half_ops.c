#include "support/half_ops.h"

#include "engine/base/half.h"
#include "engine/base/rng.h"
#include "support/cmocka_all.h"
#include "support/every_op.h"

/* One matrix or vector of results as it came out. */
typedef struct result {
    const char *name;
    bn_mat mat;
} result;

enum { RESULTS_MAX = 12 };

/* An op given twice: `dtype` says what its matrices are kept in. Values are drawn from the lab's
 * key, so both runs begin with the same. */
typedef struct bench {
    lab l;
    bn_dtype dtype;   /* of this run's matrices */
    bn_dtype rounded; /* what all values are rounded to in both runs */
    uint64_t seed;
    result results[RESULTS_MAX];
    int used;
} bench;

static float to_half_and_back(float value, bn_dtype dtype)
{
    return dtype == BN_F16 ? bn_f16_to_float(bn_f16_from_float(value))
                           : bn_bf16_to_float(bn_bf16_from_float(value));
}

static float get(bn_mat m, size_t i)
{
    if (m.dtype == BN_F32) return m.data[i];
    return m.dtype == BN_F16 ? bn_f16_to_float(m.half[i]) : bn_bf16_to_float(m.half[i]);
}

static size_t count_of(bn_mat m)
{
    return (size_t)m.rows * (size_t)m.cols;
}

/* Values of the given deviation. Results are drawn as well: what lies where they go must not
 * matter. */
static bn_mat draw(bench *b, int rows, int cols, double deviation)
{
    bn_mat wide = lab_mat(&b->l, rows, cols, deviation);
    for (size_t i = 0; i < count_of(wide); i++) {
        wide.data[i] = to_half_and_back(wide.data[i], b->rounded);
    }
    if (b->dtype == BN_F32) return wide;
    bn_mat narrow = {.rows = rows, .cols = cols, .dtype = b->dtype};
    narrow.half = lab_bytes(&b->l, count_of(wide) * sizeof *narrow.half);
    for (size_t i = 0; i < count_of(wide); i++) {
        narrow.half[i] =
            b->dtype == BN_F16 ? bn_f16_from_float(wide.data[i]) : bn_bf16_from_float(wide.data[i]);
    }
    return narrow;
}

static void keep(bench *b, const char *name, bn_mat mat)
{
    assert_true(b->used < RESULTS_MAX);
    b->results[b->used++] = (result){name, mat};
}

static void keep_floats(bench *b, const char *name, float *data, int rows, int cols)
{
    keep(b, name, (bn_mat){.data = data, .rows = rows, .cols = cols});
}

static int between(const bench *b, uint64_t index, int least, int most)
{
    uint64_t key = bn_rng_key(b->seed, "shape", 0);
    return least + (int)bn_rng_below(key, index, (uint64_t)(most - least + 1));
}

static void run_norm(bench *b)
{
    int rows = between(b, 0, 1, 70), cols = between(b, 1, 1, 150);
    bn_norm_args args = {.site = {.gain = lab_normal(&b->l, (size_t)cols, 1),
                                  .outer = true,
                                  .inner = b->seed % 2 == 0,
                                  .eps = 1e-5F},
                         .x = draw(b, rows, cols, 1),
                         .out = lab_act(&b->l, rows, cols, BN_I8),
                         .stats = lab_floats(&b->l, (size_t)rows * BN_NORM_STATS)};
    bn_norm_grads grads = {.dy = draw(b, rows, cols, 1),
                           .dx = draw(b, rows, cols, 1),
                           .dgain = lab_normal(&b->l, (size_t)cols, 1)};
    bn_norm_grads again = {.dy = draw(b, rows, cols, 1),
                           .dx = lab_mat(&b->l, rows, cols, 1),
                           .add = true,
                           .dgain = lab_normal(&b->l, (size_t)cols, 1)};
    bn_norm_forward(b->l.be, &args);
    bn_norm_backward(b->l.be, &args, &grads);
    bn_norm_backward(b->l.be, &args, &again);
    keep_floats(b, "scale", args.out.scale, rows, 1);
    keep_floats(b, "stats", args.stats, rows, BN_NORM_STATS);
    keep(b, "dx", grads.dx);
    keep(b, "dx added to", again.dx);
    keep_floats(b, "dgain", grads.dgain, 1, cols);
}

static void run_glu(bench *b)
{
    int rows = between(b, 0, 1, 70), cols = between(b, 1, 1, 150);
    bool gained = b->seed % 3 != 0;
    bn_glu_args args = {.site = {.gain = gained ? lab_normal(&b->l, (size_t)cols, 1) : NULL,
                                 .outer = gained,
                                 .eps = 1e-5F},
                        .gate = draw(b, rows, cols, 2),
                        .up = draw(b, rows, cols, 1),
                        .out = lab_act(&b->l, rows, cols, BN_F32),
                        .stats = lab_floats(&b->l, (size_t)rows * BN_NORM_STATS),
                        .relu2 = b->seed % 2 == 0};
    bn_glu_grads grads = {.dy = draw(b, rows, cols, 1),
                          .dgate = args.gate,
                          .dup = args.up,
                          .dgain = gained ? lab_normal(&b->l, (size_t)cols, 1) : NULL};
    bn_glu_forward(b->l.be, &args);
    bn_glu_backward(b->l.be, &args, &grads);
    keep_floats(b, "out", args.out.data, rows, cols);
    keep(b, "dgate", grads.dgate);
    keep(b, "dup", grads.dup);
    if (gained) keep_floats(b, "dgain", grads.dgain, 1, cols);
}

/* A site with one to three layers of one number format. */
static void run_linear(bench *b)
{
    const every_op_number *number = &every_op_numbers[b->seed % EVERY_OP_NUMBERS];
    int rows = between(b, 0, 1, 140), ins = between(b, 1, 1, 150);
    int count = between(b, 2, 1, BN_SITE_LAYERS_MAX);
    bn_weight weights[BN_SITE_LAYERS_MAX];
    bn_linear_out outs[BN_SITE_LAYERS_MAX];
    bn_linear_grad grads[BN_SITE_LAYERS_MAX];
    bn_norm_args norm = {.site = {.outer = true, .eps = 1e-5F},
                         .x = draw(b, rows, ins, 1),
                         .out = lab_act(&b->l, rows, ins, number->act),
                         .stats = lab_floats(&b->l, (size_t)rows * BN_NORM_STATS)};
    for (int i = 0; i < count; i++) {
        int width = between(b, 3 + (uint64_t)i, 1, 150);
        weights[i] = lab_weight(&b->l, width, ins, number->format);
        outs[i] = (bn_linear_out){.weight = &weights[i], .out = draw(b, rows, width, 1)};
        grads[i] = (bn_linear_grad){&weights[i], draw(b, rows, width, 1),
                                    lab_normal(&b->l, (size_t)width * (size_t)ins, 1)};
    }
    bn_mat dx = draw(b, rows, ins, 1);
    bn_norm_forward(b->l.be, &norm);
    bn_linear_forward(b->l.be, norm.out, outs, count);
    bn_linear_backward(b->l.be, dx, norm.out, grads, count);
    for (int i = 0; i < count; i++) {
        keep(b, "out", outs[i].out);
        keep_floats(b, "dw", grads[i].dw, weights[i].rows, weights[i].cols);
    }
    keep(b, "dx", dx);
}

static void run_rope(bench *b)
{
    int heads = between(b, 0, 1, 4), dim = 2 * between(b, 1, 1, 40), seq = between(b, 2, 1, 40);
    bn_rope_args args = {.x = draw(b, 2 * seq, heads * dim, 1),
                         .heads = heads,
                         .dim = dim,
                         .seq = seq,
                         .theta = 10000,
                         .inverse = b->seed % 2 == 0};
    bn_rope(b->l.be, &args);
    keep(b, "x", args.x);
}

static void run_attention(bench *b)
{
    int group = between(b, 0, 1, 2), kv_heads = between(b, 1, 1, 3);
    int dim = between(b, 2, 1, 64) * 2, seq = between(b, 3, 1, 150), heads = group * kv_heads;
    if (b->seed % 2 == 0) dim = (dim + 7) / 8 * 8; /* what lies on 16 bytes may go another way */
    bn_attention_args args = {.q = draw(b, 2 * seq, heads * dim, 1),
                              .k = draw(b, 2 * seq, kv_heads * dim, 1),
                              .v = draw(b, 2 * seq, kv_heads * dim, 1),
                              .out = draw(b, 2 * seq, heads * dim, 1),
                              .lse = lab_floats(&b->l, (size_t)(2 * seq) * (size_t)heads),
                              .batch = 2,
                              .seq = seq,
                              .heads = heads,
                              .kv_heads = kv_heads,
                              .dim = dim,
                              .products = b->rounded};
    bn_attention_grads grads = {.dout = draw(b, 2 * seq, heads * dim, 1),
                                .dq = draw(b, 2 * seq, heads * dim, 1),
                                .dk = draw(b, 2 * seq, kv_heads * dim, 1),
                                .dv = draw(b, 2 * seq, kv_heads * dim, 1)};
    bn_attention_forward(b->l.be, &args);
    bn_attention_backward(b->l.be, &args, &grads);
    keep(b, "out", args.out);
    keep_floats(b, "lse", args.lse, 2 * seq, heads);
    keep(b, "dq", grads.dq);
    keep(b, "dk", grads.dk);
    keep(b, "dv", grads.dv);
}

static void run_head(bench *b)
{
    int rows = between(b, 0, 1, 60), cols = between(b, 1, 1, 100), words = between(b, 2, 2, 200);
    int32_t *targets = lab_bytes(&b->l, (size_t)rows * sizeof *targets);
    for (int r = 0; r < rows; r++) targets[r] = r % 5 == 4 ? -1 : r * 17 % words;
    bn_weight_kind kind = b->seed % 2 == 0 ? BN_WEIGHT_F32 : BN_WEIGHT_BF16;
    bn_weight head = lab_weight(&b->l, words, cols, (bn_weight_format){.kind = kind});
    bn_head_args args = {
        .x = {.data = lab_normal(&b->l, (size_t)(rows * cols), 1), .rows = rows, .cols = cols},
        .head = &head,
        .targets = targets,
        .loss = lab_floats(&b->l, (size_t)rows),
        .dx = draw(b, rows, cols, 1),
        .dw = lab_normal(&b->l, (size_t)(words * cols), 1),
        .scale = 1};
    bn_head_loss(b->l.be, &args);
    keep_floats(b, "loss", args.loss, rows, 1);
    keep(b, "dx", args.dx);
    keep_floats(b, "dw", args.dw, words, cols);
}

static void (*const runs[HALF_OPS])(bench *) = {
    [HALF_OP_NORM] = run_norm,           [HALF_OP_GLU] = run_glu,
    [HALF_OP_LINEAR] = run_linear,       [HALF_OP_ROPE] = run_rope,
    [HALF_OP_ATTENTION] = run_attention, [HALF_OP_HEAD] = run_head,
};

/* Rounded once, a value is off by at most half a unit in its last place; of three layers' sums, and
 * of attention's backward pass, which reads an `out` that was rounded, a few of the largest. */
static void assert_rounded(const result *half, const result *wide, int op, bn_dtype dtype)
{
    double unit = dtype == BN_F16 ? 0x1p-11 : 0x1p-8, most = 1e-30;
    bool sums = op == HALF_OP_LINEAR || op == HALF_OP_ATTENTION;
    size_t count = count_of(wide->mat);
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs((double)get(wide->mat, i)));
    for (size_t i = 0; i < count; i++) {
        double value = (double)get(wide->mat, i), got = (double)get(half->mat, i);
        double allowed = sums ? 2 * unit * most : 1.02 * unit * fabs(value) + 1e-5 * most;
        if (dtype == BN_F16) allowed += 0x1p-24; /* subnormal ones */
        if (!(fabs(got - value) <= allowed)) {
            fail_msg("%s[%zu] is %.9g in 16 bits, %.9g in f32 (largest %.3g)", half->name, i, got,
                     value, most);
        }
    }
}

/* Values that `rounded` holds, kept in `dtype`, through an op. */
static bench run(const char *device, int op, bn_dtype dtype, bn_dtype rounded, uint64_t seed)
{
    bench b = {.l = lab_open(device), .dtype = dtype, .rounded = rounded, .seed = seed};
    b.l.key = seed * 1000 + 1;
    runs[op](&b);
    lab_wait(&b.l);
    return b;
}

void half_op_agrees(const char *device, int op, bn_dtype dtype, uint64_t seed)
{
    bench half = run(device, op, dtype, dtype, seed);
    bench wide = run(device, op, BN_F32, dtype, seed);
    assert_int_equal(half.used, wide.used);
    for (int i = 0; i < half.used; i++) {
        assert_rounded(&half.results[i], &wide.results[i], op, dtype);
    }
    lab_close(&half.l);
    lab_close(&wide.l);
}

void half_op_has_the_same_bits(const char *device, const char *other, int op, bn_dtype dtype,
                               uint64_t seed)
{
    bench a = run(device, op, dtype, dtype, seed);
    bench b = run(other, op, dtype, dtype, seed);
    assert_int_equal(a.used, b.used);
    for (int i = 0; i < a.used; i++) {
        size_t bytes = count_of(a.results[i].mat) * bn_dtype_bytes(a.results[i].mat.dtype);
        assert_memory_equal(a.results[i].mat.data, b.results[i].mat.data, bytes);
    }
    lab_close(&a.l);
    lab_close(&b.l);
}
