/* matrix.h - how a kernel that works row by row meets matrices of several types: the type is a
 * template parameter, and rows are read and written BN_WIDE elements at a time where they allow it.
 */
#ifndef BN_ENGINE_CUDA_MATRIX_H
#define BN_ENGINE_CUDA_MATRIX_H

#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

/* Elements that a thread takes at once: 16 bytes, or 8 of a 16-bit type. */
constexpr int BN_WIDE = 4;

/* Where a row begins that is `cols` wide. */
template <class T> static __device__ __forceinline__ T *bn_row_of(void *data, int r, int cols)
{
    return static_cast<T *>(data) + static_cast<size_t>(r) * cols;
}

/* Whether rows of `cols` elements from `data` on are whole groups of BN_WIDE, each at a multiple of
 * its size. NULL has no rows. */
static inline bool bn_rows_are_wide(const void *data, bn_dtype dtype, int cols)
{
    size_t group = BN_WIDE * bn_dtype_bytes(dtype);
    return !data || (cols % BN_WIDE == 0 && reinterpret_cast<uintptr_t>(data) % group == 0);
}

static inline bool bn_mat_is_wide(const bn_mat &m)
{
    return bn_rows_are_wide(m.data, m.dtype, m.cols);
}

/* call(T()) with the type of a matrix's values. */
template <class Call> static inline void bn_with_type(bn_dtype dtype, Call call)
{
    switch (dtype) {
    case BN_F32:
    case BN_I8: /* no bn_mat */
        call(0.0F);
        break;
    case BN_BF16:
        call(bn_bf16());
        break;
    case BN_F16:
        call(bn_f16());
        break;
    }
}

/* Writes values of a row, or adds them to what is there (F32). */
template <int WIDTH>
static __device__ __forceinline__ void bn_mat_store(const bn_mat &m, size_t i, float *values,
                                                    bool add)
{
    switch (m.dtype) {
    case BN_F32:
    case BN_I8:
        if (add) {
            float before[WIDTH];
            bn_load<WIDTH>(before, m.data + i);
            BN_UNROLL for (int k = 0; k < WIDTH; k++) values[k] += before[k];
        }
        bn_store<WIDTH>(m.data + i, values);
        break;
    case BN_BF16:
        bn_store_floats<WIDTH>(reinterpret_cast<bn_bf16 *>(m.half) + i, values);
        break;
    case BN_F16:
        bn_store_floats<WIDTH>(reinterpret_cast<bn_f16 *>(m.half) + i, values);
        break;
    }
}

#endif
