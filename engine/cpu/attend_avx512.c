/* AVX-512, and with BF16: a block of 8 x 32, 16 accumulators in registers.
 *
 * Assembly, as kernel_avx512vnni.c and for its reason. A step is 2 loads of B, 8 broadcasts of A
 * and 16 products, and the two product pipes set the pace: 8 rows are few enough for 8 to divide
 * 32, so rows of one block are whole lanes of another, and enough to hide the products' latency. */
#include <immintrin.h>
#include <string.h>

#include "engine/cpu/attend.h"

enum { ROWS = 8, LANES = 32, VECTOR = 16, WORD_BYTES = 4 };

#define BF16 __attribute__((target("avx512bf16")))

/* Assembly reads by its columns. */
/* clang-format off */
#define ZERO(left, right)                                            \
    "vpxord %%zmm" #left ", %%zmm" #left ", %%zmm" #left "\n\t"      \
    "vpxord %%zmm" #right ", %%zmm" #right ", %%zmm" #right "\n\t"
#define LOAD(left, right)                      \
    "vmovups (%[at]), %%zmm" #left "\n\t"      \
    "vmovups 64(%[at]), %%zmm" #right "\n\t"   \
    "add %[c_row], %[at]\n\t"
#define STORE(left, right)                     \
    "vmovups %%zmm" #left ", (%[c])\n\t"       \
    "vmovups %%zmm" #right ", 64(%[c])\n\t"    \
    "add %[c_row], %[c]\n\t"
#define ALL(DO) DO(0, 1) DO(2, 3) DO(4, 5) DO(6, 7) DO(8, 9) DO(10, 11) DO(12, 13) DO(14, 15)

#define ROW(OP, from, x, left, right)                          \
    "vbroadcastss " from ", %%zmm" #x "\n\t"                   \
    OP " %%zmm" #x ", %%zmm16, %%zmm" #left "\n\t"             \
    OP " %%zmm" #x ", %%zmm17, %%zmm" #right "\n\t"

#define CLOBBERS                                                                           \
    "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",        \
        "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",     \
        "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25"

#define KERNEL(name, OP)                                                                \
    static void name(const bn_attend_product *p)                                               \
    {                                                                                   \
        size_t row = p->a_row * WORD_BYTES, a_step = p->a_step * WORD_BYTES;            \
        const char *a = (const char *)p->a, *a3 = a + 3 * row, *a6 = a + 6 * row;       \
        const char *b = (const char *)p->b;                                             \
        size_t b_step = p->b_step * WORD_BYTES, c_row = p->c_row * WORD_BYTES;          \
        size_t steps = p->steps;                                                        \
        float *c = p->c, *at = c;                                                       \
        __asm__ volatile("test %[add], %[add]\n\t"                                      \
                         "jnz 2f\n\t"                                                   \
                         ALL(ZERO)                                                      \
                         "jmp 1f\n\t"                                                   \
                         "2:\n\t"                                                       \
                         ALL(LOAD)                                                      \
                         ".p2align 5\n\t"                                               \
                         "1:\n\t"                                                       \
                         "vmovups (%[b]), %%zmm16\n\t"                                  \
                         "vmovups 64(%[b]), %%zmm17\n\t"                                \
                         ROW(OP, "(%[a])", 18, 0, 1)                                    \
                         ROW(OP, "(%[a],%[row])", 19, 2, 3)                             \
                         ROW(OP, "(%[a],%[row],2)", 20, 4, 5)                           \
                         ROW(OP, "(%[a3])", 21, 6, 7)                                   \
                         ROW(OP, "(%[a3],%[row])", 22, 8, 9)                            \
                         ROW(OP, "(%[a3],%[row],2)", 23, 10, 11)                        \
                         ROW(OP, "(%[a6])", 24, 12, 13)                                 \
                         ROW(OP, "(%[a6],%[row])", 25, 14, 15)                          \
                         "add %[a_step], %[a]\n\t"                                      \
                         "add %[a_step], %[a3]\n\t"                                     \
                         "add %[a_step], %[a6]\n\t"                                     \
                         "add %[b_step], %[b]\n\t"                                      \
                         "dec %[steps]\n\t"                                             \
                         "jnz 1b\n\t"                                                   \
                         ALL(STORE)                                                     \
                         : [a] "+r"(a), [a3] "+r"(a3), [a6] "+r"(a6), [b] "+r"(b),      \
                           [c] "+r"(c), [at] "+r"(at), [steps] "+r"(steps)              \
                         : [row] "r"(row), [c_row] "r"(c_row),                          \
                           [a_step] "r"(a_step), [b_step] "r"(b_step),                  \
                           [add] "r"((int)p->add)                                       \
                         : CLOBBERS);                                                   \
    }
