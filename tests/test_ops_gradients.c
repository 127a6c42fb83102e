/* Every op's gradient against finite differences of its own forward pass, on every backend whose
 * memory is the host's. Outputs stay f32 here so that the loss is smooth; the quantized forms are
 * held to their formulas in test_ops_products.c. */
#include <stdio.h>

#include "support/cmocka_all.h"
#include "support/ops_lab.h"

enum { ROWS = 6, COLS = 24, OUTS = 17 };

/* loss = weights . out */
typedef struct norm_case {
    bn_backend be;
    bn_norm_args args;
    const float *weights;
} norm_case;

static double norm_loss(void *context)
{
    norm_case *c = context;
    bn_norm_forward(c->be, &c->args);
    return lab_dot(c->args.out.data, c->weights, (size_t)ROWS * COLS);
}

static void check_norm(const char *device, bool outer, bool gained, bool inner)
{
    lab l = lab_open(device);
    size_t count = (size_t)ROWS * COLS;
    float *gain = gained ? lab_normal(&l, COLS, 1) : NULL;
    norm_case c = {.be = l.be, .weights = lab_normal(&l, count, 1)};
    c.args = (bn_norm_args){.site = {.gain = gain, .outer = outer, .inner = inner, .eps = 1e-5F},
                            .x = lab_mat(&l, ROWS, COLS, 1),
                            .out = lab_act(&l, ROWS, COLS, BN_F32),
                            .stats = lab_floats(&l, ROWS * BN_NORM_STATS)};
    bn_norm_grads grads = {.dy = lab_mat(&l, ROWS, COLS, 0),
                           .dx = lab_mat(&l, ROWS, COLS, 1), /* overwritten */
                           .dgain = gained ? lab_floats(&l, COLS) : NULL};
    (void)norm_loss(&c);
    memcpy(grads.dy.data, c.weights, count * sizeof(float));
    bn_norm_backward(l.be, &c.args, &grads);
    lab_check_gradient(&l, c.args.x.data, grads.dx.data, count, norm_loss, &c);
    if (gained) lab_check_gradient(&l, gain, grads.dgain, COLS, norm_loss, &c);
    lab_close(&l);
}

static void test_norm_gradient_is_the_slope(void **state)
{
    check_norm(*state, true, true, false);
    check_norm(*state, true, false, false);
    check_norm(*state, false, false, true);
    check_norm(*state, true, true, true);
    check_norm(*state, false, false, false);
}

typedef struct glu_case {
    bn_backend be;
    bn_glu_args args;
    const float *weights;
} glu_case;

static double glu_loss(void *context)
{
    glu_case *c = context;
    bn_glu_forward(c->be, &c->args);
    return lab_dot(c->args.out.data, c->weights, (size_t)ROWS * COLS);
}

static void check_glu(const char *device, bool relu2, bool outer, bool inner)
{
    lab l = lab_open(device);
    size_t count = (size_t)ROWS * COLS;
    float *gain = outer ? lab_normal(&l, COLS, 1) : NULL;
    glu_case c = {.be = l.be, .weights = lab_normal(&l, count, 1)};
    c.args = (bn_glu_args){.site = {.gain = gain, .outer = outer, .inner = inner, .eps = 1e-5F},
                           .gate = lab_mat(&l, ROWS, COLS, 1),
                           .up = lab_mat(&l, ROWS, COLS, 1),
                           .out = lab_act(&l, ROWS, COLS, BN_F32),
                           .stats = lab_floats(&l, ROWS * BN_NORM_STATS),
                           .relu2 = relu2};
    bn_glu_grads grads = {.dy = lab_mat(&l, ROWS, COLS, 0),
                          .dgate = lab_mat(&l, ROWS, COLS, 0),
                          .dup = lab_mat(&l, ROWS, COLS, 0),
                          .dgain = outer ? lab_floats(&l, COLS) : NULL};
    (void)glu_loss(&c);
    memcpy(grads.dy.data, c.weights, count * sizeof(float));
    bn_glu_backward(l.be, &c.args, &grads);
    lab_check_gradient(&l, c.args.gate.data, grads.dgate.data, count, glu_loss, &c);
    lab_check_gradient(&l, c.args.up.data, grads.dup.data, count, glu_loss, &c);
    if (outer) lab_check_gradient(&l, gain, grads.dgain, COLS, glu_loss, &c);
    lab_close(&l);
}

static void test_glu_gradient_is_the_slope(void **state)
{
    check_glu(*state, false, true, false);
    check_glu(*state, false, false, true);
    check_glu(*state, false, false, false);
    check_glu(*state, true, true, true);
    check_glu(*state, true, false, false);
}

