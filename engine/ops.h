/* ops.h - what a device must be able to do; the only door to reference/, cpu/ and cuda/.
 *
 * An entry is a pass over memory that a fast backend wants fused. Every backend fills every entry.
 * Data lives in memory of ONE backend (bn_backend_alloc), row-major and dense. An op may return
 * before its work is done. Shapes are the caller's promise: they are asserted in ops.c, once, for
 * every backend. What only the device can know (memory, a dead GPU) sticks to the backend and comes
 * out at bn_backend_sync, once a training step.
 *
 * Promise kept by every backend: each output element has one owner and one order of summation, so
 * results do not depend on the number of threads, to the last bit.
 *
 * Rounding to integers is to nearest, ties to even, and multiplies by the reciprocal as the
 * published code does: round(y * (127 / max)), round(W * (1 / s)). A scale made from NaN or
 * infinity is not finite, and so is every product with it; the codes beside it say nothing.
 *
 * Notation: R rows = tokens of a micro-batch (batch * seq), C = width, I/O = a layer's in and out.
 */
#ifndef BN_ENGINE_OPS_H
#define BN_ENGINE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "engine/steps.h"

typedef enum bn_dtype { BN_F32, BN_BF16, BN_F16, BN_I8 } bn_dtype;

/* Bytes of one element. */
static inline size_t bn_dtype_bytes(bn_dtype dtype)
{
    switch (dtype) {
    case BN_F32:
        return 4;
    case BN_BF16:
    case BN_F16:
        return 2;
    case BN_I8:
        break;
    }
    return 1;
}

/* A matrix of values. In 16 bits a value that is read is exact, one that is written was rounded to
 * nearest even, and sums are still made in f32 before they are. F32 always: the residual stream
 * and what is added to it, token tables, and whatever an op adds to. All matrices of one call that
 * stand for one kind of thing (q, k, v; gate and up; the outs of a site) have one dtype. */
typedef struct bn_mat {
    union {
        float *data;    /* [rows, cols] where dtype is BN_F32 */
        uint16_t *half; /* the same in BN_BF16 or BN_F16 */
    };
    int rows, cols;
    bn_dtype dtype; /* not BN_I8 */
} bn_mat;

/* The input of a linear layer in the form its products take. One site makes it once, all layers
 * that read the site share it (q, k, v; gate, up), and the backward pass reads it again.
 *   float dtypes  value[r][c] = data[r*cols + c]
 *   i8            value[r][c] = data[r*cols + c] * scale[r], data in [-127, 127];
 *                 sum[r] = sum_c data[r][c], for products with an offset operand */
typedef struct bn_act {
    void *data;
    float *scale;
    int32_t *sum;
    int rows, cols;
    bn_dtype dtype;
} bn_act;

/* What a weight is quantized to in the products; its master stays f32. */
typedef enum bn_weight_kind {
    BN_WEIGHT_F32,
    BN_WEIGHT_BF16,
    BN_WEIGHT_F16,
    BN_WEIGHT_TERNARY, /* clamp(round(W/s), -1, 1) * s, s = max(mean or median |W|, 1e-5) */
    BN_WEIGHT_BINARY,  /* sign(W - mean W) * s, s = mean |W|; sign(0) = +1 */
    BN_WEIGHT_INT8,    /* clamp(round(W/s), -127, 127) * s, s = max(max |W|, 1e-5) / 127 */
} bn_weight_kind;

enum { BN_LENGTH_MAX = 1 << 17 }; /* of a product's sum: 127 * 127 * length fits an int32 */

/* In what number format the two products of the backward pass take dY (and W, X). The float kinds
 * use their own format; the low-bit kinds use this. Accumulation is f32 (or int32) always.
 *
 * With t[r] = X's scale (1 for a float X) and s = W's scale, codes enter every format exactly:
 *   dX[r,i]  = s * sum_o f(dY[r,o]) * Wq[o,i]
 *   dW[o,i] += sum_r f(dY[r,o] * t[r]) * f(Xq[r,i])
 * F32, BF16, F16: f rounds to that format (Xq is exact in all when it is a code). A backend may
 * give t to the other operand, f(dY[r,o]) * f(t[r] * Xq[r,i]), so that both products take one dY.
 * I8: f(a) = round(a / u) * u with u = max |a| / 127 over the sum's own line: for dX over row r of
 * dY, for dW over column o of dY * t, and over column i of X when X is float; 0 for a line of
 * zeros. */
typedef enum bn_product {
    BN_PRODUCT_F32,
    BN_PRODUCT_BF16,
    BN_PRODUCT_F16,
    BN_PRODUCT_I8
} bn_product;

