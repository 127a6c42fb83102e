/* The passes over one row, as C that a compiler turns into vector code. Built once per instruction
 * set, with BN_ROWS_NAME naming the table, BN_ROWS_HALVES the header that rounds to 16 bits, and
 * sums free to be regrouped (-fassociative-math): the grouping is the compiler's, the same at every
 * call, so bits do not depend on threads. */
#include "engine/cpu/rows.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/cpu/exponential.h"
#include "engine/cpu/turn.h"
#include BN_ROWS_HALVES

static double sum_squares(const float *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

static double sum(const float *x, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++) total += (double)x[i];
    return total;
}

static double sum_abs(const float *x, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++) total += (double)fabsf(x[i]);
    return total;
}

static uint32_t abs_max(const float *x, size_t count)
{
    int32_t most = 0; /* without its sign a float's bits are a positive int */
    for (size_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7FFFFFFF;
        most = bits > most ? bits : most;
    }
    return (uint32_t)most;
}

static size_t count_below(const float *x, uint32_t bits, size_t count)
{
    size_t below = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t magnitude;
        memcpy(&magnitude, &x[i], sizeof magnitude);
        below += (magnitude & 0x7FFFFFFFU) <= bits;
    }
    return below;
}

static float dot(const float *a, const float *b, size_t count)
{
    float total = 0;
    for (size_t i = 0; i < count; i++) total += a[i] * b[i];
    return total;
}

static void scale(float *y, const float *x, float factor, const float *gain, size_t count)
{
    if (gain) {
        for (size_t i = 0; i < count; i++) y[i] = x[i] * factor * gain[i];
    } else {
        for (size_t i = 0; i < count; i++) y[i] = x[i] * factor;
    }
}

static void add_scaled(float *y, const float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] += x[i] * factor;
}

static void combine(float *y, const float *x, float a, const float *z, float b, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = x[i] * a + z[i] * b;
}

static void add_combined(float *restrict y, const float *restrict x, float a,
                         const float *restrict z, float b, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] += x[i] * a + z[i] * b;
}

static void add_product(float *y, const float *x, const float *z, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] += x[i] * z[i];
}

static int32_t quantize(int8_t *restrict codes, const float *restrict x, float factor, float limit,
                        size_t count)
{
    int32_t total = 0;
    for (size_t i = 0; i < count; i++) {
        float value = rintf(x[i] * factor);
        value = value > -limit ? value : -limit; /* NaN too, so that the cast is defined */
        value = value < limit ? value : limit;
        int32_t code = (int32_t)value;
        codes[i] = (int8_t)code;
        total += code;
    }
    return total;
}

/* The code of a value as the low byte of a float's bits: what is added leaves no place for less
 * than a whole number, and rounds to it. */
static const float code_base = 12582912.0F; /* 1.5 * 2^23 */

static inline uint32_t code_bits(float value)
{
    return bn_float_bits(value + code_base);
}

static void quantize_words(uint32_t *restrict words, const bn_four_rows *rows,
                           const float *restrict factors, int32_t *restrict sums, size_t count)
{
    bn_four_rows r = *rows;
    const uint32_t base = 4 * bn_float_bits(code_base);
    for (size_t i = 0; i < count; i++) {
        uint32_t a = code_bits(r.x[0][i] * r.factor[0] * factors[i]);
        uint32_t b = code_bits(r.x[1][i] * r.factor[1] * factors[i]);
        uint32_t c = code_bits(r.x[2][i] * r.factor[2] * factors[i]);
        uint32_t d = code_bits(r.x[3][i] * r.factor[3] * factors[i]);
        sums[i] += (int32_t)(a + b + c + d - base);
        words[i] = (a & 0xFFU) | (b & 0xFFU) << 8 | (c & 0xFFU) << 16 | d << 24;
    }
}

static void abs_max_lanes(uint32_t *restrict most, const float *restrict x, float factor,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float value = x[i] * factor;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits &= 0x7FFFFFFFU;
        most[i] = bits > most[i] ? bits : most[i];
    }
}

