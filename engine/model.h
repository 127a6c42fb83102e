/* model.h - the network: a Llama-style decoder whose linear layers are a variant's.
 *
 * All memory is taken when it is opened: a training step allocates nothing. The fields below may be
 * read by who walks the parameters (optimizer, checkpoint, diagnostics); only model.c sets them.
 */
#ifndef BN_ENGINE_MODEL_H
#define BN_ENGINE_MODEL_H

#include "engine/block.h"

typedef struct bn_model_bytes {
    size_t weights;     /* masters and working forms */
    size_t grads;       /* of parameters */
    size_t optimizer;   /* AdamW's two moments */
    size_t activations; /* kept for the backward pass, scratch, tokens and losses */
} bn_model_bytes;

/* Told, in a backward pass, that the gradients from an offset to the end of the table are those of
 * the whole micro-batch. Offsets fall; the last is 0. done NULL: nobody listens. */
typedef struct bn_grad_listener {
    void (*done)(void *self, size_t from);
    void *self;
} bn_grad_listener;

typedef struct bn_model {
    bn_backend be; /* borrowed */
    bn_params params;
    bn_shape shape;
    int layers, accum;
    double init_std, embed_std;
    float *weights, *grads; /* [params.floats], backend memory; offsets are the table's */
    bn_block *blocks;       /* [layers] */
    bn_site final_site;
    bn_linear head; /* shares the token table's memory when tied */
    bn_mat embed, dembed, last, dx;
    bn_scratch scratch;
    int32_t *tokens, *targets; /* [rows], backend memory */
    float *loss;               /* [accum * rows], backend memory */
    float *host_loss;          /* [accum * rows] */
    double *eval_loss;         /* [1], backend memory */
    const double *loss_scale;  /* [1], backend memory; NULL: 1 */
    void *forms, *activations;
    bn_grad_listener listener;
    bn_model_bytes bytes;
} bn_model;

/* config: resolved, model.vocab known. The caller owns *out; be must outlive it.
 * BN_EINVAL: a micro-batch or network too large to index; BN_ENOMEM says how much was asked for. */
BN_MUST_CHECK bn_status bn_model_open(bn_model **out, bn_backend be, const bn_config *config,
                                      bn_error *err);
void bn_model_close(bn_model *model); /* NULL is fine */

/* What bn_model_open would take, without taking it. */
BN_MUST_CHECK bn_status bn_model_measure(bn_model_bytes *out, bn_backend be,
                                         const bn_config *config, bn_error *err);

/* Weights from a seed: normal(0, init_std), the token table normal(0, embed_std), gains 1; each
 * tensor is a stream of its own, so equal shapes start equal whatever the variant. */
void bn_model_init(bn_model *model, uint64_t seed);

/* Makes every working form from its master: after the masters were written from outside. */
void bn_model_prepare(bn_model *model);

/* Memory of the backend whose number multiplies bn_model_train's scale; NULL: 1. */
void bn_model_scale(bn_model *model, const double *loss_scale);

/* One micro-batch: tokens and targets [rows] of host memory, micro = 0 ... accum-1 its place in the
 * step. Adds the gradients of scale * sum of the losses to grads. Does not wait. */
void bn_model_train(bn_model *model, int micro, const int32_t *tokens, const int32_t *targets,
                    float scale);

/* Who is told of the gradients of the next bn_model_train. */
void bn_model_listen(bn_model *model, bn_grad_listener listener);

/* Losses only, into the place of micro-batch 0, and onto the sum since the last begin. Does not
 * wait; the sum does. */
void bn_model_eval_begin(bn_model *model);
void bn_model_eval(bn_model *model, const int32_t *tokens, const int32_t *targets);
double bn_model_eval_sum(bn_model *model);

/* Sum of the losses [nats] of the first `micros` micro-batches, in double and in order. Waits. */
double bn_model_loss_sum(bn_model *model, int micros);

/* The weight whose working form must follow this tensor's master, or NULL. */
const bn_weight *bn_model_weight_of(const bn_model *model, const bn_tensor *tensor);

#endif
