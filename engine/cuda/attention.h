/* attention.h - causal attention by tiles, never a T x T matrix (arXiv:2205.14135, 2307.08691), on
 * the tensor cores. What the forward and the backward kernels share: their operands in 16 bits, and
 * the products of a warp's 16 rows with a tile in shared memory.
 *
 * Operands are packed first: [planes][batch * heads][seq_padded][DIM], zeros around, so that no
 * kernel sees a ragged edge or a row that is not aligned. T says what the planes hold:
 *   bn_bf16  one plane, the values rounded to bf16
 *   bn_f16   one plane, rounded to fp16
 *   float    two planes of bf16, high + low, 16 bits of fraction; products then take three of the
 *            four partial products and err by about 2^-16 of the operands' size
 * Sums are f32, softmax is f32.
 *
 * fp16 ends at 65504. dout and the slopes come with the loss scale in them, as in PyTorch's
 * autocast, and what is larger becomes infinity, never clamped: dq, dk or dv is then not finite,
 * the step is skipped and the scale halved (steps.h). Slopes below 2^-25 become zero; the scale is
 * there to keep them above it.
 *
 * Each element of out, dq, dk and dv has one owner, a warp, which sums over tiles in ascending
 * order: no atomics, the same bits from run to run.
 */
#ifndef BN_ENGINE_CUDA_ATTENTION_H
#define BN_ENGINE_CUDA_ATTENTION_H

#include <type_traits>

#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

enum {
    BN_ATTENTION_TILE = 64, /* queries or keys that a block owns: 16 a warp */
    BN_ATTENTION_THREADS = 128,
    BN_ATTENTION_DIM_MAX = 128,
    BN_ATTENTION_PAD = 8, /* elements: 16 bytes, so that 8 rows of a matrix lie in all banks */
};

/* Of one query and head. */
struct alignas(8) bn_attention_row {
    float lse;  /* log2-sum-exp2 of the scores as `factor` scales them; infinity beyond seq */
    float mean; /* dout . out */
};

struct bn_attention_pack {
    uint16_t *q, *k, *v, *dout; /* dout: backward only */
    bn_attention_row *rows;     /* [batch * heads][seq_padded]; backward only */
    size_t q_plane, kv_plane;   /* elements from the high to the low plane */
    int batch, seq, seq_padded, heads, kv_heads, dim;
    int dim_padded;      /* DIM of the kernels: 32, 64, 96 or 128 */
    bn_dtype products;   /* F32, BF16, F16: T is float, bn_bf16, bn_f16 */
    float scale, factor; /* 1/sqrt(dim), and that times log2(e) */
};

/* Packs the operands into BN_CUDA_SLOT_OP; false: what failed sticks. grads NULL: forward. */
bool bn_cuda_attention_pack(bn_cuda *cuda, bn_attention_pack *out, const bn_attention_args *args,
                            const bn_attention_grads *grads);

/* Whether the card gives a block so much shared memory; false: that has stuck. */
bool bn_cuda_attention_fits(bn_cuda *cuda, const bn_attention_pack *pack, size_t shared_bytes);

/* launches[products][dim_padded / 32 - 1]. */
static_assert(BN_F32 == 0 && BN_BF16 == 1 && BN_F16 == 2, "rows of the tables of launches");
typedef void (*bn_attention_launch)(bn_cuda *cuda, const bn_attention_pack *pack, float *const *to);

/* As many as T has halves. */
template <class T> constexpr int bn_planes = sizeof(T) / sizeof(uint16_t);

template <int DIM, class T, int ROWS>
constexpr int bn_tile_elements = bn_planes<T> *ROWS *(DIM + BN_ATTENTION_PAD);

/* ROWS rows of every plane to shared memory, behind the caller's back. */
template <int DIM, class T, int ROWS>
static __device__ __forceinline__ void bn_tile_load(uint16_t *to, const uint16_t *from,
                                                    size_t plane)
{
    constexpr int each = 8, across = DIM / each;
    BN_UNROLL for (int p = 0; p < bn_planes<T>; p++)
    {
        uint16_t *tile = to + p * ROWS * (DIM + BN_ATTENTION_PAD);
        const uint16_t *source = from + static_cast<size_t>(p) * plane;
        BN_UNROLL for (int n = 0; n < ROWS * across; n += BN_ATTENTION_THREADS)
        {
            int i = n + static_cast<int>(threadIdx.x), r = i / across, c = i % across * each;
            if (i >= ROWS * across) continue;
            bn_copy_async(tile + r * (DIM + BN_ATTENTION_PAD) + c, source + r * DIM + c, 16);
        }
    }
}

/* d += a b with what the planes of both hold. */
template <class T>
static __device__ __forceinline__ void bn_tile_mma(float d[4], const uint32_t (*a)[4],
                                                   const uint32_t (*b)[4], int half)
{
    if constexpr (std::is_same_v<T, bn_f16>) {
        bn_mma_f16(d, a[0], b[0] + half);
    } else {
        if constexpr (bn_planes<T> == 2) {
            bn_mma_bf16(d, a[1], b[0] + half);
            bn_mma_bf16(d, a[0], b[1] + half);
        }
        bn_mma_bf16(d, a[0], b[0] + half);
    }
}