static void test_glu_gradients_may_lie_on_gate_and_up(void **state)
{
    lab l = lab_open(*state);
    size_t count = (size_t)ROWS * COLS;
    bn_glu_args args = {.site = {.outer = true, .eps = 1e-5F},
                        .gate = lab_mat(&l, ROWS, COLS, 1),
                        .up = lab_mat(&l, ROWS, COLS, 1),
                        .out = lab_act(&l, ROWS, COLS, BN_F32),
                        .stats = lab_floats(&l, ROWS * BN_NORM_STATS)};
    bn_mat dy = lab_mat(&l, ROWS, COLS, 1);
    bn_mat dy_again = lab_mat(&l, ROWS, COLS, 0);
    memcpy(dy_again.data, dy.data, count * sizeof(float));
    bn_glu_grads apart = {
        .dy = dy, .dgate = lab_mat(&l, ROWS, COLS, 0), .dup = lab_mat(&l, ROWS, COLS, 0)};
    bn_glu_grads onto = {.dy = dy_again, .dgate = args.gate, .dup = args.up};
    bn_glu_forward(l.be, &args);
    bn_glu_backward(l.be, &args, &apart);
    bn_glu_backward(l.be, &args, &onto);
    assert_memory_equal(apart.dgate.data, onto.dgate.data, count * sizeof(float));
    assert_memory_equal(apart.dup.data, onto.dup.data, count * sizeof(float));
    lab_close(&l);
}

typedef struct linear_case {
    bn_backend be;
    bn_act x;
    bn_weight weight;
    bn_mat out;
    const float *weights;
} linear_case;

static double linear_loss(void *context)
{
    linear_case *c = context;
    bn_weight_prepare(c->be, &c->weight);
    bn_linear_forward(c->be, c->x, &(bn_linear_out){.weight = &c->weight, .out = c->out}, 1);
    return lab_dot(c->out.data, c->weights, (size_t)ROWS * OUTS);
}

static void test_linear_gradient_is_the_slope(void **state)
{
    lab l = lab_open(*state);
    linear_case c = {.be = l.be, .weights = lab_normal(&l, (size_t)ROWS * OUTS, 1)};
    c.x = (bn_act){.data = lab_normal(&l, (size_t)ROWS * COLS, 1), .rows = ROWS, .cols = COLS};
    c.weight = lab_weight(&l, OUTS, COLS, (bn_weight_format){.kind = BN_WEIGHT_F32});
    c.out = lab_mat(&l, ROWS, OUTS, 0);
    bn_mat dx = lab_mat(&l, ROWS, COLS, 0);
    bn_linear_grad grad = {.weight = &c.weight,
                           .dy = lab_mat(&l, ROWS, OUTS, 0),
                           .dw = lab_floats(&l, (size_t)OUTS * COLS)};
    memcpy(grad.dy.data, c.weights, (size_t)ROWS * OUTS * sizeof(float));
    bn_linear_backward(l.be, dx, c.x, &grad, 1);
    lab_check_gradient(&l, c.x.data, dx.data, (size_t)ROWS * COLS, linear_loss, &c);
    lab_check_gradient(&l, c.weight.master, grad.dw, (size_t)OUTS * COLS, linear_loss, &c);
    lab_close(&l);
}

typedef struct rope_case {
    bn_backend be;
    bn_rope_args args;
    const float *x, *weights;
    size_t count;
} rope_case;

static double rope_loss(void *context)
{
    rope_case *c = context;
    memcpy(c->args.x.data, c->x, c->count * sizeof(float));
    bn_rope(c->be, &c->args);
    return lab_dot(c->args.x.data, c->weights, c->count);
}

static void test_rope_backward_is_the_inverse_rotation(void **state)
{
    lab l = lab_open(*state);
    enum { HEADS = 3, DIM = 10, SEQ = 7, BATCH = 2 };
    size_t count = (size_t)BATCH * SEQ * HEADS * DIM;
    rope_case c = {.be = l.be, .weights = lab_normal(&l, count, 1), .count = count};
    float *x = lab_normal(&l, count, 1);
    c.x = x;
    c.args = (bn_rope_args){.x = lab_mat(&l, BATCH * SEQ, HEADS * DIM, 0),
                            .heads = HEADS,
                            .dim = DIM,
                            .seq = SEQ,
                            .theta = 10000};
    bn_rope_args back = c.args;
    back.x = lab_mat(&l, BATCH * SEQ, HEADS * DIM, 0);
    back.inverse = true;
    memcpy(back.x.data, c.weights, count * sizeof(float));
    bn_rope(l.be, &back);
    lab_check_gradient(&l, x, back.x.data, count, rope_loss, &c);
    lab_close(&l);
}

