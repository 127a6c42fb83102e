/* halves_avx512bf16.h - halves.h in AVX-512 with BF16. As in its products, a bf16 below the least
 * normal float is zero. */
#ifndef BN_ENGINE_CPU_HALVES_AVX512BF16_H
#define BN_ENGINE_CPU_HALVES_AVX512BF16_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { HALVES_LANES = 16, HALVES_ROUNDING = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

/* The lanes from element i on that exist. Whole vectors go without a mask, which is faster. */
static inline __mmask16 lanes_left(size_t count, size_t i)
{
    return (__mmask16)((1U << (count - i)) - 1);
}

static inline __m256i bf16_of(__m512 x)
{
    return (__m256i)_mm512_cvtneps_pbh(x);
}

static inline __m256i f16_of(__m512 x)
{
    return _mm512_cvtps_ph(x, HALVES_ROUNDING);
}

static inline __m512 floats_of_bf16(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

static inline void to_bf16(uint16_t *y, const float *x, float factor, size_t count)
{
    __m512 f = _mm512_set1_ps(factor);
    size_t i = 0;
    for (; i + HALVES_LANES <= count; i += HALVES_LANES) {
        __m256i half = bf16_of(_mm512_mul_ps(_mm512_loadu_ps(x + i), f));
        _mm256_storeu_si256((__m256i *)(y + i), half);
    }
    if (i == count) return;
    __mmask16 some = lanes_left(count, i);
    __m256i half = bf16_of(_mm512_mul_ps(_mm512_maskz_loadu_ps(some, x + i), f));
    _mm256_mask_storeu_epi16(y + i, some, half);
}

static inline void to_f16(uint16_t *y, const float *x, float factor, size_t count)
{
    __m512 f = _mm512_set1_ps(factor);
    size_t i = 0;
    for (; i + HALVES_LANES <= count; i += HALVES_LANES) {
        __m256i half = f16_of(_mm512_mul_ps(_mm512_loadu_ps(x + i), f));
        _mm256_storeu_si256((__m256i *)(y + i), half);
    }
    if (i == count) return;
    __mmask16 some = lanes_left(count, i);
    __m256i half = f16_of(_mm512_mul_ps(_mm512_maskz_loadu_ps(some, x + i), f));
    _mm256_mask_storeu_epi16(y + i, some, half);
}

static inline void from_f16(float *y, const uint16_t *x, size_t count)
{
    size_t i = 0;
    for (; i + HALVES_LANES <= count; i += HALVES_LANES) {
        __m256i half = _mm256_loadu_si256((const __m256i *)(x + i));
        _mm512_storeu_ps(y + i, _mm512_cvtph_ps(half));
    }
    if (i == count) return;
    __mmask16 some = lanes_left(count, i);
    _mm512_mask_storeu_ps(y + i, some, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(some, x + i)));
}

static inline void round_bf16(float *y, const float *x, float factor, size_t count)
{
    __m512 f = _mm512_set1_ps(factor);
    for (size_t i = 0; i < count; i += HALVES_LANES) {
        __mmask16 some = count - i < HALVES_LANES ? lanes_left(count, i) : 0xFFFFU;
        __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(some, x + i), f);
        _mm512_mask_storeu_ps(y + i, some, floats_of_bf16(bf16_of(value)));
    }
}

static inline void round_f16(float *y, const float *x, float factor, size_t count)
{
    __m512 f = _mm512_set1_ps(factor);
    for (size_t i = 0; i < count; i += HALVES_LANES) {
        __mmask16 some = count - i < HALVES_LANES ? lanes_left(count, i) : 0xFFFFU;
        __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(some, x + i), f);
        _mm512_mask_storeu_ps(y + i, some, _mm512_cvtph_ps(f16_of(value)));
    }
}

/* Element i of a in the low half of word i, of b in the high one. */
static inline __m512i pairs_of(__m512 a, __m512 b)
{
    static const uint16_t order[2 * HALVES_LANES] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                     21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                     11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order), both);
}

static inline void pair_f32(uint32_t *to, const float *a, const float *b, float a_factor,
                            float b_factor, size_t count)
{
    __m512 fa = _mm512_set1_ps(a_factor), fb = _mm512_set1_ps(b_factor);
    size_t i = 0;
    for (; i + HALVES_LANES <= count; i += HALVES_LANES) {
        __m512 low = _mm512_mul_ps(_mm512_loadu_ps(a + i), fa);
        __m512 high = _mm512_mul_ps(_mm512_loadu_ps(b + i), fb);
        _mm512_storeu_si512(to + i, pairs_of(low, high));
    }
    if (i == count) return;
    __mmask16 some = lanes_left(count, i);
    __m512 low = _mm512_mul_ps(_mm512_maskz_loadu_ps(some, a + i), fa);
    __m512 high = _mm512_mul_ps(_mm512_maskz_loadu_ps(some, b + i), fb);
    _mm512_mask_storeu_epi32(to + i, some, pairs_of(low, high));
}

static inline __m512 floats_of_codes(__mmask16 some, const int8_t *x)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(some, x)));
}

static inline void pair_scaled_i8(uint32_t *to, const int8_t *a, const int8_t *b, float a_factor,
                                  float b_factor, size_t count)
{
    __m512 fa = _mm512_set1_ps(a_factor), fb = _mm512_set1_ps(b_factor);
    for (size_t i = 0; i < count; i += HALVES_LANES) {
        __mmask16 some = count - i < HALVES_LANES ? lanes_left(count, i) : 0xFFFFU;
        __m512 low = _mm512_mul_ps(floats_of_codes(some, a + i), fa);
        __m512 high = _mm512_mul_ps(floats_of_codes(some, b + i), fb);
        _mm512_mask_storeu_epi32(to + i, some, pairs_of(low, high));
    }
}

#endif