/* sums[16, ROWS] += a[16, DIM] . b[ROWS, DIM]^T. Lane 4g + t holds of sums rows g and g + 8,
 * columns 8n + 2t and the next: sums[n] = {g, g, g + 8, g + 8}.
 *   a  rows of a tile of A_ROWS rows    b  a tile of ROWS rows */
template <int DIM, class T, int A_ROWS, int ROWS>
static __device__ __forceinline__ void bn_tile_dots(float (*sums)[4], const uint16_t *a,
                                                    const uint16_t *b)
{
    constexpr int stride = DIM + BN_ATTENTION_PAD;
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    a += (lane & 15) * stride + (lane >> 4) * 8;
    b += ((lane & 7) + (lane >> 4) * 8) * stride + ((lane >> 3) & 1) * 8;
    BN_UNROLL_TWO for (int k = 0; k < DIM; k += 16)
    {
        uint32_t left[bn_planes<T>][4], right[bn_planes<T>][4];
        BN_UNROLL for (int p = 0; p < bn_planes<T>; p++)
        {
            bn_ldmatrix_x4(left[p], a + p * A_ROWS * stride + k);
        }
        BN_UNROLL for (int n = 0; n < ROWS; n += 16)
        {
            BN_UNROLL for (int p = 0; p < bn_planes<T>; p++)
            {
                bn_ldmatrix_x4(right[p], b + (p * ROWS + n) * stride + k);
            }
            bn_tile_mma<T>(sums[n / 8], left, right, 0);
            bn_tile_mma<T>(sums[n / 8 + 1], left, right, 2);
        }
    }
}

/* What the planes hold of two floats. */
template <class T>
static __device__ __forceinline__ void bn_tile_split(uint32_t (*out)[4], int at, float low,
                                                     float high)
{
    if constexpr (std::is_same_v<T, bn_f16>) {
        out[0][at] = bn_pair_f16(low, high);
    } else {
        uint32_t pair = bn_pair_bf16(low, high);
        out[0][at] = pair;
        if constexpr (bn_planes<T> == 2) {
            out[1][at] = bn_pair_bf16(low - bn_value_bf16(static_cast<uint16_t>(pair & 0xFFFFU)),
                                      high - bn_value_bf16(static_cast<uint16_t>(pair >> 16)));
        }
    }
}

/* sums[16, DIM] += weights[16, ROWS] . b[ROWS, DIM]; weights as bn_tile_dots leaves its sums. */
template <int DIM, class T, int ROWS>
static __device__ __forceinline__ void bn_tile_mix(float (*sums)[4], const float (*weights)[4],
                                                   const uint16_t *b)
{
    constexpr int stride = DIM + BN_ATTENTION_PAD;
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    b += (lane & 15) * stride + (lane >> 4) * 8;
    BN_UNROLL for (int k = 0; k < ROWS; k += 16)
    {
        uint32_t left[bn_planes<T>][4], right[bn_planes<T>][4];
        BN_UNROLL for (int i = 0; i < 4; i++)
        {
            const float *w = weights[k / 8 + i / 2] + i % 2 * 2;
            bn_tile_split<T>(left, i, w[0], w[1]);
        }
        BN_UNROLL for (int n = 0; n < DIM; n += 16)
        {
            BN_UNROLL for (int p = 0; p < bn_planes<T>; p++)
            {
                bn_ldmatrix_x4_trans(right[p], b + (p * ROWS + k) * stride + n);
            }
            bn_tile_mma<T>(sums[n / 8], left, right, 0);
            bn_tile_mma<T>(sums[n / 8 + 1], left, right, 2);
        }
    }
}

/* Where a block's rows lie in f32 memory: [batch * seq, heads * dim], one head, from `first` on. */
struct bn_tile_place {
    float *data; /* of row `first` */
    size_t step; /* floats from row to row */
    int rows;    /* that exist from `first` on */
    int dim;
};

static __device__ __forceinline__ bn_tile_place bn_tile_place_of(float *data,
                                                                 const bn_attention_pack &p,
                                                                 int heads, int head, int first)
{
    size_t step = static_cast<size_t>(heads) * p.dim;
    size_t row = static_cast<size_t>(head / heads) * p.seq + first;
    return {data + row * step + static_cast<size_t>(head % heads) * p.dim, step, p.seq - first,
            p.dim};
}

/* Writes a warp's sums[16, DIM] times low (rows g) and high (rows g + 8). */
template <int DIM>
static __device__ __forceinline__ void bn_tile_store(const bn_tile_place &to,
                                                     const float (*sums)[4], float low, float high)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP,
        warp = static_cast<int>(threadIdx.x) / BN_WARP;
    BN_UNROLL for (int half = 0; half < 2; half++)
    {
        int r = warp * 16 + half * 8 + lane / 4;
        float factor = half ? high : low;
        if (r >= to.rows) continue;
        float *row = to.data + static_cast<size_t>(r) * to.step;
        BN_UNROLL for (int n = 0; n < DIM / 8; n++)
        {
            int c = n * 8 + lane % 4 * 2;
            if (c < to.dim) row[c] = sums[n][half * 2] * factor;
            if (c + 1 < to.dim) row[c + 1] = sums[n][half * 2 + 1] * factor;
        }
    }
}
#endif
