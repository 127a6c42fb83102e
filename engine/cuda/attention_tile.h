/* attention_tile.h - device code: the products of a warp's rows with a tile in shared memory, and
 * the way there and back.
 *
 * A block owns rows of one side (queries, or keys) and walks over tiles of the other. Each of its
 * warps owns `fold` bands of 16 rows: what is read of a tile is multiplied with all of them.
 */
#ifndef BN_ENGINE_CUDA_ATTENTION_TILE_H
#define BN_ENGINE_CUDA_ATTENTION_TILE_H

#include <type_traits>

#include "engine/cuda/attention.h"

/* As many as T has halves. */
template <class T> constexpr int bn_planes = sizeof(T) / sizeof(uint16_t);

/* How a kernel cuts its work.
 *   DIM   elements of a head, padded     T  format of the operands
 *   FOLD  bands of a warp                KEPT  its own rows stay in registers
 *   STEP  rows of a tile that arrive together, SUB of which are multiplied at a time */
template <int DIM, class T, int FOLD, bool KEPT, int STEP, int SUB> struct bn_cut {
    using type = T;
    static constexpr int dim = DIM, fold = FOLD, step = STEP, sub = SUB, planes = bn_planes<T>;
    static constexpr bool kept = KEPT;
    static constexpr int band = 16 * FOLD; /* rows of a warp */
    static constexpr int warps = BN_ATTENTION_THREADS / static_cast<int>(BN_WARP);
    static constexpr int own = warps * band;
    /* 16 bytes apart from a multiple of 32: 8 rows of a matrix lie in all banks. */
    static constexpr int stride = DIM + 8;
    static constexpr int own_elements = planes * own * stride;
    static constexpr int step_elements = planes * STEP * stride;
    static_assert(own <= BN_ATTENTION_ROWS && STEP % SUB == 0 && SUB % 16 == 0);
};

/* The first row of the warp, counted from the block's. */
template <class C> static __device__ __forceinline__ int bn_band_first()
{
    return static_cast<int>(threadIdx.x) / BN_WARP * C::band;
}

static __device__ __forceinline__ int bn_lane()
{
    return static_cast<int>(threadIdx.x) % BN_WARP;
}

/* Where a sequence's rows of one head lie in an operand. */
struct bn_tile_head {
    size_t at;
    int step; /* elements from row to row */
};

/* head: of batch * heads. */
static __device__ __forceinline__ bn_tile_head bn_tile_head_of(const bn_attention_plan &p,
                                                               int heads, int head)
{
    int step = heads * p.columns;
    size_t row = static_cast<size_t>(head / heads) * p.seq;
    return {row * step + head % heads * p.columns, step};
}

/* ROWS rows of every plane from `first` on to shared memory, behind the caller's back; zeros beyond
 * the sequence and the head, whatever lies there. */
template <class C, int ROWS>
static __device__ __forceinline__ void bn_tile_load(uint16_t *to, const bn_attention_plan &p,
                                                    const bn_attention_operand &from,
                                                    const bn_tile_head &head, int first)
{
    constexpr int each = 8, across = C::dim / each;
    BN_UNROLL for (int plane = 0; plane < C::planes; plane++)
    {
        uint16_t *tile = to + plane * ROWS * C::stride;
        const uint16_t *source = from.data + static_cast<size_t>(plane) * from.plane;
        BN_UNROLL for (int n = 0; n < ROWS * across; n += BN_ATTENTION_THREADS)
        {
            int i = n + static_cast<int>(threadIdx.x), r = i / across, c = i % across * each;
            if (i >= ROWS * across) continue;
            bool there = first + r < p.seq && c < p.columns;
            size_t at = head.at + static_cast<size_t>(first + r) * head.step + c;
            bn_copy_async(tile + r * C::stride + c, there ? source + at : source, there ? 16 : 0);
        }
    }
}

/* A warp's own rows, the left operand of products. */
template <class C> struct bn_band {
    const uint16_t *tile; /* this lane's place in it */
    uint32_t kept[C::kept ? C::fold * C::dim / 16 : 1][C::planes][4];
};

template <class C>
static __device__ __forceinline__ void bn_band_read(uint32_t (*left)[4], const bn_band<C> &band,
                                                    int f, int k)
{
    BN_UNROLL for (int p = 0; p < C::planes; p++)
    {
        bn_ldmatrix_x4(left[p], band.tile + (p * C::own + f * 16) * C::stride + k);
    }
}