/* clang-format on */

KERNEL(product_f32, "vfmadd231ps")
KERNEL(product_bf16, "vdpbf16ps")

/* exp((x - shift) * factor) to about 1e-7 of it, unit being factor / ln 2: 2^t, t = n + r,
 * |r| <= 1/2, a polynomial of degree 6 in r (Remez, relative error 2e-9). NaN stays NaN; far below
 * 1e-38 it is 0. */
static inline __m512 weight_of(__m512 x, __m512 shift, __m512 unit)
{
    __m512 t = _mm512_mul_ps(_mm512_sub_ps(x, shift), unit);
    t = _mm512_max_ps(_mm512_set1_ps(-200), t); /* the second one where either is NaN */
    __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_sub_ps(t, n);
    __m512 p = _mm512_set1_ps(1.5345812e-4F);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3399931e-3F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.6184890e-3F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.5503286e-2F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4022646e-1F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9314720e-1F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

#define LOG2_E 1.44269504F

static float weigh_f32(uint32_t *to, const float *x, float factor, float shift, size_t count)
{
    __m512 unit = _mm512_set1_ps(factor * LOG2_E), most = _mm512_set1_ps(shift),
           sum = _mm512_setzero_ps();
    for (size_t i = 0; i < count; i += VECTOR) {
        __m512 weight = weight_of(_mm512_loadu_ps(x + i), most, unit);
        _mm512_storeu_ps(to + i, weight);
        sum = _mm512_add_ps(sum, weight);
    }
    return _mm512_reduce_add_ps(sum);
}

static void slope_f32(const bn_attend_slopes *of, size_t count)
{
    __m512 factor = _mm512_set1_ps(of->factor), shift = _mm512_set1_ps(of->shift[0]);
    __m512 unit = _mm512_set1_ps(of->factor * LOG2_E);
    __m512 mean = _mm512_set1_ps(of->mean[0]);
    for (size_t i = 0; i < count; i += VECTOR) {
        __m512 weight = weight_of(_mm512_loadu_ps(of->scores + i), shift, unit);
        __m512 slope = _mm512_sub_ps(_mm512_loadu_ps(of->dp + i), mean);
        _mm512_storeu_ps(of->weights + i, weight);
        _mm512_storeu_ps(of->slopes + i, _mm512_mul_ps(_mm512_mul_ps(weight, slope), factor));
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

static BF16 float weigh_bf16(uint32_t *to, const float *x, float factor, float shift, size_t count)
{
    __m512 unit = _mm512_set1_ps(factor * LOG2_E), most = _mm512_set1_ps(shift);
    __m512 sum_low = _mm512_setzero_ps(), sum_high = sum_low;
    for (size_t i = 0; i < count; i += LANES) {
        __m512 low = weight_of(_mm512_loadu_ps(x + i), most, unit);
        __m512 high = weight_of(_mm512_loadu_ps(x + i + VECTOR), most, unit);
        _mm512_storeu_si512(to + i / 2, (__m512i)_mm512_cvtne2ps_pbh(high, low));
        sum_low = _mm512_add_ps(sum_low, low);
        sum_high = _mm512_add_ps(sum_high, high);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum_low, sum_high));
}

/* From two vectors after another to pairs: element i of both in word i. */
static __m512i pair_order(void)
{
    static const uint16_t order[2 * VECTOR] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                               21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                               11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_loadu_si512(order);
}

static BF16 void slope_bf16(const bn_attend_slopes *of, size_t count)
{
    const float *x0 = of->scores, *x1 = x0 + of->step;
    const float *dp0 = of->dp, *dp1 = dp0 + of->step;
    __m512 factor = _mm512_set1_ps(of->factor);
    __m512 unit = _mm512_set1_ps(of->factor * LOG2_E);
    __m512 shift0 = _mm512_set1_ps(of->shift[0]), shift1 = _mm512_set1_ps(of->shift[1]);
    __m512 mean0 = _mm512_set1_ps(of->mean[0]), mean1 = _mm512_set1_ps(of->mean[1]);
    __m512i order = pair_order();
    for (size_t i = 0; i < count; i += VECTOR) {
        __m512 p0 = weight_of(_mm512_loadu_ps(x0 + i), shift0, unit);
        __m512 p1 = weight_of(_mm512_loadu_ps(x1 + i), shift1, unit);
        __m512 d0 = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(dp0 + i), mean0), factor);
        __m512 d1 = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(dp1 + i), mean1), factor);
        __m512i weights = (__m512i)_mm512_cvtne2ps_pbh(p1, p0);
        __m512i slopes = (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(p1, d1), _mm512_mul_ps(p0, d0));
        uint32_t *row = of->rows + i / 2;
        _mm512_storeu_si512(of->weights + i, _mm512_permutexvar_epi16(order, weights));
        _mm512_storeu_si512(of->slopes + i, _mm512_permutexvar_epi16(order, slopes));
        _mm256_storeu_si256((__m256i *)row, _mm512_castsi512_si256(slopes));
        _mm256_storeu_si256((__m256i *)(row + of->row_step), _mm512_extracti64x4_epi64(slopes, 1));
    }
}

