/* Five codes a byte: 1.6 bits a weight, so a token reads a fifth less than with two bits. The four
 * low digits of a byte are looked up, as the byte of 2-bit codes, in a table of 81; that takes less
 * time than memory needs for the next byte. */
#include <immintrin.h>
#include <string.h>

#include "engine/cpu/decode.h"

enum { PREFETCH_BYTES = 2048, GROUP = 128, ELEMENTS = 16, FIFTHS = 4, TABLE = 128 };

#define QUAD(n) ((n) % 3 | (n) / 3 % 3 << 2 | (n) / 9 % 3 << 4 | (n) / 27 << 6)
#define NINE(n)                                                                                    \
    QUAD((n)), QUAD((n) + 1), QUAD((n) + 2), QUAD((n) + 3), QUAD((n) + 4), QUAD((n) + 5),          \
        QUAD((n) + 6), QUAD((n) + 7), QUAD((n) + 8)

static const uint8_t quads[TABLE] = {NINE(0),  NINE(9),  NINE(18), NINE(27), NINE(36),
                                     NINE(45), NINE(54), NINE(63), NINE(72)};

typedef struct digits {
    __m512i four; /* as 2-bit codes */
    __m512i fifth;
} digits;

/* 0, 81 and 162 differ in their two upper bits, which are then 0, 1 and 2. */
static inline digits digits_of(__m512i bytes, __m512i low_table, __m512i high_table)
{
    const __m512i step = _mm512_set1_epi8(81);
    __m512i rest = _mm512_min_epu8(bytes, _mm512_sub_epi8(bytes, step));
    rest = _mm512_min_epu8(rest, _mm512_sub_epi8(rest, step));
    __m512i fifth = _mm512_srli_epi16(_mm512_sub_epi8(bytes, rest), 6);
    return (digits){_mm512_permutex2var_epi8(low_table, rest, high_table),
                    _mm512_and_si512(fifth, _mm512_set1_epi8(3))};
}

static inline __m512i sixteen_times(const int8_t *x)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm512_set1_epi32(word);
}

static inline __m512i sum_of(const __m512i sums[5])
{
    __m512i low = _mm512_add_epi32(sums[0], sums[1]);
    __m512i high = _mm512_add_epi32(sums[2], sums[3]);
    return _mm512_add_epi32(_mm512_add_epi32(low, high), sums[4]);
}

static void dot(long groups, const void *panel, const int8_t *x, int32_t *sums)
{
    const char *codes = panel;
    const int8_t *fifths = x + ELEMENTS * groups;
    const __m512i low = _mm512_set1_epi8(3);
    const __m512i low_table = _mm512_loadu_si512(quads);
    const __m512i high_table = _mm512_loadu_si512(quads + 64);
    __m512i left[5];
    __m512i right[5];
    for (int i = 0; i < 5; i++) left[i] = right[i] = _mm512_setzero_si512();
    for (long q = 0; q < groups; q++, codes += GROUP, x += ELEMENTS, fifths += FIFTHS) {
        digits a = digits_of(_mm512_loadu_si512(codes), low_table, high_table);
        digits b = digits_of(_mm512_loadu_si512(codes + 64), low_table, high_table);
        _mm_prefetch(codes + PREFETCH_BYTES, _MM_HINT_T0);
        _mm_prefetch(codes + PREFETCH_BYTES + 64, _MM_HINT_T0);
        for (int i = 0; i < 4; i++) {
            __m512i word = sixteen_times(x + 4L * i);
            left[i] = _mm512_dpbusd_epi32(left[i], _mm512_and_si512(a.four, low), word);
            right[i] = _mm512_dpbusd_epi32(right[i], _mm512_and_si512(b.four, low), word);
            a.four = _mm512_srli_epi16(a.four, 2);
            b.four = _mm512_srli_epi16(b.four, 2);
        }
        __m512i word = sixteen_times(fifths);
        left[4] = _mm512_dpbusd_epi32(left[4], a.fifth, word);
        right[4] = _mm512_dpbusd_epi32(right[4], b.fifth, word);
    }
    _mm512_storeu_si512(sums, sum_of(left));
    _mm512_storeu_si512(sums + 16, sum_of(right));
}

static void widen(long groups, const void *panel, void *two_bit)
{
    const char *codes = panel;
    char *to = two_bit;
    const __m512i low_table = _mm512_loadu_si512(quads);
    const __m512i high_table = _mm512_loadu_si512(quads + 64);
    char *fifths = to + GROUP * groups;
    for (long q = 0; q < groups; q += 4, fifths += GROUP) {
        __m512i left = _mm512_setzero_si512();
        __m512i right = left;
        for (int i = 0; i < 4 && q + i < groups; i++, codes += GROUP, to += GROUP) {
            digits a = digits_of(_mm512_loadu_si512(codes), low_table, high_table);
            digits b = digits_of(_mm512_loadu_si512(codes + 64), low_table, high_table);
            __m128i shift = _mm_cvtsi32_si128(2 * i);
            _mm512_storeu_si512(to, a.four);
            _mm512_storeu_si512(to + 64, b.four);
            left = _mm512_or_si512(left, _mm512_sll_epi16(a.fifth, shift));
            right = _mm512_or_si512(right, _mm512_sll_epi16(b.fifth, shift));
        }
        _mm512_storeu_si512(fifths, left);
        _mm512_storeu_si512(fifths + 64, right);
    }
}

const bn_decode bn_decode_avx512vbmi = {.digits = 5,
                                        .dot = dot,
                                        .dot_bytes = bn_dot_bytes_avx512vnni,
                                        .widen = widen,
                                        .weigh = bn_weigh_avx512bf16};
