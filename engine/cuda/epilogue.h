/* epilogue.h - device code: what a product of codes becomes, BN_WIDE neighbours of a row at a time.
 * Neighbours beyond the matrix are no harm. `wide`: a group can be read and written at once.
 */
#ifndef BN_ENGINE_CUDA_EPILOGUE_H
#define BN_ENGINE_CUDA_EPILOGUE_H

#include "engine/cuda/convert.h"
#include "engine/cuda/matrix.h"

static inline bool bn_epilogue_is_wide(const bn_cuda_epilogue *e)
{
    return bn_mat_is_wide(e->out) && bn_rows_are_wide(e->add, e->out.dtype, e->out.cols);
}

/* The factors of columns c ... */
static __device__ __forceinline__ void bn_epilogue_units(float *unit, const bn_cuda_epilogue &e,
                                                         int c)
{
    float scale = e.scale ? *e.scale : 1.0F;
    BN_UNROLL for (int i = 0; i < BN_WIDE; i++)
    {
        unit[i] = e.column && c + i < e.out.cols ? e.column[c + i] : scale;
    }
}

/* What is added at [r, c] ... */
template <class T>
static __device__ __forceinline__ void bn_epilogue_add(T *add, const bn_cuda_epilogue &e, int r,
                                                       int c, bool wide)
{
    BN_UNROLL for (int i = 0; i < BN_WIDE; i++) add[i] = bn_to<T>(0);
    if (!e.add || r >= e.out.rows || c >= e.out.cols) return;
    const T *from = static_cast<const T *>(e.add) + static_cast<size_t>(r) * e.out.cols + c;
    if (wide) {
        bn_load<BN_WIDE>(add, from);
        return;
    }
    BN_UNROLL for (int i = 0; i < BN_WIDE; i++)
    {
        if (c + i < e.out.cols) add[i] = from[i];
    }
}

template <class T>
static __device__ __forceinline__ void bn_epilogue_write(const bn_cuda_epilogue &e, int r, int c,
                                                         const int *sums, const float *unit,
                                                         const T *add, bool wide)
{
    if (r >= e.out.rows || c >= e.out.cols) return;
    T values[BN_WIDE];
    T *to =
        static_cast<T *>(static_cast<void *>(e.out.data)) + static_cast<size_t>(r) * e.out.cols + c;
    float row = e.row[r];
    BN_UNROLL for (int i = 0; i < BN_WIDE; i++)
    {
        values[i] = bn_to<T>(bn_from(add[i]) + static_cast<float>(sums[i]) * (row * unit[i]));
    }
    if (wide) {
        bn_store<BN_WIDE>(to, values);
        return;
    }
    BN_UNROLL for (int i = 0; i < BN_WIDE; i++)
    {
        if (c + i < e.out.cols) to[i] = values[i];
    }
}

#endif
