/* steps.h - what training steps go by and what became of them, kept where the work is done.
 *
 * A device that works behind the caller's back decides by itself whether a step changes the weights
 * and with which loss scale the next one begins, so nobody waits for it; the host asks for what
 * became of many steps at once. Decided by one rule on every device.
 *
 * Loss scaling (Micikevicius et al., arXiv:1710.03740) is on for variant fp16 only: the backward
 * pass starts from `loss_scale` instead of 1. A step whose gradients are not finite changes nothing
 * and halves the scale; BN_SCALE_GROWTH_STEPS good steps in a row double it.
 */
#ifndef BN_ENGINE_STEPS_H
#define BN_ENGINE_STEPS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define BN_ON_ANY_DEVICE static inline __host__ __device__
#else
#define BN_ON_ANY_DEVICE static inline
#endif

enum {
    BN_STEPS_MAX = 64, /* whose outcomes are kept until they are asked for */
    BN_SCALE_GROWTH_STEPS = 2000,
};
#define BN_SCALE_START 65536.0
#define BN_SCALE_MAX   16777216.0

/* What outlives a restart, besides the moments. */
typedef struct bn_optimizer_state {
    int64_t updates;    /* steps that changed the weights: AdamW's own count */
    int64_t skipped;    /* steps that did not, in all */
    int64_t good_steps; /* since the scale last changed */
    double loss_scale;  /* a power of two; 1 unless the variant is fp16 */
} bn_optimizer_state;

/* What AdamW needs to know of the step at hand. */
typedef struct bn_adamw_rates {
    double factor;                   /* of gradients: undoes the loss scale, clips */
    double correction1, correction2; /* of the moments: 1 - beta^updates */
    float lr, decay;
    bool skip; /* gradients are not finite: nothing changes but that they are cleared */
} bn_adamw_rates;

/* What became of a step. */
typedef struct bn_outcome {
    double loss;              /* sum over its tokens [nats] */
    double squares;           /* sum of squares of its gradients, with the loss scale in them */
    double loss_scale;        /* that it was made with */
    bn_optimizer_state state; /* after it */
} bn_outcome;

/* In backend memory, zeroed but for the state when the first step begins. */
typedef struct bn_steps {
    bn_optimizer_state state;
    float lr, decay;                   /* of the step at hand, written by the host before it */
    double loss, squares;              /* of the step at hand, summed up before it is decided */
    bn_adamw_rates rates;              /* made when it is decided */
    int64_t count;                     /* of steps decided */
    bn_outcome outcomes[BN_STEPS_MAX]; /* the n-th step's at n % BN_STEPS_MAX */
} bn_steps;

/* The same for all steps. */
typedef struct bn_step_rule {
    float beta1, beta2;
    float clip; /* largest norm of all gradients; 0: any */
    bool scaling;
} bn_step_rule;

BN_ON_ANY_DEVICE double bn_steps_factor(const bn_step_rule *rule, double squares, double loss_scale)
{
    double factor = 1 / loss_scale, norm = sqrt(squares) * factor, clip = (double)rule->clip;
    return clip > 0 && norm > clip ? factor * (clip / norm) : factor;
}

/* Without scaling a skipped step cannot be cured. */
BN_ON_ANY_DEVICE void bn_steps_follow(bn_optimizer_state *state, bool skip, bool scaling)
{
    if (skip) {
        state->skipped++;
        state->good_steps = 0;
        if (scaling && state->loss_scale > 1) state->loss_scale /= 2;
        return;
    }
    state->updates++;
    state->good_steps++;
    if (!scaling || state->good_steps < BN_SCALE_GROWTH_STEPS) return;
    if (state->loss_scale < BN_SCALE_MAX) state->loss_scale *= 2;
    state->good_steps = 0;
}

/* From lr, decay, loss and squares of the step at hand: its rates, its outcome, the next state. */
BN_ON_ANY_DEVICE void bn_steps_decide(bn_steps *steps, const bn_step_rule *rule)
{
    double squares = steps->squares, loss_scale = steps->state.loss_scale;
    double updates = (double)(steps->state.updates + 1);
    bn_adamw_rates *rates = &steps->rates;
    rates->skip = !isfinite(squares);
    rates->factor = bn_steps_factor(rule, squares, loss_scale);
    rates->correction1 = 1 - pow((double)rule->beta1, updates);
    rates->correction2 = 1 - pow((double)rule->beta2, updates);
    rates->lr = steps->lr;
    rates->decay = steps->decay;
    bn_steps_follow(&steps->state, rates->skip, rule->scaling);
    bn_outcome *outcome = &steps->outcomes[steps->count % BN_STEPS_MAX];
    outcome->loss = steps->loss;
    outcome->squares = squares;
    outcome->loss_scale = loss_scale;
    outcome->state = steps->state;
    steps->count++;
}

#endif
