/* convert.h - operands of a product into the form that the tensor cores take: other float formats,
 * codes of 8 bits by row or by column, and matrices turned so that the sum runs along memory. */
#ifndef BN_ENGINE_CUDA_CONVERT_H
#define BN_ENGINE_CUDA_CONVERT_H

#include "engine/cuda/cuda.h"

/* Elements of a matrix, each times its row's factor where there is one. */
struct bn_cuda_elements {
    const void *data; /* [rows, cols] */
    bn_dtype dtype;
    int rows, cols;
    const float *row_factor; /* [rows] or NULL */
};

/* out[r, c] = element in `dtype` (not BN_I8), rounded to nearest even. `plain`, where it is not
 * NULL, takes the same without the row's factor. */
void bn_cuda_convert(bn_cuda *cuda, void *out, void *plain, bn_dtype dtype,
                     const bn_cuda_elements *from);

/* codes[r, c] = round(element / unit[r]), unit[r] = max_c |element| / 127; f32 elements. */
void bn_cuda_quantize_rows(bn_cuda *cuda, int8_t *codes, float *unit, const bn_cuda_elements *from);

/* codes[c, r] = round(element / unit[c]), unit[c] = max_r |element| / 127. */
void bn_cuda_quantize_columns(bn_cuda *cuda, int8_t *codes, float *unit,
                              const bn_cuda_elements *from);

/* out[c, r] = codes[r, c]. */
void bn_cuda_turn(bn_cuda *cuda, int8_t *out, const int8_t *codes, int rows, int cols);

/* What a product of codes becomes: out[r, c] = add[r, c] + sum[r, c] * (row[r] * column[c]); *scale
 * where column is NULL, 1 where both are; add NULL is zeros and may be out. */
struct bn_cuda_epilogue {
    float *out;
    const float *add;
    const float *row, *column, *scale;
    int rows, cols;
};
void bn_cuda_finish(bn_cuda *cuda, const bn_cuda_epilogue *e, const int32_t *sums);

/* sum[r, c] = sum_k a[r, k] * b[c, k], exact; a [rows, length], b [cols, length] of any shape. */
struct bn_cuda_code_product {
    const int8_t *a, *b;
    int length;
    struct bn_cuda_epilogue end;
};
void bn_cuda_multiply_codes(bn_cuda *cuda, const bn_cuda_code_product *p);

#endif
