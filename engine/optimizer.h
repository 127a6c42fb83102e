/* optimizer.h - AdamW over the tensor table, gradient norm and clipping, dynamic loss scaling.
 *
 * Loss scaling (Micikevicius et al., arXiv:1710.03740) is on for variant fp16 only: the backward
 * pass starts from `loss_scale` instead of 1. A step whose gradients are not finite changes nothing
 * and halves the scale; SCALE_GROWTH_STEPS good steps in a row double it.
 */
#ifndef BN_ENGINE_OPTIMIZER_H
#define BN_ENGINE_OPTIMIZER_H

#include "engine/model.h"

/* What outlives a restart, besides the moments. */
typedef struct bn_optimizer_state {
    int64_t updates;    /* steps that changed the weights: AdamW's own count */
    int64_t skipped;    /* steps that did not, in all */
    int64_t good_steps; /* since the scale last changed */
    double loss_scale;  /* 1 unless the variant is fp16 */
} bn_optimizer_state;

enum { BN_GROUPS_MAX = 160 };

typedef struct bn_optimizer {
    bn_model *model; /* borrowed */
    bn_optimizer_state state;
    bool scaling;
    float *m, *v;    /* [params.floats], backend memory */
    double *squares; /* [1 + BN_GROUPS_MAX], backend memory: of all gradients, then by group */
    float beta1, beta2, eps, clip;
} bn_optimizer;

typedef struct bn_optimizer_step {
    double lr, wd;
    double grad_norm; /* out: global L2 norm before clipping, without the loss scale */
    bool skipped;     /* out: gradients were not finite, nothing changed */
    bool stuck;       /* out: skipped, and no smaller loss scale is left to try */
} bn_optimizer_step;

/* The gradient norm of one half of a block, of the token table, or of final norm and head. */
typedef struct bn_group_norm {
    char name[BN_TENSOR_NAME_MAX]; /* "grad_norm/embed", "grad_norm/layer.0.attn", ... */
    double norm;
} bn_group_norm;

BN_MUST_CHECK bn_status bn_optimizer_open(bn_optimizer **out, bn_model *model,
                                          const bn_config *config, bn_error *err);
void bn_optimizer_close(bn_optimizer *optimizer); /* NULL is fine */

/* Applies the gradients of the model and clears them. Waits for the device once, and tells what
 * stuck to it. */
BN_MUST_CHECK bn_status bn_optimizer_apply(bn_optimizer *optimizer, bn_optimizer_step *step,
                                           bn_error *err);

/* The groups of the gradients that wait to be applied; returns how many, at most BN_GROUPS_MAX (a
 * deeper network's last ones are left out). Waits. */
int bn_optimizer_group_norms(bn_optimizer *optimizer, bn_group_norm out[BN_GROUPS_MAX]);

#endif
