/* AVX2 with FMA: a block of 6 x 16, 12 accumulators of 8 lanes. */
#include <immintrin.h>
#include <stdint.h>

#include "engine/cpu/kernel.h"

enum { MR = 6, NR = 16, LANES = 8 };

static void run_f32(long steps, const void *a, const void *b, void *c, bool add)
{
    const float *pa = a, *pb = b;
    float *pc = c;
    __m256 sum[MR][2];
    for (int i = 0; i < MR; i++) {
        sum[i][0] = add ? _mm256_loadu_ps(pc + i * NR) : _mm256_setzero_ps();
        sum[i][1] = add ? _mm256_loadu_ps(pc + i * NR + LANES) : _mm256_setzero_ps();
    }
    for (long s = 0; s < steps; s++, pa += MR, pb += NR) {
        __m256 b0 = _mm256_loadu_ps(pb), b1 = _mm256_loadu_ps(pb + LANES);
        for (int i = 0; i < MR; i++) {
            __m256 x = _mm256_broadcast_ss(pa + i);
            sum[i][0] = _mm256_fmadd_ps(x, b0, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(x, b1, sum[i][1]);
        }
    }
    for (int i = 0; i < MR; i++) {
        _mm256_storeu_ps(pc + i * NR, sum[i][0]);
        _mm256_storeu_ps(pc + i * NR + LANES, sum[i][1]);
    }
}

static void begin_int(int32_t *c, bool add)
{
    for (int i = 0; i < MR * NR && !add; i++) c[i] = 0;
}

static __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static void accumulate(int32_t *c, __m256i sum)
{
    _mm256_storeu_si256((__m256i *)c, _mm256_add_epi32(load(c), sum));
}

static __m256i broadcast(const uint8_t *a)
{
    int32_t four;
    __builtin_memcpy(&four, a, sizeof four);
    return _mm256_set1_epi32(four);
}

/* vpmaddubsw would saturate on 255 * 127 * 2: bytes are widened to 16 bits, even and odd apart. */
static void run_u8(long steps, const void *a, const void *b, void *c, bool add)
{
    const uint8_t *pa = a, *pb = b;
    int32_t *pc = c;
    const __m256i low = _mm256_set1_epi16(0x00FF);
    begin_int(pc, add);
    for (int half = 0; half < 2; half++) {
        __m256i sum[MR];
        for (int i = 0; i < MR; i++) sum[i] = _mm256_setzero_si256();
        for (long s = 0; s < steps; s++) {
            __m256i bytes = load(pb + s * NR * 4 + half * 32);
            __m256i even = _mm256_and_si256(bytes, low), odd = _mm256_srli_epi16(bytes, 8);
            for (int i = 0; i < MR; i++) {
                __m256i x = broadcast(pa + (s * MR + i) * 4);
                __m256i x_even = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
                __m256i x_odd = _mm256_srai_epi16(x, 8);
                __m256i pairs = _mm256_add_epi32(_mm256_madd_epi16(even, x_even),
                                                 _mm256_madd_epi16(odd, x_odd));
                sum[i] = _mm256_add_epi32(sum[i], pairs);
            }
        }
        for (int i = 0; i < MR; i++) accumulate(pc + i * NR + half * LANES, sum[i]);
    }
}

/* Codes are at most 2, so a pair product is at most 508 in magnitude: 16-bit sums hold 64 of them.
 */
enum { QUADS_IN_16_BITS = 16 };

typedef struct pair_sums {
    __m256i of[MR][2]; /* 16 lanes of 16 bits */
} pair_sums;

/* Four steps whose codes share the packed bytes. */
static inline void add_quad(pair_sums *sum, const uint8_t *a, __m256i packed0, __m256i packed1)
{
    const __m256i low = _mm256_set1_epi8(3);
    for (int step = 0; step < 4; step++) {
        __m256i b0 = _mm256_and_si256(packed0, low), b1 = _mm256_and_si256(packed1, low);
        packed0 = _mm256_srli_epi16(packed0, 2);
        packed1 = _mm256_srli_epi16(packed1, 2);
        for (int i = 0; i < MR; i++) {
            __m256i x = broadcast(a + (step * MR + i) * 4);
            sum->of[i][0] = _mm256_add_epi16(sum->of[i][0], _mm256_maddubs_epi16(b0, x));
            sum->of[i][1] = _mm256_add_epi16(sum->of[i][1], _mm256_maddubs_epi16(b1, x));
        }
    }
}

static void run_u2(long steps, const void *a, const void *b, void *c, bool add)
{
    const uint8_t *pa = a, *pb = b;
    int32_t *pc = c;
    const __m256i ones = _mm256_set1_epi16(1);
    begin_int(pc, add);
    for (long first = 0; first < steps / 4; first += QUADS_IN_16_BITS) {
        long last = first + QUADS_IN_16_BITS < steps / 4 ? first + QUADS_IN_16_BITS : steps / 4;
        pair_sums sum;
        for (int i = 0; i < MR; i++) sum.of[i][0] = sum.of[i][1] = _mm256_setzero_si256();
        for (long quad = first; quad < last; quad++) {
            const uint8_t *packed = pb + quad * NR * 4;
            add_quad(&sum, pa + quad * 4 * MR * 4, load(packed), load(packed + 32));
        }
        for (int i = 0; i < MR; i++) {
            accumulate(pc + i * NR, _mm256_madd_epi16(sum.of[i][0], ones));
            accumulate(pc + i * NR + LANES, _mm256_madd_epi16(sum.of[i][1], ones));
        }
    }
}

const bn_kernel bn_kernels_avx2[BN_PRODUCT_KINDS] = {
    [BN_PRODUCT_KIND_F32] = {run_f32, MR, NR, 1, 1},
    [BN_PRODUCT_KIND_BF16] = {run_f32, MR, NR, 1, 1},
    [BN_PRODUCT_KIND_U8] = {run_u8, MR, NR, 4, 1},
    [BN_PRODUCT_KIND_U2] = {run_u2, MR, NR, 4, 4},
};
