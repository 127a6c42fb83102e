#include "support/every_op.h"

#include <math.h>

#include "engine/base/rng.h"
#include "support/cmocka_all.h"

const every_op_number every_op_numbers[EVERY_OP_NUMBERS] = {
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

/* Layers of a site read one input and add to one dx; they differ in width. */
static int outs_of(every_op_shape s, int layer)
{
    return s.outs + layer * (s.ins % 5);
}

every_op_layer_results every_op_layer(lab *l, every_op_shape s, const every_op_number *n)
{
    bn_norm_args norm = {.site = {.outer = true, .eps = 1e-5F},
                         .x = lab_mat(l, s.rows, s.ins, 1),
                         .out = lab_act(l, s.rows, s.ins, n->act),
                         .stats = lab_floats(l, (size_t)s.rows * BN_NORM_STATS)};
    bn_mat dx = lab_mat(l, s.rows, s.ins, 1e-3);
    every_op_layer_results results = {.layers = 1 + s.rows % BN_SITE_LAYERS_MAX,
                                      .dx_count = (size_t)s.rows * (size_t)s.ins,
                                      .dx = dx.data};
    bn_weight weights[BN_SITE_LAYERS_MAX];
    bn_linear_out outs[BN_SITE_LAYERS_MAX];
    bn_linear_grad grads[BN_SITE_LAYERS_MAX];
    for (int i = 0; i < results.layers; i++) {
        int width = outs_of(s, i);
        weights[i] = lab_weight(l, width, s.ins, n->format);
        bn_mat residual = lab_mat(l, s.rows, width, 1);
        outs[i] = (bn_linear_out){&weights[i], lab_mat(l, s.rows, width, 0), residual.data};
        grads[i] = (bn_linear_grad){&weights[i], lab_mat(l, s.rows, width, 1e-3),
                                    lab_normal(l, (size_t)width * (size_t)s.ins, 1e-3)};
        results.out[i] = outs[i].out.data;
        results.dw[i] = grads[i].dw;
        results.out_count[i] = (size_t)s.rows * (size_t)width;
        results.dw_count[i] = (size_t)width * (size_t)s.ins;
    }
    bn_norm_forward(l->be, &norm);
    bn_linear_forward(l->be, norm.out, outs, results.layers);
    bn_linear_backward(l->be, dx, norm.out, grads, results.layers);
    lab_wait(l);
    return results;
}

void every_op_layer_same_bits(const every_op_layer_results *a, const every_op_layer_results *b)
{
    assert_memory_equal(a->dx, b->dx, a->dx_count * sizeof(float));
    for (int i = 0; i < a->layers; i++) {
        assert_memory_equal(a->out[i], b->out[i], a->out_count[i] * sizeof(float));
        assert_memory_equal(a->dw[i], b->dw[i], a->dw_count[i] * sizeof(float));
    }
}

enum { BATCH = 3, SEQ = 37, HEADS = 4, KV_HEADS = 2, DIM = 20, VOCAB = 83 };
enum { TOKENS = BATCH * SEQ, WIDTH = HEADS * DIM, KV_WIDTH = KV_HEADS * DIM };

static void keep(every_op_results *out, const float *data, size_t count)
{
    out->data[out->used] = data;
    out->count[out->used++] = count;
}

static void run_attention(lab *l, every_op_results *out)
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

static void run_glu(lab *l, every_op_results *out, bool relu2)
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

void every_op_head(lab *l, every_op_results *out, every_op_shape s, bn_weight_kind kind)
{
    size_t rows = (size_t)s.rows, width = (size_t)s.ins, words = (size_t)s.outs;
    int32_t *targets = lab_bytes(l, rows * sizeof *targets);
    for (int r = 0; r < s.rows; r++) targets[r] = r % 7 == 3 ? -1 : (r * 31) % s.outs;
    bn_weight head = lab_weight(l, s.outs, s.ins, (bn_weight_format){.kind = kind});
    bn_head_args args = {
        .x = {.data = lab_normal(l, rows * width, 1), .rows = s.rows, .cols = s.ins},
        .head = &head,
        .targets = targets,
        .loss = lab_floats(l, rows),
        .dx = lab_mat(l, s.rows, s.ins, 1),
        .dw = lab_normal(l, words * width, 0.1),
        .scale = 1.0F / (float)s.rows};
    bn_head_args losses_alone = args;
    losses_alone.loss = lab_floats(l, rows);
    losses_alone.dx.data = losses_alone.dw = NULL;
    bn_head_loss(l->be, &args);
    bn_head_loss(l->be, &losses_alone);
    lab_wait(l);
    keep(out, args.loss, rows);
    keep(out, losses_alone.loss, rows);
    keep(out, args.dx.data, rows * width);
    keep(out, args.dw, words * width);
}

static void run_embedding(lab *l, every_op_results *out)
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

static void run_adamw(lab *l, every_op_results *out)
{
    enum { COUNT = 40000 }; /* more than one piece */
    bn_steps *steps = lab_bytes(l, sizeof *steps);
    bn_step_rule rule = {.beta1 = 0.9F, .beta2 = 0.95F, .clip = 1};
    bn_adamw_args args = {.param = lab_normal(l, COUNT, 1),
                          .m = lab_normal(l, COUNT, 0.1),
                          .v = lab_floats(l, COUNT),
                          .count = COUNT,
                          .rates = &steps->rates,
                          .beta1 = rule.beta1,
                          .beta2 = rule.beta2,
                          .eps = 1e-8F,
                          .decays = true};
    args.grad = lab_normal(l, COUNT, 1);
    for (int i = 0; i < COUNT; i++) args.v[i] = args.m[i] * args.m[i];
    steps->state = (bn_optimizer_state){.updates = 2, .loss_scale = 2};
    steps->lr = 0.01F;
    steps->decay = 0.1F;
    bn_sum(l->be, &steps->loss, args.m, COUNT);
    bn_sum_squares(l->be, &steps->squares, args.grad, COUNT);
    bn_decide(l->be, steps, &rule);
    bn_adamw(l->be, &args);
    lab_wait(l);
    float *loss = lab_floats(l, 1);
    *loss = (float)steps->outcomes[0].loss;
    keep(out, loss, 1);
    keep(out, args.param, COUNT);
}

void every_op_rest(lab *l, every_op_results *out, int which)
{
    switch (which) {
    case EVERY_OP_ATTENTION:
        run_attention(l, out);
        break;
    case EVERY_OP_GLU:
        run_glu(l, out, false);
        break;
    case EVERY_OP_GLU_RELU2:
        run_glu(l, out, true);
        break;
    case EVERY_OP_HEAD_F32:
        every_op_head(l, out, (every_op_shape){TOKENS, WIDTH, VOCAB}, BN_WEIGHT_F32);
        break;
    case EVERY_OP_HEAD_BF16:
        every_op_head(l, out, (every_op_shape){TOKENS, WIDTH, VOCAB}, BN_WEIGHT_BF16);
        break;
    case EVERY_OP_EMBEDDING:
        run_embedding(l, out);
        break;
    case EVERY_OP_ADAMW:
        run_adamw(l, out);
        break;
    }
    lab_wait(l);
}

every_op_shape every_op_draw_shape(uint64_t key, uint64_t index)
{
    return (every_op_shape){.rows = 1 + (int)bn_rng_below(key, 3 * index, 60),
                            .ins = 1 + (int)bn_rng_below(key, 3 * index + 1, 129),
                            .outs = 1 + (int)bn_rng_below(key, 3 * index + 2, 129)};
}

static bool is_near(const float *a, const float *b, size_t count, double tolerance, double floor)
{
    double most = 1e-30;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs((double)b[i]));
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * most + floor)) return false;
    }
    return true;
}