typedef struct attention_case {
    bn_backend be;
    bn_attention_args args;
    const float *weights;
    size_t count;
} attention_case;

static double attention_loss(void *context)
{
    attention_case *c = context;
    bn_attention_forward(c->be, &c->args);
    return lab_dot(c->args.out.data, c->weights, c->count);
}

static void check_attention(const char *device, int heads, int kv_heads, int seq)
{
    lab l = lab_open(device);
    enum { BATCH = 2, DIM = 12 };
    int rows = BATCH * seq;
    size_t count = (size_t)rows * (size_t)heads * DIM;
    size_t kv_count = (size_t)rows * (size_t)kv_heads * DIM;
    attention_case c = {.be = l.be, .weights = lab_normal(&l, count, 1), .count = count};
    c.args = (bn_attention_args){.q = lab_mat(&l, rows, heads * DIM, 1),
                                 .k = lab_mat(&l, rows, kv_heads * DIM, 1),
                                 .v = lab_mat(&l, rows, kv_heads * DIM, 1),
                                 .out = lab_mat(&l, rows, heads * DIM, 0),
                                 .lse = lab_floats(&l, (size_t)rows * (size_t)heads),
                                 .batch = BATCH,
                                 .seq = seq,
                                 .heads = heads,
                                 .kv_heads = kv_heads,
                                 .dim = DIM};
    bn_attention_grads grads = {.dout = lab_mat(&l, rows, heads * DIM, 0),
                                .dq = lab_mat(&l, rows, heads * DIM, 1),
                                .dk = lab_mat(&l, rows, kv_heads * DIM, 1),
                                .dv = lab_mat(&l, rows, kv_heads * DIM, 1)};
    (void)attention_loss(&c);
    memcpy(grads.dout.data, c.weights, count * sizeof(float));
    bn_attention_backward(l.be, &c.args, &grads);
    lab_check_gradient(&l, c.args.q.data, grads.dq.data, count, attention_loss, &c);
    lab_check_gradient(&l, c.args.k.data, grads.dk.data, kv_count, attention_loss, &c);
    lab_check_gradient(&l, c.args.v.data, grads.dv.data, kv_count, attention_loss, &c);
    lab_close(&l);
}

static void test_attention_gradient_is_the_slope(void **state)
{
    check_attention(*state, 2, 2, 9);
    check_attention(*state, 4, 2, 5);
    check_attention(*state, 3, 1, 1);
}

static void test_attention_never_looks_ahead(void **state)
{
    lab l = lab_open(*state);
    enum { SEQ = 8, DIM = 4 };
    bn_attention_args args = {.q = lab_mat(&l, SEQ, DIM, 1),
                              .k = lab_mat(&l, SEQ, DIM, 1),
                              .v = lab_mat(&l, SEQ, DIM, 1),
                              .out = lab_mat(&l, SEQ, DIM, 0),
                              .lse = lab_floats(&l, SEQ),
                              .batch = 1,
                              .seq = SEQ,
                              .heads = 1,
                              .kv_heads = 1,
                              .dim = DIM};
    bn_attention_forward(l.be, &args);
    float before[5 * DIM];
    memcpy(before, args.out.data, sizeof before);
    for (int i = 5 * DIM; i < SEQ * DIM; i++) args.k.data[i] = args.v.data[i] = 1e30F;
    bn_attention_forward(l.be, &args);
    assert_memory_equal(before, args.out.data, sizeof before);
    lab_close(&l);
}

typedef struct embed_case {
    bn_backend be;
    bn_mat table, out;
    const int32_t *tokens;
    const float *weights;
} embed_case;

static double embed_loss(void *context)
{
    embed_case *c = context;
    bn_embed_forward(c->be, c->out, c->table, c->tokens);
    return lab_dot(c->out.data, c->weights, (size_t)ROWS * COLS);
}

static void test_embedding_gradient_gathers_repeated_tokens(void **state)
{
    lab l = lab_open(*state);
    static const int32_t tokens[ROWS] = {3, 1, 3, 0, 3, 8};
    enum { VOCAB = 9 };
    embed_case c = {.be = l.be, .tokens = tokens};
    c.weights = lab_normal(&l, (size_t)ROWS * COLS, 1);
    c.table = lab_mat(&l, VOCAB, COLS, 1);
    c.out = lab_mat(&l, ROWS, COLS, 0);
    bn_mat dtable = lab_mat(&l, VOCAB, COLS, 0);
    bn_mat dout = lab_mat(&l, ROWS, COLS, 0);
    memcpy(dout.data, c.weights, (size_t)ROWS * COLS * sizeof(float));
    bn_embed_backward(l.be, dtable, dout, tokens);
    lab_check_gradient(&l, c.table.data, dtable.data, (size_t)VOCAB * COLS, embed_loss, &c);
    lab_close(&l);
}

