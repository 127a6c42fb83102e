/* attend_f32.h - the passes of attend.h over floats, in C for an instruction set's file to include:
 * compiled with its flags, they are its vector code. */
#ifndef BN_ENGINE_CPU_ATTEND_F32_H
#define BN_ENGINE_CPU_ATTEND_F32_H

#include <math.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/cpu/attend.h"
#include "engine/cpu/exponential.h"

/* e^x as in rows.c, but 0 for the least arguments; and written so that gcc 12
 * makes vector code of loops that sum it. */
static inline float bn_attend_weight(float x)
{
    const float least = -87.3F;
    float c = x > least ? x : least;
    c = c < 88.0F ? c : 88.0F;
    float n = rintf(c * 1.44269504F);
    float r = (x < least ? least : x) - n * 0.693359375F;
    r += n * 2.12194440e-4F;
    uint32_t power = (uint32_t)((int32_t)n + 127) << 23;
    power = x < least ? 0 : power;
    return bn_exp_near_zero(r) * bn_float_from_bits(power);
}

static float weigh_f32(uint32_t *restrict to, const float *restrict x, float factor, float shift,
                       size_t count)
{
    float total = 0;
    for (size_t i = 0; i < count; i++) {
        float weight = bn_attend_weight((x[i] - shift) * factor);
        to[i] = bn_float_bits(weight);
        total += weight;
    }
    return total;
}

static void slope_f32(const bn_attend_slopes *of, size_t count)
{
    uint32_t *restrict weights = of->weights;
    uint32_t *restrict slopes = of->slopes;
    const float *restrict scores = of->scores;
    const float *restrict dp = of->dp;
    float factor = of->factor, shift = of->shift[0], mean = of->mean[0];
    for (size_t i = 0; i < count; i++) {
        float weight = bn_attend_weight((scores[i] - shift) * factor);
        weights[i] = bn_float_bits(weight);
        slopes[i] = bn_float_bits(weight * (dp[i] - mean) * factor);
    }
}

static void along_f32(uint32_t *to, const float *x, size_t count)
{
    memcpy(to, x, count * sizeof *x);
}

static void across_f32(uint32_t *to, const float *x0, const float *x1, size_t count)
{
    (void)x1;
    memcpy(to, x0, count * sizeof *x0);
}

#endif
