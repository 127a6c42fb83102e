/* half.h - the two 16-bit floats: bfloat16 and IEEE 754 binary16, as bits.
 *
 * Rounding is to nearest, ties to even; overflow gives infinity, NaN stays NaN (quiet), denormals
 * are kept. No compiler or hardware half type is used, so every machine gives the same bits.
 */
#ifndef BN_ENGINE_BASE_HALF_H
#define BN_ENGINE_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t bn_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float bn_float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 8 bits of exponent, 7 of fraction: the upper half of a float. */
static inline uint16_t bn_bf16_from_float(float value)
{
    uint32_t bits = bn_float_bits(value);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return (uint16_t)((bits >> 16) | 0x40U);
    return (uint16_t)((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

static inline float bn_bf16_to_float(uint16_t half)
{
    return bn_float_from_bits((uint32_t)half << 16);
}

/* 5 bits of exponent, 10 of fraction; largest finite value 65504. */
static inline uint16_t bn_f16_from_float(float value)
{
    uint32_t bits = bn_float_bits(value);
    uint32_t sign = (bits >> 16) & 0x8000U;
    uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U) return (uint16_t)(sign | 0x7E00U);
    if (magnitude >= 0x47800000U) return (uint16_t)(sign | 0x7C00U); /* 65536 and above */
    if (magnitude < 0x38800000U) { /* below 2^-14: units of 2^-24, rounded by the float adder */
        float shifted = bn_float_from_bits(magnitude) + 0.5F;
        return (uint16_t)(sign | (bn_float_bits(shifted) - 0x3F000000U));
    }
    uint32_t odd = (magnitude >> 13) & 1U;
    return (uint16_t)(sign | ((magnitude - 0x38000000U + 0xFFFU + odd) >> 13));
}

static inline float bn_f16_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t magnitude = (uint32_t)(half & 0x7FFFU) << 13;
    if (magnitude >= 0x0F800000U) return bn_float_from_bits(sign | (magnitude + 0x70000000U));
    if (magnitude < 0x00800000U) { /* denormal: bits count units of 2^-24 */
        float value = (float)(half & 0x03FFU) * 0x1p-24F;
        return bn_float_from_bits(sign | bn_float_bits(value));
    }
    return bn_float_from_bits(sign | (magnitude + 0x38000000U));
}

#endif
