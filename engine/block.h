/* block.h - one layer of the network, forward and backward: attention, then feed-forward.
 *
 *   mid  = x   + o(sub(attention(rope(q(n)), rope(k(n)), v(n)))),  n = norm(x)
 *   next = mid + down(sub(activation(gate(m)) * up(m))),           m = norm(mid)
 *
 * What the backward pass needs stays in the block's own memory; what only lives within a call lies
 * in scratch that all blocks share.
 */
#ifndef BN_ENGINE_BLOCK_H
#define BN_ENGINE_BLOCK_H

#include "engine/bitlinear.h"
#include "engine/params.h"

/* Sizes of a micro-batch; rows = batch * seq. */
typedef struct bn_shape {
    int batch, seq, rows, width, heads, kv_heads, dim, ffn;
    float rope_theta;
    bool relu2;
    bn_dtype attention;   /* what its products may be rounded to */
    bn_dtype activations; /* of all matrices of a block but x, mid and dx, which are f32 */
} bn_shape;

typedef struct bn_site {
    bn_norm_site norm;
    float *dgain; /* [cols], NULL without gain */
    bn_act out;   /* what the layers behind the site read; kept */
    float *stats; /* kept */
} bn_site;

typedef struct bn_block {
    bn_linear linear[BN_BLOCK_LINEARS]; /* neighbours that share an input are in order */
    bn_site site[BN_BLOCK_SITES];
    bn_mat x, mid;            /* [R, C]: input, and between the two halves */
    bn_mat q, k, v, attended; /* rotated; [R, C], [R, K], [R, K], [R, C] */
    float *lse;               /* [R, heads] */
    bn_mat gate, up;          /* [R, F]; the backward pass writes their gradients here */
} bn_block;

/* dnorm and dhidden take gradients before a site's rounding. */
typedef struct bn_scratch {
    bn_mat dnorm;         /* [R, C] */
    bn_mat dattended, dq; /* [R, C] */
    bn_mat dk, dv;        /* [R, K] */
    bn_mat dhidden;       /* [R, F] */
} bn_scratch;

/* Reads block->x, writes next [R, C]. */
void bn_block_forward(bn_backend be, const bn_shape *shape, const bn_block *block, bn_mat next);

/* dx [R, C]: gradient of next on entry, of block->x on return. Gradients of weights and gains are
 * added to. */
void bn_block_backward(bn_backend be, const bn_shape *shape, const bn_block *block,
                       const bn_scratch *scratch, bn_mat dx);

#endif
