/* convert.h - operands of a product into the form that the tensor cores take: other float formats,
 * codes of 8 bits by row or by column, and matrices turned so that the sum runs along memory; and
 * products whose results are matrices of any type.
 */
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

/* out[r, c] = element in `dtype` (not BN_I8), rounded to nearest even. */
void bn_cuda_convert(bn_cuda *cuda, void *out, bn_dtype dtype, const bn_cuda_elements *from);

/* A matrix as codes of its rows, of its columns, or both. */
struct bn_cuda_codes {
    int8_t *by_row;     /* [rows, cols] of the elements without their row's factor, or NULL */
    float *row_unit;    /* [rows], with by_row */
    int8_t *by_column;  /* [cols, rows] of the elements */
    float *column_unit; /* [cols] */
};

/* codes = round(element / unit), unit = max |element| / 127 over the row or column, 0 for one of
 * zeros. Elements are read twice, for the units and for the codes. */
void bn_cuda_quantize(bn_cuda *cuda, const bn_cuda_codes *to, const bn_cuda_elements *from);

/* out[c, r] = codes[r, c]. */
void bn_cuda_turn(bn_cuda *cuda, int8_t *out, const int8_t *codes, int rows, int cols);

/* bn_cuda_gemm for every type of c: one that the library does not write goes by way of f32. */
void bn_cuda_multiply(bn_cuda *cuda, const bn_gemm *product);

/* What a product of codes becomes: out[r, c] = add[r, c] + sum[r, c] * (row[r] * column[c]); *scale
 * where column is NULL, 1 where both are. */
struct bn_cuda_epilogue {
    bn_mat out;
    const void *add; /* in out's type; may be out; NULL: zeros */
    const float *row, *column, *scale;
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
