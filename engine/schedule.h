/* schedule.h - learning rate and weight decay as pure functions of the step. */
#ifndef BN_ENGINE_SCHEDULE_H
#define BN_ENGINE_SCHEDULE_H

#include <stdint.h>

#include "engine/config.h"

/* The rate of the optimizer step that takes a run from `step` to `step + 1`, step = 0 ... steps-1.
 *
 * Warm-up: peak * (step + 1) / warmup_steps for step < warmup_steps. Behind it, with
 * p = (step - warmup) / (steps - warmup) in [0, 1) and f = lr_final:
 *   constant   peak
 *   cosine     peak * (f + (1 - f) * (1 + cos(pi * p)) / 2)
 *   linear     peak * (1 - (1 - f) * p)
 *   wsd        peak until the last decay_fraction of the steps, then linear to f
 *   two_stage  (step < steps / 2 ? lr : lr2) * (1 - p): one line to zero whose peak drops half-way
 *              (BitNet b1.58's training tips; TriLM, arXiv:2407.12327)
 * f is reached behind the last step, not in it, so that no step is without effect. */
double bn_schedule_lr(const bn_config *config, int64_t step);

/* The decay of that step: constant, or two_stage: none from the half-way step on. */
double bn_schedule_wd(const bn_config *config, int64_t step);

#endif
