#include "engine/params.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTSIDE_TENSORS = 3, BLOCK_TENSORS = BN_BLOCK_LINEARS + BN_BLOCK_SITES };

static const char *const LINEAR_NAMES[BN_BLOCK_LINEARS] = {
    [BN_LINEAR_Q] = "self_attn.q_proj", [BN_LINEAR_K] = "self_attn.k_proj",
    [BN_LINEAR_V] = "self_attn.v_proj", [BN_LINEAR_O] = "self_attn.o_proj",
    [BN_LINEAR_GATE] = "mlp.gate_proj", [BN_LINEAR_UP] = "mlp.up_proj",
    [BN_LINEAR_DOWN] = "mlp.down_proj",
};
static const char *const SITE_NAMES[BN_BLOCK_SITES] = {
    [BN_SITE_ATTN] = "input_layernorm",
    [BN_SITE_ATTN_SUB] = "self_attn.attn_sub_norm",
    [BN_SITE_FFN] = "post_attention_layernorm",
    [BN_SITE_FFN_SUB] = "mlp.ffn_sub_norm",
};

typedef struct shape {
    int rows, cols;
} shape;

static shape linear_shape(const bn_config *config, int place)
{
    int width = (int)config->model.width, ffn = (int)config->model.ffn;
    int kv_width = width / (int)config->model.heads * (int)config->model.kv_heads;
    const shape shapes[BN_BLOCK_LINEARS] = {
        [BN_LINEAR_Q] = {width, width},    [BN_LINEAR_K] = {kv_width, width},
        [BN_LINEAR_V] = {kv_width, width}, [BN_LINEAR_O] = {width, width},
        [BN_LINEAR_GATE] = {ffn, width},   [BN_LINEAR_UP] = {ffn, width},
        [BN_LINEAR_DOWN] = {width, ffn},
    };
    return shapes[place];
}

/* Appends a row behind the last; the caller names it. */
static bn_tensor *add(bn_params *params, bn_role role, int layer, int place, shape size)
{
    bn_tensor *tensor = &params->tensors[params->count++];
    *tensor = (bn_tensor){.role = role,
                          .layer = layer,
                          .place = place,
                          .rows = size.rows,
                          .cols = size.cols,
                          .decayed = role == BN_ROLE_LINEAR || role == BN_ROLE_HEAD,
                          .offset = params->floats,
                          .count = (size_t)size.rows * (size_t)size.cols};
    size_t align = BN_TENSOR_ALIGN;
    params->floats += (tensor->count + align - 1) / align * align;
    params->total += (int64_t)tensor->count;
    if (role == BN_ROLE_LINEAR) params->linear += (int64_t)tensor->count;
    params->outside = params->total - params->linear;
    return tensor;
}

static void add_linear(bn_params *params, const bn_config *config, int layer, int place)
{
    bn_tensor *tensor = add(params, BN_ROLE_LINEAR, layer, place, linear_shape(config, place));
    (void)snprintf(tensor->name, sizeof tensor->name, "model.layers.%d.%s.weight", layer,
                   LINEAR_NAMES[place]);
}

static void add_gain(bn_params *params, const bn_config *config, int layer, int place)
{
    const int norms[BN_BLOCK_SITES] = {
        [BN_SITE_ATTN] = config->model.attn_norm,
        [BN_SITE_ATTN_SUB] = config->model.attn_sub_norm,
        [BN_SITE_FFN] = config->model.ffn_norm,
        [BN_SITE_FFN_SUB] = config->model.ffn_sub_norm,
    };
    if (norms[place] != BN_NORM_LEARNED) return;
    int cols = (int)(place == BN_SITE_FFN_SUB ? config->model.ffn : config->model.width);
    bn_tensor *tensor = add(params, BN_ROLE_NORM, layer, place, (shape){1, cols});
    (void)snprintf(tensor->name, sizeof tensor->name, "model.layers.%d.%s.weight", layer,
                   SITE_NAMES[place]);
}

static void add_block(bn_params *params, const bn_config *config, int layer)
{
    add_gain(params, config, layer, BN_SITE_ATTN);
    add_linear(params, config, layer, BN_LINEAR_Q);
    add_linear(params, config, layer, BN_LINEAR_K);
    add_linear(params, config, layer, BN_LINEAR_V);
    add_gain(params, config, layer, BN_SITE_ATTN_SUB);
    add_linear(params, config, layer, BN_LINEAR_O);
    add_gain(params, config, layer, BN_SITE_FFN);
    add_linear(params, config, layer, BN_LINEAR_GATE);
    add_linear(params, config, layer, BN_LINEAR_UP);
    add_gain(params, config, layer, BN_SITE_FFN_SUB);
    add_linear(params, config, layer, BN_LINEAR_DOWN);
}

/* One tensor must be countable in an int (a kernel's shapes), all of them in a size_t. */
static bn_status check_size(const bn_config *config, bn_error *err)
{
    double width = (double)config->model.width;
    double widest =
        (double)(config->model.vocab > config->model.ffn ? config->model.vocab : config->model.ffn);
    if (widest * width > INT_MAX) {
        return bn_fail(err, BN_EINVAL,
                       "'model.width' %.0f makes a tensor of more than 2^31 "
                       "parameters with 'model.%s' %.0f",
                       width, config->model.vocab > config->model.ffn ? "vocab" : "ffn", widest);
    }
    return BN_OK;
}

bn_status bn_params_init(bn_params *params, const bn_config *config, bn_error *err)
{
    assert(config->model.vocab > 0 && config->model.ffn > 0 && config->model.kv_heads > 0);
    memset(params, 0, sizeof *params);
    if (check_size(config, err) != BN_OK) return err->status;
    size_t layers = (size_t)config->model.layers;
    params->tensors = calloc(OUTSIDE_TENSORS + layers * BLOCK_TENSORS, sizeof *params->tensors);
    if (!params->tensors) return bn_fail(err, BN_ENOMEM, "no memory for the tensor table");

    shape table = {(int)config->model.vocab, (int)config->model.width};
    bn_tensor *tensor = add(params, BN_ROLE_EMBED, -1, 0, table);
    (void)snprintf(tensor->name, sizeof tensor->name, "model.embed_tokens.weight");
    for (int layer = 0; layer < config->model.layers; layer++) add_block(params, config, layer);
    tensor = add(params, BN_ROLE_FINAL_NORM, -1, 0, (shape){1, (int)config->model.width});
    (void)snprintf(tensor->name, sizeof tensor->name, "model.norm.weight");
    if (!config->model.tied) {
        tensor = add(params, BN_ROLE_HEAD, -1, 0, table);
        (void)snprintf(tensor->name, sizeof tensor->name, "lm_head.weight");
    }
    return BN_OK;
}

void bn_params_release(bn_params *params)
{
    free(params->tensors);
    memset(params, 0, sizeof *params);
}

const bn_tensor *bn_params_find(const bn_params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++) {
        if (strcmp(params->tensors[i].name, name) == 0) return &params->tensors[i];
    }
    return NULL;
}

const bn_tensor *bn_params_at(const bn_params *params, bn_role role, int layer, int place)
{
    for (size_t i = 0; i < params->count; i++) {
        const bn_tensor *tensor = &params->tensors[i];
        if (tensor->role == role && tensor->layer == layer && tensor->place == place) return tensor;
    }
    return NULL;
}