/* The lanes before `count`. Whole vectors are stored without a mask, which is much slower here. */
static __mmask16 lanes_before(size_t count)
{
    return (__mmask16)((1U << count) - 1);
}

static BF16 void along_bf16(uint32_t *to, const float *x, size_t count)
{
    size_t i = 0;
    for (; i + VECTOR <= count; i += VECTOR) {
        _mm256_storeu_si256((__m256i *)(to + i / 2),
                            (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
    }
    if (i == count) return;
    __m512 some = _mm512_maskz_loadu_ps(lanes_before(count - i), x + i);
    __m512i words = _mm512_castsi256_si512((__m256i)_mm512_cvtneps_pbh(some));
    _mm512_mask_storeu_epi32(to + i / 2, lanes_before((count - i + 1) / 2), words);
}

static BF16 void across_bf16(uint32_t *to, const float *x0, const float *x1, size_t count)
{
    __m512i order = pair_order();
    size_t i = 0;
    for (; x1 && i + VECTOR <= count; i += VECTOR) {
        __m512 low = _mm512_loadu_ps(x0 + i), high = _mm512_loadu_ps(x1 + i);
        __m512i words = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        _mm512_storeu_si512(to + i, _mm512_permutexvar_epi16(order, words));
    }
    for (; i < count; i += VECTOR) {
        __mmask16 lanes = lanes_before(count - i < VECTOR ? count - i : VECTOR);
        __m512 low = _mm512_maskz_loadu_ps(lanes, x0 + i);
        __m512 high = x1 ? _mm512_maskz_loadu_ps(lanes, x1 + i) : _mm512_setzero_ps();
        __m512i words = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        _mm512_mask_storeu_epi32(to + i, lanes, _mm512_permutexvar_epi16(order, words));
    }
}

/* clang-format off */
#define F32 {product_f32, weigh_f32, slope_f32, along_f32, across_f32, ROWS, LANES, 1}
/* clang-format on */
const bn_attend bn_attend_avx512[2] = {F32, F32};
const bn_attend bn_attend_avx512bf16[2] = {
    F32, {product_bf16, weigh_bf16, slope_bf16, along_bf16, across_bf16, ROWS, LANES, 2}};
