/* cpu_infer.h - what inference needs of the cpu backend beyond the op table: weights in 2 bits and
 * nothing else, positions that do not begin at 0, cached keys and values, logits.
 *
 * The backend is one of cpu_backend.h. Calls are done when they return; a lack of scratch memory
 * sticks to the backend as with ops (bn_backend_sync tells).
 */
#ifndef BN_ENGINE_CPU_CPU_INFER_H
#define BN_ENGINE_CPU_CPU_INFER_H

#include "engine/ops.h"

/* A ternary or binary weight [rows, cols]: codes in 2 bits, value = code * scale. */
typedef struct bn_packed {
    void *panels; /* bn_packed_bytes of them, 64-byte aligned */
    int rows, cols;
    float scale;
} bn_packed;

size_t bn_packed_bytes(bn_backend be, int rows, int cols);

/* Fills packed->panels from codes -1, 0, 1 [rows, cols]. */
void bn_packed_fill(bn_backend be, const bn_packed *packed, const int8_t *codes);

/* out[R, rows] = residual + X W^T, X int8; the same bits as bn_linear_forward gives on this
 * backend. One row of X goes through a kernel of its own (decode.h). */
void bn_packed_forward(bn_backend be, bn_mat out, const float *residual, bn_act x,
                       const bn_packed *weight);

/* The same product for a weight in its working form, of which the master is only needed by kind
 * F32. One row of float X is multiplied row by row as the weight lies in memory, sums in another
 * order. */
void bn_dense_forward(bn_backend be, bn_mat out, const float *residual, bn_act x,
                      const bn_weight *weight);

/* The output head: logits[R, V] = X W^T. Exactly one of wide and half is there. */
typedef struct bn_logits_args {
    bn_mat x;             /* [R, C]; values as the head's products take them (rounded for bf16) */
    const float *wide;    /* [V, C] */
    const uint16_t *half; /* [V, C] bf16 */
    bn_mat out;           /* [R, V] */
} bn_logits_args;
void bn_logits_forward(bn_backend be, const bn_logits_args *args);

/* Tokens at positions start ... start + R - 1 of one sequence: rotates q and k, appends k and v to
 * the cache, and attends to all positions up to each token's own. */
typedef struct bn_cached_attention {
    bn_mat q, k, v;       /* [R, heads * dim], [R, kv_heads * dim] twice; q, k rotated in place */
    bn_mat out;           /* [R, heads * dim] */
    float *keys, *values; /* the layer's cache [context, kv_heads * dim] */
    const float *cosine, *sine; /* [context, dim / 2] */
    int start, heads, kv_heads, dim;
} bn_cached_attention;
void bn_attention_cached(bn_backend be, const bn_cached_attention *args);

#endif
