#include <immintrin.h>
#include <string.h>

#include "engine/cpu/decode.h"

enum {
    NR = 16,
    LANES = 8,
    ELEMENTS = 16,
    QUADS_IN_16_BITS = 16, /* of pairs of 127 * 2 at most, four a quad: 32,512 */
};

static __m256i load(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

static __m256i four_times(const int8_t *x)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm256_set1_epi32(word);
}

static void widen(int32_t *sums, __m256i pairs)
{
    __m256i old = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    __m256i more = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    _mm256_storeu_si256((__m256i *)(void *)sums, _mm256_add_epi32(old, more));
}

static void dot(long quads, const void *panel, const int8_t *x, int32_t *sums)
{
    const uint8_t *codes = panel;
    const __m256i low = _mm256_set1_epi8(3);
    memset(sums, 0, NR * sizeof *sums);
    for (long first = 0; first < quads; first += QUADS_IN_16_BITS) {
        long last = first + QUADS_IN_16_BITS < quads ? first + QUADS_IN_16_BITS : quads;
        __m256i pairs0 = _mm256_setzero_si256();
        __m256i pairs1 = _mm256_setzero_si256();
        for (long q = first; q < last; q++, codes += NR * 4, x += ELEMENTS) {
            __m256i v0 = load(codes);
            __m256i v1 = load(codes + 32);
            for (int i = 0; i < 4; i++) {
                __m256i word = four_times(x + 4 * i);
                __m256i part0 = _mm256_maddubs_epi16(_mm256_and_si256(v0, low), word);
                __m256i part1 = _mm256_maddubs_epi16(_mm256_and_si256(v1, low), word);
                pairs0 = _mm256_add_epi16(pairs0, part0);
                pairs1 = _mm256_add_epi16(pairs1, part1);
                v0 = _mm256_srli_epi16(v0, 2);
                v1 = _mm256_srli_epi16(v1, 2);
            }
        }
        widen(sums, pairs0);
        widen(sums + LANES, pairs1);
    }
}

const bn_decode bn_decode_avx2 = {.digits = 4, .dot = dot, .weigh = bn_weigh_avx2};