typedef struct head_case {
    bn_backend be;
    bn_head_args args;
    bn_weight weight;
} head_case;

static double head_loss(void *context)
{
    head_case *c = context;
    bn_weight_prepare(c->be, &c->weight);
    bn_head_args forward = c->args;
    forward.dx.data = NULL;
    bn_head_loss(c->be, &forward);
    double sum = 0;
    for (int r = 0; r < ROWS; r++) sum += (double)c->args.loss[r];
    return sum * (double)c->args.scale;
}

static void test_head_gradient_is_the_slope(void **state)
{
    lab l = lab_open(*state);
    static const int32_t targets[ROWS] = {5, 0, -1, 16, 5, 2};
    head_case c = {.be = l.be};
    c.weight = lab_weight(&l, OUTS, COLS, (bn_weight_format){.kind = BN_WEIGHT_F32});
    c.args = (bn_head_args){.x = lab_act(&l, ROWS, COLS, BN_F32),
                            .head = &c.weight,
                            .targets = targets,
                            .loss = lab_floats(&l, ROWS),
                            .dx = lab_mat(&l, ROWS, COLS, 1),
                            .dw = lab_floats(&l, (size_t)OUTS * COLS),
                            .scale = 0.25F};
    memcpy(c.args.x.data, lab_normal(&l, (size_t)ROWS * COLS, 1), ROWS * COLS * sizeof(float));
    bn_head_loss(l.be, &c.args);
    assert_true(c.args.loss[2] == 0);
    for (int i = 2 * COLS; i < 3 * COLS; i++) assert_true(c.args.dx.data[i] == 0);
    lab_check_gradient(&l, c.args.x.data, c.args.dx.data, (size_t)ROWS * COLS, head_loss, &c);
    lab_check_gradient(&l, c.weight.master, c.args.dw, (size_t)OUTS * COLS, head_loss, &c);
    lab_close(&l);
}

/* Rounding passes gradients straight through: dX does not see what became of y. */
static void test_quantized_norm_has_the_gradient_of_the_exact_one(void **state)
{
    lab l = lab_open(*state);
    size_t count = (size_t)ROWS * COLS;
    bn_mat x = lab_mat(&l, ROWS, COLS, 1);
    float *dy = lab_normal(&l, count, 1);
    float *expected = NULL;
    for (bn_dtype dtype = BN_F32; dtype <= BN_I8; dtype++) {
        bn_norm_args args = {.site = {.outer = true, .inner = true, .eps = 1e-5F},
                             .x = x,
                             .out = lab_act(&l, ROWS, COLS, dtype),
                             .stats = lab_floats(&l, ROWS * BN_NORM_STATS)};
        bn_norm_grads grads = {.dy = lab_mat(&l, ROWS, COLS, 0), .dx = lab_mat(&l, ROWS, COLS, 0)};
        memcpy(grads.dy.data, dy, count * sizeof *dy);
        bn_norm_forward(l.be, &args);
        bn_norm_backward(l.be, &args, &grads);
        if (!expected) expected = grads.dx.data;
        assert_memory_equal(expected, grads.dx.data, count * sizeof *dy);
    }
    lab_close(&l);
}

static int run_on(const char *device)
{
    static char name[16];
    (void)snprintf(name, sizeof name, "%s", device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_norm_gradient_is_the_slope, name),
        cmocka_unit_test_prestate(test_glu_gradient_is_the_slope, name),
        cmocka_unit_test_prestate(test_glu_gradients_may_lie_on_gate_and_up, name),
        cmocka_unit_test_prestate(test_linear_gradient_is_the_slope, name),
        cmocka_unit_test_prestate(test_rope_backward_is_the_inverse_rotation, name),
        cmocka_unit_test_prestate(test_attention_gradient_is_the_slope, name),
        cmocka_unit_test_prestate(test_attention_never_looks_ahead, name),
        cmocka_unit_test_prestate(test_embedding_gradient_gathers_repeated_tokens, name),
        cmocka_unit_test_prestate(test_head_gradient_is_the_slope, name),
        cmocka_unit_test_prestate(test_quantized_norm_has_the_gradient_of_the_exact_one, name),
    };
    return cmocka_run_group_tests_name(device, tests, NULL, NULL);
}

int main(void)
{
    return run_on("reference") + run_on("cpu:1") + run_on("cpu:3");
}
