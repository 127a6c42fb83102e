/* cpu_infer.h - what inference needs of the cpu backend beyond the op table: weights in their
 * smallest form, positions that do not begin at 0, cached keys and values, logits.
 *
 * A network is a list of steps, made once. One token goes through them with all threads kept
 * together (crew.h): each phase is some microseconds of reading weights. Many tokens go through the
 * products of training. Either way sums have one order, so bits depend neither on threads nor on
 * how many tokens are read together (DENSE weights excepted).
 *
 * The backend is one of cpu_backend.h. Calls are done when they return; a lack of scratch memory
 * sticks to the backend as with ops (bn_backend_sync tells).
 */
#ifndef BN_ENGINE_CPU_CPU_INFER_H
#define BN_ENGINE_CPU_CPU_INFER_H

#include "engine/ops.h"

typedef enum bn_matrix_kind {
    BN_MATRIX_PACKED, /* codes -1, 0, 1 in 2 bits or less (decode.h); inputs are I8 */
    BN_MATRIX_BYTES,  /* codes of 8 bits in panels; inputs are I8 */
    BN_MATRIX_DENSE,  /* training's working form; inputs are floats of any width */
} bn_matrix_kind;

/* One linear layer's weight [rows, cols]. */
typedef struct bn_matrix {
    bn_matrix_kind kind;
    int rows, cols;
    float scale;        /* value = code * scale */
    const float *units; /* BYTES: [rows] value = code * units[row] * scale; NULL: 1 */
    void *panels;       /* bn_matrix_bytes of them, 64-byte aligned; not for DENSE */
    bn_weight weight;   /* DENSE: its master is only needed by kind F32 */
} bn_matrix;

size_t bn_matrix_bytes(bn_backend be, const bn_matrix *matrix);

/* Fills matrix->panels from codes [rows, cols]. */
void bn_matrix_fill(bn_backend be, const bn_matrix *matrix, const int8_t *codes);

/* Keys and values of one layer, of positions 0 ... context - 1: as panels of the f32 kernel. */
typedef struct bn_cache {
    float *keys, *values; /* bn_cache_floats each, zeroed */
    int context, heads, dim;
} bn_cache;

size_t bn_cache_floats(bn_backend be, const bn_cache *cache);

enum { BN_STEP_PRODUCTS = 3 };

/* Products of one input: out[i] = residual + W_i site(x). All weights are of one kind. */
typedef struct bn_linear_step {
    bn_norm_site site;
    bn_mat x;     /* [rows, cols], rows the most that are read together */
    bn_act input; /* site(x) in the weights' format, working memory */
    const bn_matrix *weights[BN_STEP_PRODUCTS];
    float *out[BN_STEP_PRODUCTS]; /* [rows, weights[i]->rows] */
    int count;
    const float *residual; /* or NULL */
    bool gated;            /* then out[0] becomes act(out[0]) * out[1], act SiLU or squared ReLU */
    bool relu2;
} bn_linear_step;

/* Rotates q and k by their positions, appends k and v to the cache, and attends to all positions up
 * to each token's own. */
typedef struct bn_attend_step {
    bn_mat q, k, v; /* [rows, heads * dim], [rows, kv heads * dim] twice */
    float *out;     /* as q */
    const bn_cache *cache;
    const float *cosine, *sine; /* [context, dim / 2] */
    int heads;
} bn_attend_step;

typedef struct bn_step {
    enum { BN_STEP_LINEAR, BN_STEP_ATTEND } kind;
    union {
        bn_linear_step linear;
        bn_attend_step attend;
    };
} bn_step;

typedef struct bn_stepper bn_stepper;

/* Borrows the steps. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_stepper_open(bn_stepper **out, bn_backend be, const bn_step *steps,
                                        int count, bn_error *err);
void bn_stepper_close(bn_stepper *stepper); /* NULL is fine */

/* Takes `rows` tokens at positions start ... start + rows - 1 through the first `count` steps. */
void bn_stepper_run(bn_stepper *stepper, int count, int start, int rows);

/* The output head: logits[R, V] = X W^T. Exactly one of wide, half and coded is there. */
typedef struct bn_logits_args {
    bn_act x;               /* [R, C] F32, rounded to bf16 for half; I8 for coded */
    const float *wide;      /* [V, C] */
    const uint16_t *half;   /* [V, C] bf16 */
    const bn_matrix *coded; /* BYTES */
    bn_mat out;             /* [R, V] */
} bn_logits_args;
void bn_logits_forward(bn_backend be, const bn_logits_args *args);

#endif