/* A device may give the scales of x's codes to either operand of dW. Where it is not the
 * reference's, dW is as near to the products in f32 as two roundings let it. */
static void weight_gradients_agree(const every_op_layer_results *a, const every_op_layer_results *b,
                                   every_op_shape s, const every_op_number *n)
{
    bn_dtype product = bn_weight_backward_dtype(n->format);
    bool rounds = n->act == BN_I8 && (product == BN_BF16 || product == BN_F16);
    every_op_number wide = *n;
    wide.format.backward = BN_PRODUCT_F32;
    lab exact = lab_open("reference");
    every_op_layer_results c = {0};
    if (rounds) c = every_op_layer(&exact, s, &wide);
    for (int i = 0; i < a->layers; i++) {
        size_t count = a->dw_count[i];
        double unit = product == BN_F16 ? 0x1p-10 : 0x1p-7;
        double subnormal = product == BN_F16 ? s.rows * 0x1p-23 : 0; /* of dY, times x */
        if (rounds && is_near(a->dw[i], c.dw[i], count, unit, subnormal)) continue;
        lab_assert_near(a->dw[i], b->dw[i], count, 2e-5);
    }
    lab_close(&exact);
}

void every_op_layer_agrees(const char *device, every_op_shape s, const every_op_number *n)
{
    lab tested = lab_open(device);
    lab reference = lab_open("reference");
    every_op_layer_results a = every_op_layer(&tested, s, n);
    every_op_layer_results b = every_op_layer(&reference, s, n);
    lab_assert_near(a.dx, b.dx, a.dx_count, 2e-5);
    for (int i = 0; i < a.layers; i++) {
        lab_assert_near(a.out[i], b.out[i], a.out_count[i], 2e-5);
    }
    weight_gradients_agree(&a, &b, s, n);
    lab_close(&tested);
    lab_close(&reference);
}

static void results_agree(const every_op_results *a, const every_op_results *b, double tolerance)
{
    assert_true(a->used > 0);
    assert_int_equal(a->used, b->used);
    for (int i = 0; i < a->used; i++) {
        lab_assert_near(a->data[i], b->data[i], a->count[i], tolerance);
    }
}

void every_op_head_agrees(const char *device, every_op_shape s, bn_weight_kind kind)
{
    lab tested = lab_open(device);
    lab reference = lab_open("reference");
    every_op_results a = {0};
    every_op_results b = {0};
    every_op_head(&tested, &a, s, kind);
    every_op_head(&reference, &b, s, kind);
    results_agree(&a, &b, kind == BN_WEIGHT_BF16 ? 2e-4 : 2e-5);
    assert_memory_equal(a.data[0], a.data[1], a.count[0] * sizeof(float));
    lab_close(&tested);
    lab_close(&reference);
}

void every_op_rest_agrees(const char *device, int which)
{
    lab tested = lab_open(device);
    lab reference = lab_open("reference");
    every_op_results a = {0};
    every_op_results b = {0};
    every_op_rest(&tested, &a, which);
    every_op_rest(&reference, &b, which);
    /* bf16 gradients of the logits: a last bit of p turns a tie, 2^-9 of one term */
    results_agree(&a, &b, which == EVERY_OP_HEAD_BF16 ? 2e-4 : 2e-5);
    lab_close(&tested);
    lab_close(&reference);
}