typedef struct bn_weight_format {
    bn_weight_kind kind;
    bool median;     /* ternary: s from the median instead of the mean of |W| */
    bool fp16_scale; /* s is rounded to the nearest fp16 before it is used */
    bn_product backward;
} bn_weight_format;

/* The type of a weight's values in the forward product; I8: it has codes. */
static inline bn_dtype bn_weight_dtype(bn_weight_kind kind)
{
    switch (kind) {
    case BN_WEIGHT_F32:
        return BN_F32;
    case BN_WEIGHT_BF16:
        return BN_BF16;
    case BN_WEIGHT_F16:
        return BN_F16;
    case BN_WEIGHT_TERNARY:
    case BN_WEIGHT_BINARY:
    case BN_WEIGHT_INT8:
        break;
    }
    return BN_I8;
}

/* The type that both products of the backward pass multiply. */
static inline bn_dtype bn_weight_backward_dtype(bn_weight_format format)
{
    if (bn_weight_dtype(format.kind) != BN_I8) return bn_weight_dtype(format.kind);
    switch (format.backward) {
    case BN_PRODUCT_F32:
        return BN_F32;
    case BN_PRODUCT_BF16:
        return BN_BF16;
    case BN_PRODUCT_F16:
        return BN_F16;
    case BN_PRODUCT_I8:
        break;
    }
    return BN_I8;
}

/* A linear layer's weight [rows = O, cols = I]. `form` is memory of the backend, of
 * bn_weight_form_bytes bytes, that only the backend understands. */
typedef struct bn_weight {
    float *master;
    void *form;
    int rows, cols;
    bn_weight_format format;
} bn_weight;

/* One norm site. Chain: x -> RMSNorm(eps) [* gain] -> inner RMSNorm(1e-6), each if asked for.
 * RMSNorm(x) = x / sqrt(mean(x^2) + eps). */
typedef struct bn_norm_site {
    const float *gain; /* [cols] or NULL: gain-free */
    bool outer;        /* false: no norm at this site, gain is NULL */
    bool inner;        /* the gain-free norm inside BitLinear */
    float eps;
} bn_norm_site;

enum { BN_NORM_STATS = 2 }; /* floats a row that norm and glu keep for their backward pass */
#define BN_INNER_NORM_EPS 1e-6F

typedef struct bn_norm_args {
    bn_norm_site site;
    bn_mat x;     /* [R, C] */
    bn_act out;   /* [R, C]; i8: scale[r] = max(1e-5, max_c |y[r]|) / 127, q = round(y / scale) */
    float *stats; /* [R, BN_NORM_STATS]: written forward, read backward */
} bn_norm_args;

/* dY is with respect to the site's output before rounding (straight-through). */
typedef struct bn_norm_grads {
    bn_mat dy;    /* [R, C]; may be overwritten */
    bn_mat dx;    /* [R, C] = */
    bool add;     /* dx += instead; dx is F32 */
    float *dgain; /* [C] +=, NULL without gain */
} bn_norm_grads;

/* h = activation(gate) * up, then as bn_norm_args with x = h; h itself is not kept. */
typedef struct bn_glu_args {
    bn_norm_site site;
    bn_mat gate, up; /* [R, F] */
    bn_act out;      /* [R, F] */
    float *stats;    /* [R, BN_NORM_STATS] */
    bool relu2;      /* activation: max(0, x)^2 instead of x * sigmoid(x) */
} bn_glu_args;

typedef struct bn_glu_grads {
    bn_mat dy;         /* [R, F]; may be overwritten */
    bn_mat dgate, dup; /* [R, F] = ; may be the same memory as gate and up */
    float *dgain;      /* [F] +=, NULL without gain */
} bn_glu_grads;

/* The layers that read one site go together, since they share its activation: at most q, k, v. */
enum { BN_SITE_LAYERS_MAX = 3 };

typedef struct bn_linear_out {
    const bn_weight *weight; /* [O, I] */
    bn_mat out;              /* [R, O] */
    const float *residual;   /* [R, O], NULL or out's own memory; not NULL: out is F32 */
} bn_linear_out;

typedef struct bn_linear_grad {
    const bn_weight *weight; /* [O, I] */
    bn_mat dy;               /* [R, O] */
    float *dw;               /* [O, I] += */
} bn_linear_grad;

/* Rotary embedding, half-split layout (element i pairs with i + dim/2); row r is position r % seq.
 */
typedef struct bn_rope_args {
    bn_mat x; /* [R, heads * dim], in place */
    int heads, dim, seq;
    float theta;
    bool inverse; /* the backward pass: rotate by the negative angle */
} bn_rope_args;

