#include "engine/model.h"

#include <assert.h>
#include <string.h>

#include "engine/base/rng.h"

enum { INIT_CHUNK = 1 << 14 };

static void init_tensor(bn_model *model, const bn_tensor *tensor, uint64_t key)
{
    float chunk[INIT_CHUNK];
    bool gain = tensor->role == BN_ROLE_NORM || tensor->role == BN_ROLE_FINAL_NORM;
    double std = tensor->role == BN_ROLE_EMBED ? model->embed_std : model->init_std;
    for (size_t at = 0; at < tensor->count; at += INIT_CHUNK) {
        size_t count = tensor->count - at < INIT_CHUNK ? tensor->count - at : INIT_CHUNK;
        for (size_t i = 0; i < count; i++) {
            chunk[i] = gain ? 1.0F : (float)(bn_rng_normal(key, at + i) * std);
        }
        bn_backend_write(model->be, model->weights + tensor->offset + at, chunk,
                         count * sizeof *chunk);
    }
}

void bn_model_init(bn_model *model, uint64_t seed)
{
    uint64_t root = bn_rng_key(seed, "init", 0);
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        init_tensor(model, tensor, bn_rng_key(root, tensor->name, 0));
    }
    bn_model_prepare(model);
}

const bn_weight *bn_model_weight_of(const bn_model *model, const bn_tensor *tensor)
{
    switch (tensor->role) {
    case BN_ROLE_LINEAR:
        return &model->blocks[tensor->layer].linear[tensor->place].weight;
    case BN_ROLE_HEAD:
        return &model->head.weight;
    case BN_ROLE_EMBED:
        return model->head.weight.master == model->embed.data ? &model->head.weight : NULL;
    case BN_ROLE_FINAL_NORM:
    case BN_ROLE_NORM:
        break;
    }
    return NULL;
}

void bn_model_prepare(bn_model *model)
{
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_weight *weight = bn_model_weight_of(model, &model->params.tensors[i]);
        if (weight) bn_weight_prepare(model->be, weight);
    }
}

static bn_norm_args final_norm(const bn_model *model)
{
    return (bn_norm_args){.site = model->final_site.norm,
                          .x = model->last,
                          .out = model->final_site.out,
                          .stats = model->final_site.stats};
}

static void load(bn_model *model, const int32_t *tokens, const int32_t *targets)
{
    size_t bytes = (size_t)model->shape.rows * sizeof *tokens;
    bn_backend_write(model->be, model->tokens, tokens, bytes);
    bn_backend_write(model->be, model->targets, targets, bytes);
}

/* What a micro-batch's ops depend on besides the model's own memory: for bn_backend_replay. micro
 * -1: evaluation. */
static uint64_t work_key(const bn_model *model, int micro, float scale)
{
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    uint64_t memory = (uint64_t)(uintptr_t)model ^ (uint64_t)(uintptr_t)model->loss_scale << 1;
    return bn_rng_key(memory, "work", (uint64_t)bits << 32 | (uint32_t)micro);
}

static void forward(bn_model *model)
{
    bn_embed_forward(model->be, model->blocks[0].x, model->embed, model->tokens);
    for (int layer = 0; layer < model->layers; layer++) {
        bool is_last = layer + 1 == model->layers;
        bn_mat next = is_last ? model->last : model->blocks[layer + 1].x;
        bn_block_forward(model->be, &model->shape, &model->blocks[layer], next);
    }
    bn_norm_args norm = final_norm(model);
    bn_norm_forward(model->be, &norm);
}

void bn_model_scale(bn_model *model, const double *loss_scale)
{
    model->loss_scale = loss_scale;
}

void bn_model_listen(bn_model *model, bn_grad_listener listener)
{
    model->listener = listener;
}

/* A micro-batch is made in pieces, after each of which more gradients are done: the way to the loss
 * and back to the last layer, then a layer each, then the token table. */
static int pieces_of(const bn_model *model)
{
    return model->layers + 2;
}

