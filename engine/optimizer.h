/* optimizer.h - AdamW over the tensor table, gradient norm and clipping, dynamic loss scaling.
 *
 * A step is given to the device and decided there (steps.h), so giving one waits for nothing. What
 * became of the steps is asked for when somebody needs to know, at the latest every BN_STEPS_MAX.
 */
#ifndef BN_ENGINE_OPTIMIZER_H
#define BN_ENGINE_OPTIMIZER_H

#include "engine/model.h"

enum { BN_GROUPS_MAX = 160 };

typedef struct bn_optimizer_step {
    double lr, wd;
    double loss;              /* out: sum over the step's tokens [nats] */
    double grad_norm;         /* out: global L2 norm before clipping, without the loss scale */
    bn_optimizer_state state; /* out: after the step */
    bool skipped;             /* out: gradients were not finite, nothing changed */
    bool stuck;               /* out: skipped, and no smaller loss scale is left to try */
} bn_optimizer_step;

typedef struct bn_optimizer {
    bn_model *model;          /* borrowed */
    bn_optimizer_state state; /* after the last step that was told of */
    bn_step_rule rule;
    float eps;
    float *m, *v;    /* [params.floats], backend memory */
    bn_steps *steps; /* [1], backend memory */
    double *squares; /* [BN_GROUPS_MAX], backend memory: of the gradients by group */
    bn_steps seen;   /* the device's, as it was when last asked */
    int64_t given, told;
    bn_optimizer_step pending[BN_STEPS_MAX]; /* the n-th step at n % BN_STEPS_MAX */
} bn_optimizer;

/* The gradient norm of one half of a block, of the token table, or of final norm and head. */
typedef struct bn_group_norm {
    char name[BN_TENSOR_NAME_MAX]; /* "grad_norm/embed", "grad_norm/layer.0.attn", ... */
    double norm;
} bn_group_norm;

/* One optimizer of a model at a time: it decides the scale of the model's losses. */
BN_MUST_CHECK bn_status bn_optimizer_open(bn_optimizer **out, bn_model *model,
                                          const bn_config *config, bn_error *err);
void bn_optimizer_close(bn_optimizer *optimizer); /* NULL is fine */

/* Goes on from there; no step is pending. */
void bn_optimizer_resume(bn_optimizer *optimizer, const bn_optimizer_state *state);

/* Applies the gradients of the model with step's lr and wd, and clears them. Does not wait. At most
 * BN_STEPS_MAX steps may be pending. */
void bn_optimizer_give(bn_optimizer *optimizer, const bn_optimizer_step *step);
int bn_optimizer_pending(const bn_optimizer *optimizer);

/* What became of the pending steps, oldest first; returns how many through *count. Waits, and tells
 * what stuck to the device. */
BN_MUST_CHECK bn_status bn_optimizer_collect(bn_optimizer *optimizer,
                                             bn_optimizer_step out[BN_STEPS_MAX], int *count,
                                             bn_error *err);

/* Gives one step and waits for it; no other is pending. */
BN_MUST_CHECK bn_status bn_optimizer_apply(bn_optimizer *optimizer, bn_optimizer_step *step,
                                           bn_error *err);

/* The groups of the gradients that wait to be applied; returns how many, at most BN_GROUPS_MAX (a
 * deeper network's last ones are left out). Waits. */
int bn_optimizer_group_norms(bn_optimizer *optimizer, bn_group_norm out[BN_GROUPS_MAX]);

#endif
