/* infer_state.h - what a network that only reads is made of; for infer.c, which runs it, and
 * infer_open.c, which makes it. */
#ifndef BN_ENGINE_INFER_STATE_H
#define BN_ENGINE_INFER_STATE_H

#include "engine/block.h"
#include "engine/cpu/cpu_infer.h"
#include "engine/infer.h"

/* Steps of a block: attention has three, feed-forward two. */
enum { BN_INFER_STEPS = 5 };

typedef struct bn_infer_layer {
    bn_matrix linear[BN_BLOCK_LINEARS];
    bn_norm_site site[BN_BLOCK_SITES];
    float *gain[BN_BLOCK_SITES]; /* what the sites read; NULL: without */
    bn_cache cache;
} bn_infer_layer;

struct bn_infer {
    bn_config config;
    bn_infer_options options;
    bn_backend be;
    bn_params params;
    bn_shape shape; /* of one sequence of BN_INFER_ROWS tokens */
    bn_infer_layer *layers;
    bn_step *steps; /* of all layers, BN_INFER_STEPS each, and of an int8 head */
    int layer_steps, token_steps;
    bn_stepper *stepper;
    char *arena; /* panels of all layers, in the order in which a token reads them */
    size_t arena_used;
    bn_norm_site final_site;
    float *final_gain;
    float *table;           /* [vocab, width] */
    const float *wide_head; /* [vocab, width]: the table, or one of its own */
    float *own_head;
    uint16_t *half_head;  /* [vocab, width] bf16, instead of wide_head */
    bn_matrix coded_head; /* int8 with a unit a row, instead of both */
    float *head_units;
    float *cosine, *sine;
    bn_mat x, mid, q, k, v, attended, gate, up, logits;
    bn_act wide, hidden, last; /* inputs of linear layers and head */
    float *stats;
    int position;
    bn_infer_bytes bytes;
};

#endif
