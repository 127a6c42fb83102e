/* rows.h - the passes over one row: the same C for all instruction sets, compiled once for each. */
#ifndef BN_ENGINE_CPU_ROWS_H
#define BN_ENGINE_CPU_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernel.h"
#include "engine/ops.h"

/* A register block on its way to memory: c[row * stride + lane] (=, +=, or residual +)
 * value * row_scale[row] * lane_scale[lane], value = tile - offset * row_sum[row] for int8. */
typedef struct bn_tile {
    const void *tile; /* [rows_max][lanes_max] as the micro-kernel left it */
    int tile_lanes;
    int rows, lanes; /* of them that exist */
    bool integer;
    int32_t offset;
    const int32_t *row_sum;  /* integer only */
    const float *row_scale;  /* NULL: 1 */
    const float *lane_scale; /* NULL: 1 */
    float scale;
    bool accumulate;
    const float *residual; /* with c's stride, or NULL; f32 only */
    union {
        float *c;
        uint16_t *half; /* rounded, where dtype is BN_BF16 or BN_F16 */
    };
    bn_dtype dtype;
    size_t stride;
} bn_tile;

/* One tensor's share of AdamW with all constants worked out. */
typedef struct bn_adamw_step {
    float beta1, beta2, factor; /* g' = g * factor */
    float rate;                 /* lr / (1 - beta1^t) */
    float root;                 /* 1 / sqrt(1 - beta2^t) */
    float eps, keep;            /* keep = 1 - lr * decay */
} bn_adamw_step;

/* Four rows and what each is multiplied by. */
typedef struct bn_four_rows {
    const float *x[4];
    float factor[4];
} bn_four_rows;

typedef struct bn_rows {
    double (*sum_squares)(const float *x, size_t count);
    double (*sum)(const float *x, size_t count);
    double (*sum_abs)(const float *x, size_t count);
    uint32_t (*abs_max)(const float *x, size_t count); /* as bits: NaN is above infinity */
    size_t (*count_below)(const float *x, uint32_t bits, size_t count); /* |x| <= bits */
    float (*dot)(const float *a, const float *b, size_t count);

    /* y = x * factor * gain; gain NULL: 1. y may be x. */
    void (*scale)(float *y, const float *x, float factor, const float *gain, size_t count);
    /* y += x * factor */
    void (*add_scaled)(float *y, const float *x, float factor, size_t count);
    /* y = x * a + z * b */
    void (*combine)(float *y, const float *x, float a, const float *z, float b, size_t count);
    /* y += x * a + z * b */
    void (*add_combined)(float *y, const float *x, float a, const float *z, float b, size_t count);
    /* y += x * z */
    void (*add_product)(float *y, const float *x, const float *z, size_t count);

    /* codes = clamp(round_half_even(x * factor), -limit, limit); returns their sum. */
    int32_t (*quantize)(int8_t *codes, const float *x, float factor, float limit, size_t count);
    /* The same along the other direction, four rows at a time: element i has its own factor and
     * sum, to which its codes are added; they make up one word, the first row's lowest. No product
     * may exceed 127.49; one that is not finite gives a code and a sum without meaning. */
    void (*quantize_words)(uint32_t *words, const bn_four_rows *rows, const float *factors,
                           int32_t *sums, size_t count);
    void (*abs_max_lanes)(uint32_t *most, const float *x, float factor, size_t count);
    void (*sign_codes)(int8_t *codes, const float *x, float middle, size_t count);
    void (*to_bf16)(uint16_t *y, const float *x, float factor, size_t count);
    void (*to_f16)(uint16_t *y, const float *x, float factor, size_t count);
    void (*from_bf16)(float *y, const uint16_t *x, size_t count);
    void (*from_f16)(float *y, const uint16_t *x, size_t count);
    void (*from_i8)(float *y, const int8_t *x, size_t count);
    void (*i8_to_bf16)(uint16_t *y, const int8_t *x, size_t count);
    void (*round_f16)(float *y, const float *x, float factor, size_t count);
    void (*round_bf16)(float *y, const float *x, float factor, size_t count);

    void (*glu)(float *h, const float *gate, const float *up, bool relu2, size_t count);
    /* dgate, dup from dh; they may lie on gate and up. */
    void (*glu_backward)(float *dgate, float *dup, const float *gate, const float *up,
                         const float *dh, size_t count);
    void (*glu_backward_relu2)(float *dgate, float *dup, const float *gate, const float *up,
                               const float *dh, size_t count);

    float (*max)(const float *x, size_t count);
    /* x = exp(x * factor - shift); returns the sum. */
    float (*exp_shifted)(float *x, float factor, float shift, size_t count);
    /* dp = p * (dp - mean) * factor: the gradient of a softmax's inputs. */
    void (*softmax_backward)(float *dp, const float *p, float mean, float factor, size_t count);
    /* x[i], x[half + i] rotated by the angles of cosine and sine [half]; direction 1 or -1 */
    void (*rotate)(float *x, const float *cosine, const float *sine, float direction, int half);

    /* to[w * to_block + l] = from[l * from_stride + w], 32-bit words, missing lines zero. */
    void (*transpose)(uint32_t *to, int to_block, const uint32_t *from, size_t from_stride,
                      int lines, int words);
    /* Word i of `to` holds element i of a and of b as bf16, a's in the low half. */
    void (*pair_f32)(uint32_t *to, const float *a, const float *b, float a_factor, float b_factor,
                     size_t count);
    void (*pair_bf16)(uint32_t *to, const uint16_t *a, const uint16_t *b, size_t count);
    void (*pair_i8)(uint32_t *to, const int8_t *a, const int8_t *b, size_t count);
    void (*pair_scaled_i8)(uint32_t *to, const int8_t *a, const int8_t *b, float a_factor,
                           float b_factor, size_t count);
    /* Word `lane` of `to` holds element `lane` of four rows that follow each other. */
    void (*interleave4)(uint32_t *to, const uint8_t *from, size_t from_stride, int lanes);
    /* Four steps of `block` words of bytes 0 ... 3 into one: byte i of step s to bits 2s of byte i.
     */
    void (*squeeze)(uint32_t *to, const uint32_t *from, int block, int quads);
    void (*shift_codes)(uint8_t *to, const int8_t *from, int offset, size_t count);

    void (*finish_tile)(const bn_tile *tile);
    /* One step on `count` parameters, g = 0; returns the sum of the new |p|. */
    double (*adamw)(const bn_adamw_step *step, float *p, float *g, float *m, float *v,
                    size_t count);
} bn_rows;

/* By instruction set; one that this machine lacks must not be run. */
extern const bn_rows bn_rows_portable;
extern const bn_rows bn_rows_avx2;
extern const bn_rows bn_rows_avx512;
extern const bn_rows bn_rows_avx512bf16;

#endif
