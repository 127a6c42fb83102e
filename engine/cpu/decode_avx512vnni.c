#include <immintrin.h>
#include <string.h>

#include "engine/cpu/decode.h"

enum { PREFETCH_BYTES = 2048, ELEMENTS = 16 };

static __m512i sixteen_times(const int8_t *x)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm512_set1_epi32(word);
}

/* Four chains a half, so that the products' latency is hidden. */
static void dot(long quads, const void *panel, const int8_t *x, int32_t *sums)
{
    const char *codes = panel;
    const __m512i low = _mm512_set1_epi8(3);
    __m512i left[4];
    __m512i right[4];
    for (int i = 0; i < 4; i++) left[i] = right[i] = _mm512_setzero_si512();
    for (long q = 0; q < quads; q++, codes += 128, x += ELEMENTS) {
        __m512i v0 = _mm512_loadu_si512(codes);
        __m512i v1 = _mm512_loadu_si512(codes + 64);
        _mm_prefetch(codes + PREFETCH_BYTES, _MM_HINT_T0);
        _mm_prefetch(codes + PREFETCH_BYTES + 64, _MM_HINT_T0);
        for (int i = 0; i < 4; i++) {
            __m512i word = sixteen_times(x + 4 * i);
            left[i] = _mm512_dpbusd_epi32(left[i], _mm512_and_si512(v0, low), word);
            right[i] = _mm512_dpbusd_epi32(right[i], _mm512_and_si512(v1, low), word);
            v0 = _mm512_srli_epi16(v0, 2);
            v1 = _mm512_srli_epi16(v1, 2);
        }
    }
    for (int i = 1; i < 4; i++) {
        left[0] = _mm512_add_epi32(left[0], left[i]);
        right[0] = _mm512_add_epi32(right[0], right[i]);
    }
    _mm512_storeu_si512(sums, left[0]);
    _mm512_storeu_si512(sums + 16, right[0]);
}

/* Four words at a time, each with sums of its own. */
void bn_dot_bytes_avx512vnni(long words, const void *panel, const int8_t *x, int32_t *sums)
{
    const char *bytes = panel;
    __m512i left[4];
    __m512i right[4];
    for (int i = 0; i < 4; i++) left[i] = right[i] = _mm512_setzero_si512();
    for (; words >= 4; words -= 4, bytes += 512, x += ELEMENTS) {
        for (int i = 0; i < 4; i++) {
            const char *at = bytes + 128L * i;
            __m512i word = sixteen_times(x + 4L * i);
            _mm_prefetch(at + PREFETCH_BYTES, _MM_HINT_T0);
            _mm_prefetch(at + PREFETCH_BYTES + 64, _MM_HINT_T0);
            left[i] = _mm512_dpbusd_epi32(left[i], _mm512_loadu_si512(at), word);
            right[i] = _mm512_dpbusd_epi32(right[i], _mm512_loadu_si512(at + 64), word);
        }
    }
    for (; words > 0; words--, bytes += 128, x += 4) {
        __m512i word = sixteen_times(x);
        left[0] = _mm512_dpbusd_epi32(left[0], _mm512_loadu_si512(bytes), word);
        right[0] = _mm512_dpbusd_epi32(right[0], _mm512_loadu_si512(bytes + 64), word);
    }
    for (int i = 1; i < 4; i++) {
        left[0] = _mm512_add_epi32(left[0], left[i]);
        right[0] = _mm512_add_epi32(right[0], right[i]);
    }
    _mm512_storeu_si512(sums, left[0]);
    _mm512_storeu_si512(sums + 16, right[0]);
}

const bn_decode bn_decode_avx512vnni = {
    .digits = 4, .dot = dot, .dot_bytes = bn_dot_bytes_avx512vnni, .weigh = bn_weigh_avx512};
