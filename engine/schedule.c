#include "engine/schedule.h"

#include <assert.h>
#include <math.h>

static const double PI = 3.14159265358979323846;

static bool second_half(const bn_config *config, int64_t step)
{
    return step >= config->train.steps - config->train.steps / 2;
}

static double wsd(const bn_config *config, int64_t step)
{
    double steps = (double)config->train.steps, tail = steps * config->optim.decay_fraction;
    double into = (double)step - (steps - tail);
    if (into <= 0) return 1;
    return 1 - (1 - config->optim.lr_final) * into / tail;
}

/* The share of the peak behind the warm-up. */
static double shape_at(const bn_config *config, int64_t step)
{
    int64_t warmup = config->optim.warmup_steps;
    double p = (double)(step - warmup) / (double)(config->train.steps - warmup);
    double last = config->optim.lr_final;
    switch ((bn_lr_schedule)config->optim.schedule) {
    case BN_LR_COSINE:
        return last + (1 - last) * (1 + cos(PI * p)) / 2;
    case BN_LR_LINEAR:
        return 1 - (1 - last) * p;
    case BN_LR_WSD:
        return wsd(config, step);
    case BN_LR_TWO_STAGE:
        return 1 - p;
    case BN_LR_CONSTANT:
    case BN_LR_AUTO:
        break;
    }
    return 1;
}

double bn_schedule_lr(const bn_config *config, int64_t step)
{
    assert(step >= 0 && step < config->train.steps);
    assert(config->optim.schedule != BN_LR_AUTO);
    bool lower = config->optim.schedule == BN_LR_TWO_STAGE && second_half(config, step);
    double peak = lower ? config->optim.lr2 : config->optim.lr;
    int64_t warmup = config->optim.warmup_steps;
    if (step < warmup) return peak * (double)(step + 1) / (double)warmup;
    return peak * shape_at(config, step);
}

double bn_schedule_wd(const bn_config *config, int64_t step)
{
    assert(config->optim.wd_schedule != BN_WD_AUTO);
    bool off = config->optim.wd_schedule == BN_WD_TWO_STAGE && second_half(config, step);
    return off ? 0 : config->optim.weight_decay;
}
