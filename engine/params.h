/* params.h - THE tensor table: every parameter of a network, once.
 *
 * A row gives a tensor's name (as Hugging Face's Llama and BitNet models call it), shape, role and
 * place in the one block of floats that holds them all. Initialisation, AdamW, checkpoints, exports
 * and the dry run walk this table. Rows of one layer are neighbours: attention, then feed-forward.
 */
#ifndef BN_ENGINE_PARAMS_H
#define BN_ENGINE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/config.h"

typedef enum bn_role {
    BN_ROLE_EMBED, /* token table [vocab, width]; with model.tied the output head too */
    BN_ROLE_HEAD,  /* output head [vocab, width], only when not tied */
    BN_ROLE_FINAL_NORM,
    BN_ROLE_NORM,   /* a gain of a block: `place` is a bn_site_id */
    BN_ROLE_LINEAR, /* a weight of a block that the variant may quantize: `place` is a bn_linear_id
                     */
} bn_role;

/* The linear layers of a block, in the order of the table. */
typedef enum bn_linear_id {
    BN_LINEAR_Q,
    BN_LINEAR_K,
    BN_LINEAR_V,
    BN_LINEAR_O,
    BN_LINEAR_GATE,
    BN_LINEAR_UP,
    BN_LINEAR_DOWN,
    BN_BLOCK_LINEARS,
} bn_linear_id;

/* The norm sites of a block: each makes the input of the linear layers that follow it. */
typedef enum bn_site_id {
    BN_SITE_ATTN,     /* before q, k, v */
    BN_SITE_ATTN_SUB, /* before o */
    BN_SITE_FFN,      /* before gate, up */
    BN_SITE_FFN_SUB,  /* before down */
    BN_BLOCK_SITES,
} bn_site_id;

enum { BN_TENSOR_NAME_MAX = 96 };

typedef struct bn_tensor {
    char name[BN_TENSOR_NAME_MAX]; /* "model.layers.0.self_attn.q_proj.weight" */
    bn_role role;
    int layer; /* -1 outside the blocks */
    int place;
    int rows, cols; /* a gain has one row and is one-dimensional outside */
    bool decayed;   /* weight decay applies: linear layers and an untied head */
    size_t offset;  /* of its first float, a multiple of BN_TENSOR_ALIGN */
    size_t count;   /* floats: rows * cols */
} bn_tensor;

enum { BN_TENSOR_ALIGN = 16 }; /* floats; what lies between two tensors is zero, always */

typedef struct bn_params {
    bn_tensor *tensors;
    size_t count;
    size_t floats;                  /* of the whole block, gaps included */
    int64_t total, linear, outside; /* parameters: all, of linear layers of blocks, of the rest */
} bn_params;

/* Lays out the network of a resolved config; model.vocab must be known (> 0).
 * The caller releases. BN_EINVAL: too large to count; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_params_init(bn_params *params, const bn_config *config, bn_error *err);
void bn_params_release(bn_params *params); /* {0} is fine */

/* NULL: there is none. */
const bn_tensor *bn_params_find(const bn_params *params, const char *name);

/* The tensor of a role and place in a layer (-1 outside the blocks), or NULL. */
const bn_tensor *bn_params_at(const bn_params *params, bn_role role, int layer, int place);

#endif
