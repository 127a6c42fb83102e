/* AVX2 with FMA: a block of 6 x 16, 12 accumulators of 8 lanes. */
#include <immintrin.h>

#include "engine/cpu/attend_f32.h"

enum { ROWS = 6, LANES = 16, HALF = 8 };

static void product_f32(const bn_attend_product *p)
{
    const float *a = (const float *)p->a, *b = (const float *)p->b;
    __m256 sum[ROWS][2];
    for (int r = 0; r < ROWS; r++) {
        const float *c = p->c + (size_t)r * p->c_row;
        sum[r][0] = p->add ? _mm256_loadu_ps(c) : _mm256_setzero_ps();
        sum[r][1] = p->add ? _mm256_loadu_ps(c + HALF) : _mm256_setzero_ps();
    }
    for (size_t s = 0; s < p->steps; s++, a += p->a_step, b += p->b_step) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + HALF);
        for (int r = 0; r < ROWS; r++) {
            __m256 x = _mm256_broadcast_ss(a + (size_t)r * p->a_row);
            sum[r][0] = _mm256_fmadd_ps(x, b0, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(x, b1, sum[r][1]);
        }
    }
    for (int r = 0; r < ROWS; r++) {
        float *c = p->c + (size_t)r * p->c_row;
        _mm256_storeu_ps(c, sum[r][0]);
        _mm256_storeu_ps(c + HALF, sum[r][1]);
    }
}

#define F32                                                                                        \
    {                                                                                              \
        product_f32, weigh_f32, slope_f32, along_f32, across_f32, ROWS, LANES, 1                   \
    }
const bn_attend bn_attend_avx2[2] = {F32, F32};