static void sign_codes(int8_t *restrict codes, const float *restrict x, float middle, size_t count)
{
    for (size_t i = 0; i < count; i++) codes[i] = x[i] >= middle ? 1 : -1;
}

static void from_bf16(float *restrict y, const uint16_t *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = bn_bf16_to_float(x[i]);
}

static void from_i8(float *restrict y, const int8_t *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = (float)x[i];
}

static void i8_to_bf16(uint16_t *restrict y, const int8_t *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = (uint16_t)(bn_float_bits((float)x[i]) >> 16);
}

/* exp(x) to about 1e-7 of its value: x = n ln 2 + r, |r| <= ln 2 / 2. Below -87.3 it stays at the
 * smallest normal float, above 88 at e^88. */
static inline float exponential(float x)
{
    float c = x > -87.3F ? x : -87.3F;
    c = c < 88.0F ? c : 88.0F;
    float n = rintf(c * 1.44269504F);
    float r = c - n * 0.693359375F;
    r += n * 2.12194440e-4F;
    float value = bn_exp_near_zero(r);
    value *= bn_float_from_bits((uint32_t)((int32_t)n + 127) << 23);
    return isnan(x) ? x : value;
}

static void glu(float *h, const float *gate, const float *up, bool relu2, size_t count)
{
    if (relu2) {
        for (size_t i = 0; i < count; i++) {
            float positive = gate[i] < 0 ? 0 : gate[i];
            h[i] = positive * positive * up[i];
        }
        return;
    }
    for (size_t i = 0; i < count; i++) h[i] = gate[i] / (1.0F + exponential(-gate[i])) * up[i];
}

static void glu_backward(float *dgate, float *dup, const float *gate, const float *up,
                         const float *dh, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float x = gate[i];
        float u = up[i];
        float d = dh[i];
        float sigmoid = 1.0F / (1.0F + exponential(-x));
        float value = x * sigmoid;
        dgate[i] = d * u * (sigmoid + value * (1.0F - sigmoid));
        dup[i] = d * value;
    }
}

static void glu_backward_relu2(float *dgate, float *dup, const float *gate, const float *up,
                               const float *dh, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float positive = gate[i] < 0 ? 0 : gate[i];
        float u = up[i];
        float d = dh[i];
        dgate[i] = d * u * 2.0F * positive;
        dup[i] = d * positive * positive;
    }
}

/* Floats compare like their bits when the negative ones are turned over; NaN is above infinity. */
static float max(const float *x, size_t count)
{
    int32_t most = INT32_MIN;
    for (size_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits ^= (bits >> 31) & 0x7FFFFFFF;
        most = bits > most ? bits : most;
    }
    most ^= (most >> 31) & 0x7FFFFFFF;
    float value;
    memcpy(&value, &most, sizeof value);
    return value;
}

static float exp_shifted(float *x, float factor, float shift, size_t count)
{
    float total = 0;
    for (size_t i = 0; i < count; i++) {
        x[i] = exponential(x[i] * factor - shift);
        total += x[i];
    }
    return total;
}

static void softmax_backward(float *restrict dp, const float *restrict p, float mean, float factor,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) dp[i] = p[i] * (dp[i] - mean) * factor;
}

static void rotate(float *x, const float *cosine, const float *sine, float direction, int half)
{
    for (int i = 0; i < half; i++) {
        float a = x[i];
        float b = x[half + i];
        float s = sine[i] * direction;
        x[i] = a * cosine[i] - b * s;
        x[half + i] = b * cosine[i] + a * s;
    }
}

static void turn_line(uint32_t *to, size_t to_step, const uint32_t *from, int words)
{
    for (int w = 0; w < words; w++) to[(size_t)w * to_step] = from[w];
}