/* Causal softmax attention, scale 1/sqrt(dim). Query head h reads kv head h / (heads/kv_heads).
 * products BF16 or F16 lets a backend round the operands of its products (q, k, v, dout, the
 * weights and their gradients) to that format; sums and softmax are f32 always. A backend may as
 * well make them as for F32. Rounded to fp16, what is beyond 65504 is infinity, and the gradients
 * that come of it are not finite, so that the step is skipped (steps.h). */
typedef struct bn_attention_args {
    bn_mat q;    /* [R, heads * dim] */
    bn_mat k, v; /* [R, kv_heads * dim] */
    bn_mat out;  /* [R, heads * dim] */
    float *lse;  /* [R, heads]: log-sum-exp of the scaled scores, kept for the backward pass */
    int batch, seq, heads, kv_heads, dim;
    bn_dtype products; /* F32, BF16 or F16 */
} bn_attention_args;

typedef struct bn_attention_grads {
    bn_mat dout, dq, dk, dv; /* dq, dk, dv = ; dout may be overwritten */
} bn_attention_grads;

/* Output head and cross-entropy in one, chunked so that [R, V] logits never exist.
 * loss[r] = log sum_v exp(x[r].W[v]) - x[r].W[target[r]] in nats; 0 where target[r] < 0.
 * With dx.data not NULL also the gradients of scale * sum_r loss[r]. A BF16 head rounds x and the
 * gradient of the logits to bf16 before its products. */
typedef struct bn_head_args {
    bn_act x;               /* [R, C], f32 or bf16 */
    const bn_weight *head;  /* [V, C], F32 or BF16 */
    const int32_t *targets; /* [R] */
    float *loss;            /* [R] */
    bn_mat dx;              /* [R, C] = */
    float *dw;              /* [V, C] += */
    float scale;
    const double *loss_scale; /* [1] backend memory: multiplies scale; NULL: 1 */
} bn_head_args;

/* AdamW (Loshchilov & Hutter, arXiv:1711.05101) on one tensor, and all that follows from it in one
 * sweep, with the rates r of the step: g' = g * r.factor; m and v follow g'; m_hat = m /
 * r.correction1, v_hat = v / r.correction2; p -= r.lr * (m_hat / (sqrt(v_hat) + eps) + r.decay *
 * p); g = 0; weight's form made again. With r.skip nothing changes but g = 0. */
typedef struct bn_adamw_args {
    float *param, *grad, *m, *v;
    size_t count;
    const bn_weight *weight;     /* NULL for what is not a linear weight */
    const bn_adamw_rates *rates; /* [1] backend memory */
    float beta1, beta2, eps;
    bool decays; /* false: as if r.decay were 0 */
} bn_adamw_args;

enum { BN_MARKS = 1024 };

struct bn_ops {
    const char *name; /* "reference", "cpu", "cuda" */
    bool behind;      /* ops return before their work is done: who asks for results, waits */
    bool halves;      /* matrices in 16 bits are faster than in f32 */
    void *(*alloc)(void *self,
                   size_t bytes); /* zeroed, 64-byte aligned; NULL: sticks as BN_ENOMEM */
    void (*free)(void *self, void *memory);
    void (*write)(void *self, void *to, const void *from_host, size_t bytes);
    void (*read)(void *self, void *to_host, const void *from, size_t bytes); /* waits */
    void (*zero)(void *self, void *memory, size_t bytes);
    bn_status (*sync)(void *self, bn_error *err);
    void (*close)(void *self);
    bool (*replay)(void *self, uint64_t key);
    void (*replay_end)(void *self);
    void (*mark)(void *self, int mark);
    double (*seconds)(void *self, int from, int to);

    size_t (*weight_form_bytes)(void *self, int rows, int cols, bn_weight_format format);
    void (*weight_prepare)(void *self, const bn_weight *weight);
    void (*weight_codes)(void *self, const bn_weight *weight, int8_t *codes, float *scale);
    void (*embed_forward)(void *self, bn_mat out, bn_mat table, const int32_t *tokens);
    void (*embed_backward)(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens);
    void (*norm_forward)(void *self, const bn_norm_args *args);
    void (*norm_backward)(void *self, const bn_norm_args *args, const bn_norm_grads *grads);
    void (*glu_forward)(void *self, const bn_glu_args *args);
    void (*glu_backward)(void *self, const bn_glu_args *args, const bn_glu_grads *grads);
    void (*linear_forward)(void *self, bn_act x, const bn_linear_out *layers, int count);
    void (*linear_backward)(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                            int count);
    void (*rope)(void *self, const bn_rope_args *args);
    void (*attention_forward)(void *self, const bn_attention_args *args);
    void (*attention_backward)(void *self, const bn_attention_args *args,
                               const bn_attention_grads *grads);
    void (*head_loss)(void *self, const bn_head_args *args);
    void (*sum)(void *self, double *out, const float *x, size_t count);
    void (*sum_squares)(void *self, double *out, const float *x, size_t count);
    void (*decide)(void *self, bn_steps *steps, const bn_step_rule *rule);
    void (*adamw)(void *self, const bn_adamw_args *args);
};

