/* infer_state.h - what a network that only reads is made of; for infer.c, which runs it, and
 * infer_open.c, which makes it. */
#ifndef BN_ENGINE_INFER_STATE_H
#define BN_ENGINE_INFER_STATE_H

#include "engine/block.h"
#include "engine/cpu/cpu_infer.h"
#include "engine/infer.h"

/* One linear layer: packed, or as training has it. */
typedef struct bn_infer_matrix {
    bool is_packed;
    bn_packed packed;
    bn_weight weight;
} bn_infer_matrix;

typedef struct bn_infer_layer {
    bn_infer_matrix linear[BN_BLOCK_LINEARS];
    bn_norm_site site[BN_BLOCK_SITES];
    float *gain[BN_BLOCK_SITES]; /* what the sites read; NULL: without */
    float *keys, *values;        /* [context, kv_heads * dim] */
} bn_infer_layer;

struct bn_infer {
    bn_config config;
    bn_backend be;
    bn_params params;
    bn_shape shape; /* of one sequence of BN_INFER_ROWS tokens */
    bn_infer_layer *layers;
    bn_norm_site final_site;
    float *final_gain;
    float *table;           /* [vocab, width] */
    const float *wide_head; /* [vocab, width]: the table, or one of its own */
    float *own_head;
    uint16_t *half_head; /* [vocab, width] bf16, instead of wide_head */
    float *cosine, *sine;
    bn_mat x, mid, q, k, v, attended, gate, up, logits;
    bn_act wide, hidden, last; /* inputs of linear layers and head */
    float *stats;
    int position;
    bn_infer_bytes bytes;
};

#endif
