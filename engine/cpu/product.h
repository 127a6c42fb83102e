/* product.h - C[m, n] = sum_k A[m, k] * B[n, k] in any of the four number formats.
 *
 * Operands are packed into panels (pack.h), a block of C is one part of a job, its sum runs over
 * the panels in order: an element's bits depend on the shape alone, not on threads.
 */
#ifndef BN_ENGINE_CPU_PRODUCT_H
#define BN_ENGINE_CPU_PRODUCT_H

#include "engine/cpu/cpu.h"

/* An operand as it lies in memory. Element k of line l is data[l * stride + k], or
 * data[k * stride + l] when `across`. */
typedef struct bn_operand {
    const void *data;
    size_t stride;
    const float *k_scale;    /* across only, or NULL: element k is first multiplied by k_scale[k] */
    const int32_t *line_sum; /* A of codes: the sum of each line's codes */
    bn_dtype dtype;
    int lines;
    bool across;
} bn_operand;

/* What becomes of the sums: c = base + sum * scale * row_scale[m], base 0, c (accumulate) or
 * residual. */
typedef struct bn_result {
    union {
        float *c;
        uint16_t *half; /* rounded, where dtype is BN_BF16 or BN_F16 */
    };
    bn_dtype dtype;
    size_t stride;
    const float *residual;  /* f32 only */
    const float *row_scale; /* [lines of A] or NULL */
    float scale;
    bool accumulate;
} bn_result;

typedef struct bn_product_job {
    bn_dtype format; /* of the multiplication; I8 quantizes operands that are not codes yet */
    int length;      /* of the sum */
    bn_operand a, b;
    const struct bn_panels *a_packed; /* NULL, or a in bn_product_a_panels' form */
    const struct bn_panels *b_packed; /* NULL, or b as bn_product_pack left it */
    bn_result result;
} bn_product_job;

void bn_product_run(bn_cpu *cpu, const bn_product_job *job);

/* Jobs that go through the same number of A's lines strip by strip, one after the other: what they
 * add to one C is still in the cache then, and an A that they share is packed once. */
typedef struct bn_product_group {
    const bn_product_job *jobs;
    int count;
} bn_product_group;

/* Groups that do not depend on each other, at most 1 + BN_SITE_LAYERS_MAX of them with
 * 2 * BN_SITE_LAYERS_MAX jobs: their parts fill one job of the pool, and a B of several is packed
 * once. */
void bn_product_run_groups(bn_cpu *cpu, const bn_product_group *groups, int count);

/* The same on the calling thread alone, so that a part of a pool's job may use it. Both operands
 * are packed; either's word_count may exceed what the length takes, which makes the job one of a
 * range of words. Unfinished sums need bn_product_alone_bytes at memory, 64-byte aligned. */
size_t bn_product_alone_bytes(const bn_cpu *cpu, int a_lines);
void bn_product_run_alone(bn_cpu *cpu, const bn_product_job *job, void *memory);

/* The panels that a_packed is to have: their number, size and kind of word, yet without memory.
 * Lines and elements that fill up the last ones must be zero. Floats only. */
struct bn_panels bn_product_a_panels(const bn_cpu *cpu, int lines, bn_dtype format, int length);

/* B packed ahead, for jobs that share it: floats, or codes that are not to be quantized.
 * bn_product_pack_bytes are needed at memory, 64-byte aligned. */
size_t bn_product_pack_bytes(const bn_cpu *cpu, const bn_operand *b, bn_dtype format, int length);
void bn_product_pack(bn_cpu *cpu, const bn_product_job *job, void *memory, struct bn_panels *out);

#endif