typedef struct bn_backend {
    const struct bn_ops *ops;
    void *self;
} bn_backend;

/* Backend memory. After a failed alloc the backend's other ops do nothing until bn_backend_sync
 * has told of it. */
void *bn_backend_alloc(bn_backend be, size_t bytes);
void bn_backend_free(bn_backend be, void *memory); /* NULL is fine */
void bn_backend_write(bn_backend be, void *to, const void *from_host, size_t bytes);
void bn_backend_read(bn_backend be, void *to_host, const void *from, size_t bytes);
void bn_backend_zero(bn_backend be, void *memory, size_t bytes);

/* Waits for all work given so far; reports the first failure since the last call. */
BN_MUST_CHECK bn_status bn_backend_sync(bn_backend be, bn_error *err);
void bn_backend_close(bn_backend be);

/* Work that is given again and again: a backend may keep it (a CUDA graph) and do it at one call.
 *   if (!bn_backend_replay(be, key)) { ops...; bn_backend_replay_end(be); }
 * true: it has been given. Between the two, one key stands for the same ops with the same arguments
 * on the same memory, as long as nothing is freed; there is no alloc, free, write, read or sync. */
bool bn_backend_replay(bn_backend be, uint64_t key);
void bn_backend_replay_end(bn_backend be);

/* Time as the device sees it: mark 0 ... BN_MARKS-1 is the moment at which all work given so far is
 * done, until it is set again; not within replayed work. Seconds between two of them: waits for
 * both; NaN where one was never set or the device failed. */
void bn_backend_mark(bn_backend be, int mark);
double bn_backend_seconds(bn_backend be, int from, int to);

size_t bn_weight_form_bytes(bn_backend be, int rows, int cols, bn_weight_format format);

/* Makes the working form from the master: cast, quantize, pack. */
void bn_weight_prepare(bn_backend be, const bn_weight *weight);

/* The quantized codes [rows, cols] and the scale of a low-bit weight, to host memory. */
void bn_weight_codes(bn_backend be, const bn_weight *weight, int8_t *codes, float *scale);

/* out[r] = table[tokens[r]]; dtable[tokens[r]] += dout[r]. */
void bn_embed_forward(bn_backend be, bn_mat out, bn_mat table, const int32_t *tokens);
void bn_embed_backward(bn_backend be, bn_mat dtable, bn_mat dout, const int32_t *tokens);

void bn_norm_forward(bn_backend be, const bn_norm_args *args);
void bn_norm_backward(bn_backend be, const bn_norm_args *args, const bn_norm_grads *grads);
void bn_glu_forward(bn_backend be, const bn_glu_args *args);
void bn_glu_backward(bn_backend be, const bn_glu_args *args, const bn_glu_grads *grads);

/* Of 1 ... BN_SITE_LAYERS_MAX layers, each: out[r,o] = residual[r,o] + sum_i X[r,i] * W[o,i], X and
 * W in their working forms. i8 X with low-bit W: int32 products, one multiplication by scale[r] * s
 * at the end. A float W makes the product in its own format (X is rounded to it), a low-bit W with
 * a float X in X's. The weights have one format. BitNet b1.58 (arXiv:2402.17764). */
void bn_linear_forward(bn_backend be, bn_act x, const bn_linear_out *layers, int count);

/* dX[r,i] = sum over the layers of sum_o dY[r,o] * W[o,i], unless dx.data is NULL (in 16 bits it
 * may be rounded after every layer); of each layer dW[o,i] += sum_r dY[r,o] * X[r,i]. W and X as
 * the forward pass saw them (straight-through estimator, no clipping mask). The weights have one
 * format. */
void bn_linear_backward(bn_backend be, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                        int count);

void bn_rope(bn_backend be, const bn_rope_args *args);
void bn_attention_forward(bn_backend be, const bn_attention_args *args);
void bn_attention_backward(bn_backend be, const bn_attention_args *args,
                           const bn_attention_grads *grads);
void bn_head_loss(bn_backend be, const bn_head_args *args);

/* *out += sum of x[i], of x[i]^2: in double and in a fixed order; out is backend memory. */
void bn_sum(bn_backend be, double *out, const float *x, size_t count);
void bn_sum_squares(bn_backend be, double *out, const float *x, size_t count);

/* bn_steps_decide on steps in backend memory. */
void bn_decide(bn_backend be, bn_steps *steps, const bn_step_rule *rule);
void bn_adamw(bn_backend be, const bn_adamw_args *args);

#endif
