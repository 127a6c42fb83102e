/* piece.h - device code: a block's sums over its piece of a weight. */
#ifndef BN_ENGINE_CUDA_PIECE_H
#define BN_ENGINE_CUDA_PIECE_H

#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

enum { BN_PIECE_THREADS = 256 };

static __device__ __forceinline__ void bn_piece_add(bn_cuda_piece *sums, float w)
{
    sums->magnitudes += fabs(static_cast<double>(w));
    sums->values += static_cast<double>(w);
    if (bn_magnitude(w) > sums->most) sums->most = bn_magnitude(w);
}

static __device__ __forceinline__ void bn_piece_write(bn_cuda_piece *out, const bn_cuda_piece &mine)
{
    double magnitudes = bn_block_sum(mine.magnitudes), values = bn_block_sum(mine.values);
    uint32_t most = bn_block_max(mine.most);
    if (threadIdx.x == 0) *out = {magnitudes, values, most};
}

#endif
