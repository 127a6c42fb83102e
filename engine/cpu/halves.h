/* halves.h - rows.h's passes that round to 16 bits, for rows.c to include: in C, bit by bit. */
#ifndef BN_ENGINE_CPU_HALVES_H
#define BN_ENGINE_CPU_HALVES_H

#include <stddef.h>

#include "engine/base/half.h"

static void to_bf16(uint16_t *restrict y, const float *restrict x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = bn_bf16_from_float(x[i] * factor);
}

static void to_f16(uint16_t *restrict y, const float *restrict x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = bn_f16_from_float(x[i] * factor);
}

static void from_f16(float *restrict y, const uint16_t *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = bn_f16_to_float(x[i]);
}

static void round_f16(float *y, const float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = bn_f16_to_float(bn_f16_from_float(x[i] * factor));
}

static void round_bf16(float *y, const float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = bn_bf16_to_float(bn_bf16_from_float(x[i] * factor));
}

static void pair_f32(uint32_t *restrict to, const float *restrict a, const float *restrict b,
                     float a_factor, float b_factor, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t low = bn_bf16_from_float(a[i] * a_factor);
        uint32_t high = bn_bf16_from_float(b[i] * b_factor);
        to[i] = low | high << 16;
    }
}

static void pair_scaled_i8(uint32_t *restrict to, const int8_t *restrict a,
                           const int8_t *restrict b, float a_factor, float b_factor, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t low = bn_bf16_from_float((float)a[i] * a_factor);
        uint32_t high = bn_bf16_from_float((float)b[i] * b_factor);
        to[i] = low | high << 16;
    }
}

#endif