/* The tile has arrived. */
template <class C>
static __device__ __forceinline__ void bn_band_open(bn_band<C> *band, const uint16_t *tile)
{
    band->tile = tile + (bn_band_first<C>() + (bn_lane() & 15)) * C::stride + (bn_lane() >> 4) * 8;
    if constexpr (C::kept) {
        BN_UNROLL for (int i = 0; i < C::fold * C::dim / 16; i++)
        {
            bn_band_read<C>(band->kept[i], *band, i % C::fold, i / C::fold * 16);
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

template <class C>
static __device__ __forceinline__ void bn_tile_dots_at(float (*sums)[C::sub / 8][4],
                                                       const uint32_t (*left)[C::planes][4],
                                                       const uint16_t *b)
{
    BN_UNROLL for (int n = 0; n < C::sub; n += 16)
    {
        uint32_t right[C::planes][4];
        BN_UNROLL for (int p = 0; p < C::planes; p++)
        {
            bn_ldmatrix_x4(right[p], b + (p * C::step + n) * C::stride);
        }
        BN_UNROLL for (int f = 0; f < C::fold; f++)
        {
            bn_tile_mma<typename C::type>(sums[f][n / 8], left[f], right, 0);
            bn_tile_mma<typename C::type>(sums[f][n / 8 + 1], left[f], right, 2);
        }
    }
}

/* sums[band, SUB] += a[band, DIM] . b[SUB, DIM]^T. Lane 4g + t holds of each 16 rows g and g + 8,
 * columns 8n + 2t and the next: sums[f][n] = {g, g, g + 8, g + 8}. b: rows of a tile of STEP. */
template <class C>
static __device__ __forceinline__ void bn_tile_dots(float (*sums)[C::sub / 8][4],
                                                    const bn_band<C> &a, const uint16_t *b)
{
    b += ((bn_lane() & 7) + (bn_lane() >> 4) * 8) * C::stride + ((bn_lane() >> 3) & 1) * 8;
    if constexpr (C::kept) {
        BN_UNROLL for (int k = 0; k < C::dim; k += 16)
        {
            bn_tile_dots_at<C>(sums, a.kept + k / 16 * C::fold, b + k);
        }
    } else {
        BN_UNROLL_TWO for (int k = 0; k < C::dim; k += 16)
        {
            uint32_t left[C::fold][C::planes][4];
            BN_UNROLL for (int f = 0; f < C::fold; f++) bn_band_read<C>(left[f], a, f, k);
            bn_tile_dots_at<C>(sums, left, b + k);
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

/* sums[band, DIM] += weights[band, SUB] . b[SUB, DIM]; weights as bn_tile_dots leaves its sums. */
template <class C>
static __device__ __forceinline__ void bn_tile_mix(float (*sums)[C::dim / 8][4],
                                                   const float (*weights)[C::sub / 8][4],
                                                   const uint16_t *b)
{
    using T = typename C::type;
    b += (bn_lane() & 15) * C::stride + (bn_lane() >> 4) * 8;
    BN_UNROLL for (int k = 0; k < C::sub; k += 16)
    {
        uint32_t left[C::fold][C::planes][4], right[C::planes][4];
        BN_UNROLL for (int i = 0; i < C::fold * 4; i++)
        {
            const float *w = weights[i / 4][k / 8 + i % 4 / 2] + i % 2 * 2;
            bn_tile_split<T>(left[i / 4], i % 4, w[0], w[1]);
        }
        BN_UNROLL for (int n = 0; n < C::dim; n += 16)
        {
            BN_UNROLL for (int p = 0; p < C::planes; p++)
            {
                bn_ldmatrix_x4_trans(right[p], b + (p * C::step + k) * C::stride + n);
            }
            BN_UNROLL for (int f = 0; f < C::fold; f++)
            {
                bn_tile_mma<T>(sums[f][n / 8], left[f], right, 0);
                bn_tile_mma<T>(sums[f][n / 8 + 1], left[f], right, 2);
            }
        }
    }
}

/* Keys after the query get the score of minus infinity, and so no weight. ahead: the warp's first
 * row less the first column. KEYS: what the rows are, and columns are the other. */
template <class C, bool KEYS>
static __device__ __forceinline__ void bn_tile_hide(float (*scores)[C::sub / 8][4], int ahead)
{
    BN_UNROLL for (int f = 0; f < C::fold; f++)
    {
        BN_UNROLL for (int i = 0; i < C::sub / 8 * 4; i++)
        {
            int row = ahead + f * 16 + i % 4 / 2 * 8 + bn_lane() / 4;
            int column = i / 4 * 8 + bn_lane() % 4 * 2 + i % 2;
            if (KEYS ? row > column : column > row) scores[f][i / 4][i % 4] = -INFINITY;
        }
    }
}

/* A head's rows of a result, from `first` on. */
struct bn_tile_place {
    void *data; /* of row `first` */
    bn_dtype dtype;
    bool wide;
    int step;  /* elements from row to row */
    int rows;  /* that exist from `first` on */
    int width; /* elements of the head */
};

static __device__ __forceinline__ bn_tile_place bn_tile_place_of(const bn_attention_plan &p,
                                                                 const bn_attention_result &to,
                                                                 int heads, int head, int first)
{
    int step = heads * p.dim;
    size_t row = static_cast<size_t>(head / heads) * p.seq + first;
    size_t at = row * step + head % heads * p.dim;
    void *data = to.dtype == BN_F32 ? static_cast<void *>(static_cast<float *>(to.data) + at)
                                    : static_cast<uint16_t *>(to.data) + at;
    return {data, to.dtype, to.wide, step, p.seq - first, p.dim};
}

/* Lane t of a quad has word t of four rows of four words; then it has row t. */
static __device__ __forceinline__ void bn_quad_turn(uint32_t words[4])
{
    BN_UNROLL for (int step = 1; step < 4; step *= 2)
    {
        bool upper = (bn_lane() & step) != 0;
        BN_UNROLL for (int i = 0; i < 4; i++)
        {
            if (i & step) continue;
            uint32_t low = words[i], high = words[i + step];
            uint32_t got = __shfl_xor_sync(BN_ALL_LANES, upper ? low : high, step);
            words[i] = upper ? got : low;
            words[i + step] = upper ? high : got;
        }
    }
}

/* 32 columns of row r from column c on: pairs[n] are this lane's columns 8n + 2t and the next. */
static __device__ __forceinline__ void bn_quad_store_f32(const bn_tile_place &to, int r, int c,
                                                         const float (*pairs)[2])
{
    float *row = static_cast<float *>(to.data) + static_cast<size_t>(r) * to.step;
    BN_UNROLL for (int n = 0; n < 4; n++)
    {
        int at = c + n * 8 + bn_lane() % 4 * 2;
        if (r >= to.rows || at >= to.width) continue;
        if (to.wide) bn_store<2>(row + at, pairs[n]);
        if (!to.wide) row[at] = pairs[n][0];
        if (!to.wide && at + 1 < to.width) row[at + 1] = pairs[n][1];
    }
}

/* The same in 16 bits. A lane's pairs are turned to 8 neighbours, so that a quad writes whole
 * sectors. */
static __device__ __forceinline__ void bn_quad_store_16(const bn_tile_place &to, int r, int c,
                                                        const float (*pairs)[2])
{
    uint32_t words[4];
    BN_UNROLL for (int n = 0; n < 4; n++)
    {
        words[n] = to.dtype == BN_BF16 ? bn_pair_bf16(pairs[n][0], pairs[n][1])
                                       : bn_pair_f16(pairs[n][0], pairs[n][1]);
    }
    bn_quad_turn(words);
    int at = c + bn_lane() % 4 * 8;
    if (r >= to.rows || at >= to.width) return;
    uint16_t *row = static_cast<uint16_t *>(to.data) + static_cast<size_t>(r) * to.step;
    if (to.wide) bn_store<4>(reinterpret_cast<uint32_t *>(row + at), words);
    BN_UNROLL for (int i = 0; i < 8; i++)
    {
        uint32_t both = words[i / 2];
        if (to.wide || at + i >= to.width) continue;
        row[at + i] = static_cast<uint16_t>(i % 2 ? both >> 16 : both & 0xFFFFU);
    }
}

/* Writes a warp's sums[band, DIM], rows f * 16 + half * 8 + g times factors[f][half]. */
template <class C>
static __device__ __forceinline__ void bn_tile_store(const bn_tile_place &to,
                                                     const float (*sums)[C::dim / 8][4],
                                                     const float (*factors)[2])
{
    BN_UNROLL for (int i = 0; i < C::fold * 2 * (C::dim / 32); i++)
    {
        int f = i / (2 * (C::dim / 32)), half = i / (C::dim / 32) % 2, n = i % (C::dim / 32) * 4;
        int r = bn_band_first<C>() + f * 16 + half * 8 + bn_lane() / 4;
        float pairs[4][2];
        BN_UNROLL for (int j = 0; j < 4; j++)
        {
            pairs[j][0] = sums[f][n + j][half * 2] * factors[f][half];
            pairs[j][1] = sums[f][n + j][half * 2 + 1] * factors[f][half];
        }
        if (to.dtype == BN_F32) bn_quad_store_f32(to, r, n * 8, pairs);
        if (to.dtype != BN_F32) bn_quad_store_16(to, r, n * 8, pairs);
    }
}
#endif