static void transpose(uint32_t *to, int to_block, const uint32_t *from, size_t from_stride,
                      int lines, int words)
{
    size_t block = (size_t)to_block;
    int quads = lines / 4 * 4;
    int l = 0;
    for (int w = 0; w + 4 <= words; w += 4) {
        for (l = 0; l < quads; l += 4) {
            bn_turn_quad(to + (size_t)w * block + (size_t)l, block,
                         from + (size_t)l * from_stride + (size_t)w, from_stride);
        }
    }
    int turned = words / 4 * 4;
    for (l = 0; l < lines; l++) {
        const uint32_t *line = from + (size_t)l * from_stride;
        int start = l < quads ? turned : 0;
        turn_line(to + (size_t)start * block + (size_t)l, block, line + start, words - start);
    }
    for (int w = 0; w < words && lines < to_block; w++) {
        memset(to + (size_t)w * block + (size_t)lines, 0, (block - (size_t)lines) * sizeof *to);
    }
}

static void pair_bf16(uint32_t *restrict to, const uint16_t *restrict a, const uint16_t *restrict b,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) to[i] = (uint32_t)a[i] | (uint32_t)b[i] << 16;
}

/* A code has at most seven significant bits: the upper half of its float is exact. */
static void pair_i8(uint32_t *restrict to, const int8_t *restrict a, const int8_t *restrict b,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t low = bn_float_bits((float)a[i]) >> 16;
        to[i] = low | (bn_float_bits((float)b[i]) & 0xFFFF0000U);
    }
}

static void interleave4(uint32_t *restrict to, const uint8_t *restrict from, size_t from_stride,
                        int lanes)
{
    const uint8_t *b = from + from_stride;
    const uint8_t *c = b + from_stride;
    const uint8_t *d = c + from_stride;
    for (int l = 0; l < lanes; l++) {
        to[l] =
            (uint32_t)from[l] | (uint32_t)b[l] << 8 | (uint32_t)c[l] << 16 | (uint32_t)d[l] << 24;
    }
}

static void squeeze(uint32_t *restrict to, const uint32_t *restrict from, int block, int quads)
{
    for (int q = 0; q < quads; q++, to += block, from += 4 * block) {
        for (int i = 0; i < block; i++) {
            to[i] = from[i] | from[block + i] << 2 | from[2 * block + i] << 4 |
                    from[3 * block + i] << 6;
        }
    }
}

/* In place too. */
static void shift_codes(uint8_t *to, const int8_t *from, int offset, size_t count)
{
    for (size_t i = 0; i < count; i++) to[i] = (uint8_t)(from[i] + offset);
}

/* What is the same for all rows of a tile. Inlined with constants, so that the tiles that are
 * almost all - whole ones, without a scale a lane - get loops of their own. */
typedef struct finish {
    int lanes;
    bool integer, lane_scaled, half;
} finish;

#define BN_INLINE static inline __attribute__((always_inline))

BN_INLINE void finish_row(const bn_tile *t, int r, finish f, float *restrict value)
{
    float factor = t->scale * (t->row_scale ? t->row_scale[r] : 1.0F);
    if (f.integer) {
        const int32_t *from = (const int32_t *)t->tile + r * t->tile_lanes;
        uint32_t offset = (uint32_t)t->offset * (uint32_t)t->row_sum[r];
        for (int l = 0; l < f.lanes; l++) {
            value[l] = (float)(int32_t)((uint32_t)from[l] - offset) * factor;
        }
    } else {
        const float *from = (const float *)t->tile + r * t->tile_lanes;
        for (int l = 0; l < f.lanes; l++) value[l] = from[l] * factor;
    }
    if (!f.lane_scaled) return;
    for (int l = 0; l < f.lanes; l++) value[l] *= t->lane_scale[l];
}

/* Rounded, c being in 16 bits. */
BN_INLINE void store_halves(const bn_tile *t, size_t at, finish f, float *value)
{
    uint16_t *c = t->half + at;
    size_t lanes = (size_t)f.lanes;
    bool f16 = t->dtype == BN_F16;
    if (t->accumulate) {
        float before[BN_KERNEL_NR_MAX];
        (f16 ? from_f16 : from_bf16)(before, c, lanes);
        for (int l = 0; l < f.lanes; l++) value[l] += before[l];
    }
    (f16 ? to_f16 : to_bf16)(c, value, 1, lanes);
}