/* The table's rows are in the order of the forward pass, so the backward pass ends them from the
 * last to the first: a layer's rows, and those behind them, are done when the layer is. */
static void tell_done(const bn_model *model, int piece)
{
    size_t row = 0;
    int layer = model->layers - piece;
    while (layer >= 0 && row < model->params.count) {
        const bn_tensor *tensor = &model->params.tensors[row];
        if (piece == 0 ? tensor->role == BN_ROLE_FINAL_NORM : tensor->layer == layer) break;
        row++;
    }
    model->listener.done(model->listener.self, model->params.tensors[row].offset);
}

static void to_the_loss_and_back(bn_model *model, int micro, float scale)
{
    forward(model);
    bn_head_args head = {.x = model->final_site.out,
                         .head = &model->head.weight,
                         .targets = model->targets,
                         .loss = model->loss + (size_t)micro * (size_t)model->shape.rows,
                         .dx = model->scratch.dnorm,
                         .dw = model->head.grad,
                         .scale = scale,
                         .loss_scale = model->loss_scale};
    bn_head_loss(model->be, &head);
    bn_norm_args norm = final_norm(model);
    bn_norm_backward(model->be, &norm,
                     &(bn_norm_grads){.dy = model->scratch.dnorm,
                                      .dx = model->dx,
                                      .dgain = model->final_site.dgain});
}

static void train_piece(bn_model *model, int micro, float scale, int piece)
{
    int layer = model->layers - piece;
    if (piece == 0) {
        to_the_loss_and_back(model, micro, scale);
    } else if (layer >= 0) {
        bn_block_backward(model->be, &model->shape, &model->blocks[layer], &model->scratch,
                          model->dx);
    } else {
        bn_embed_backward(model->be, model->dembed, model->dx, model->tokens);
    }
}

/* Who listens acts between the pieces, so each of them is repeated by itself. */
static void train_heard(bn_model *model, int micro, float scale)
{
    uint64_t key = work_key(model, micro, scale);
    for (int piece = 0; piece < pieces_of(model); piece++) {
        if (!bn_backend_replay(model->be, bn_rng_key(key, "piece", (uint64_t)piece))) {
            train_piece(model, micro, scale, piece);
            bn_backend_replay_end(model->be);
        }
        tell_done(model, piece);
    }
}

void bn_model_train(bn_model *model, int micro, const int32_t *tokens, const int32_t *targets,
                    float scale)
{
    assert(micro >= 0 && micro < model->accum);
    load(model, tokens, targets);
    if (model->listener.done) {
        train_heard(model, micro, scale);
        return;
    }
    if (bn_backend_replay(model->be, work_key(model, micro, scale))) return;
    for (int piece = 0; piece < pieces_of(model); piece++) {
        train_piece(model, micro, scale, piece);
    }
    bn_backend_replay_end(model->be);
}

void bn_model_eval_begin(bn_model *model)
{
    bn_backend_zero(model->be, model->eval_loss, sizeof *model->eval_loss);
}

void bn_model_eval(bn_model *model, const int32_t *tokens, const int32_t *targets)
{
    load(model, tokens, targets);
    if (bn_backend_replay(model->be, work_key(model, -1, 1))) return;
    forward(model);
    bn_head_args head = {.x = model->final_site.out,
                         .head = &model->head.weight,
                         .targets = model->targets,
                         .loss = model->loss,
                         .scale = 1};
    bn_head_loss(model->be, &head);
    bn_sum(model->be, model->eval_loss, model->loss, (size_t)model->shape.rows);
    bn_backend_replay_end(model->be);
}

double bn_model_eval_sum(bn_model *model)
{
    double sum = 0;
    bn_backend_read(model->be, &sum, model->eval_loss, sizeof sum);
    return sum;
}

double bn_model_loss_sum(bn_model *model, int micros)
{
    size_t count = (size_t)model->shape.rows * (size_t)micros;
    bn_backend_read(model->be, model->host_loss, model->loss, count * sizeof(float));
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)model->host_loss[i];
    return sum;
}