BN_INLINE void finish_rows(const bn_tile *t, finish f)
{
    float value[BN_KERNEL_NR_MAX];
    assert(t->c);
    for (int r = 0; r < t->rows; r++) {
        size_t at = (size_t)r * t->stride;
        float *c = t->c + at;
        finish_row(t, r, f, value);
        if (f.half) {
            store_halves(t, at, f, value);
            continue;
        }
        if (t->residual && t->residual != t->c) {
            const float *residual = t->residual + at;
            for (int l = 0; l < f.lanes; l++) value[l] += residual[l];
        }
        if (t->accumulate || (t->residual && t->residual == t->c)) {
            for (int l = 0; l < f.lanes; l++) c[l] += value[l];
        } else {
            for (int l = 0; l < f.lanes; l++) c[l] = value[l];
        }
    }
}

static void finish_tile(const bn_tile *t)
{
    finish f = {t->lanes, t->integer, t->lane_scale != NULL, t->dtype != BN_F32};
    if (f.lanes != BN_KERNEL_NR_MAX || f.lane_scaled) {
        finish_rows(t, f);
    } else if (f.half && f.integer) {
        finish_rows(t, (finish){BN_KERNEL_NR_MAX, true, false, true});
    } else if (f.half) {
        finish_rows(t, (finish){BN_KERNEL_NR_MAX, false, false, true});
    } else if (f.integer) {
        finish_rows(t, (finish){BN_KERNEL_NR_MAX, true, false, false});
    } else {
        finish_rows(t, (finish){BN_KERNEL_NR_MAX, false, false, false});
    }
}

static double adamw(const bn_adamw_step *step, float *restrict p, float *restrict g,
                    float *restrict m, float *restrict v, size_t count)
{
    bn_adamw_step s = *step;
    double total = 0;
    for (size_t i = 0; i < count; i++) {
        float gradient = g[i] * s.factor;
        float mean = s.beta1 * m[i] + (1.0F - s.beta1) * gradient;
        float square = s.beta2 * v[i] + (1.0F - s.beta2) * gradient * gradient;
        float value = p[i] * s.keep - s.rate * mean / (sqrtf(square) * s.root + s.eps);
        m[i] = mean;
        v[i] = square;
        p[i] = value;
        g[i] = 0;
        total += (double)fabsf(value);
    }
    return total;
}

const bn_rows BN_ROWS_NAME = {
    .sum_squares = sum_squares,
    .sum = sum,
    .sum_abs = sum_abs,
    .abs_max = abs_max,
    .count_below = count_below,
    .dot = dot,
    .scale = scale,
    .add_scaled = add_scaled,
    .combine = combine,
    .add_combined = add_combined,
    .add_product = add_product,
    .quantize = quantize,
    .quantize_words = quantize_words,
    .abs_max_lanes = abs_max_lanes,
    .sign_codes = sign_codes,
    .to_bf16 = to_bf16,
    .to_f16 = to_f16,
    .from_bf16 = from_bf16,
    .from_f16 = from_f16,
    .from_i8 = from_i8,
    .i8_to_bf16 = i8_to_bf16,
    .round_f16 = round_f16,
    .round_bf16 = round_bf16,
    .glu = glu,
    .glu_backward = glu_backward,
    .glu_backward_relu2 = glu_backward_relu2,
    .max = max,
    .exp_shifted = exp_shifted,
    .softmax_backward = softmax_backward,
    .rotate = rotate,
    .transpose = transpose,
    .pair_f32 = pair_f32,
    .pair_bf16 = pair_bf16,
    .pair_i8 = pair_i8,
    .pair_scaled_i8 = pair_scaled_i8,
    .interleave4 = interleave4,
    .squeeze = squeeze,
    .shift_codes = shift_codes,
    .finish_tile = finish_tile,
    .adamw = adamw,
};
