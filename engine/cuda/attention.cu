/* Attention forward: a block owns 64 queries of one head and walks over the keys that they see. */
#include "engine/cuda/attention.h"

enum { TILE = BN_ATTENTION_TILE, TILE_COLUMNS = TILE / 8 };

/* Softmax on the way, of the two rows g and g + 8 of a lane: the largest score so far, and this
 * lane's share of the sum of exp2((score - most) * factor). */
struct online {
    float most[2], sum[2];
};

/* Keys after the query get no weight; the tile is the one on the diagonal. */
static __device__ __forceinline__ void hide_future(float (*scores)[4])
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    int query = static_cast<int>(threadIdx.x) / BN_WARP * 16 + lane / 4;
    BN_UNROLL for (int n = 0; n < TILE_COLUMNS; n++)
    {
        BN_UNROLL for (int i = 0; i < 4; i++)
        {
            int key = n * 8 + lane % 4 * 2 + i % 2;
            if (key > query + i / 2 * 8) scores[n][i] = -INFINITY;
        }
    }
}

/* The largest of a row: lanes 4g ... 4g + 3 hold it. */
static __device__ __forceinline__ float row_max(float value)
{
    value = fmaxf(value, __shfl_xor_sync(BN_ALL_LANES, value, 1));
    return fmaxf(value, __shfl_xor_sync(BN_ALL_LANES, value, 2));
}

static __device__ __forceinline__ float row_sum(float value)
{
    value += __shfl_xor_sync(BN_ALL_LANES, value, 1);
    return value + __shfl_xor_sync(BN_ALL_LANES, value, 2);
}

/* Scores become weights exp2((score - most) * factor); older sums shrink to the new maximum. */
template <int DIM>
static __device__ __forceinline__ void weigh(float (*scores)[4], online *o, float (*sums)[4],
                                             float factor)
{
    BN_UNROLL for (int half = 0; half < 2; half++)
    {
        float most = o->most[half], sum = 0;
        BN_UNROLL for (int n = 0; n < TILE_COLUMNS; n++)
        {
            most = fmaxf(most, fmaxf(scores[n][half * 2], scores[n][half * 2 + 1]));
        }
        most = row_max(most);
        float shift = most * factor;
        float shrink = bn_exp2(o->most[half] * factor - shift);
        BN_UNROLL for (int n = 0; n < TILE_COLUMNS; n++)
        {
            float *s = scores[n] + half * 2;
            s[0] = bn_exp2(s[0] * factor - shift);
            s[1] = bn_exp2(s[1] * factor - shift);
            sum += s[0] + s[1];
        }
        BN_UNROLL for (int n = 0; n < DIM / 8; n++)
        {
            sums[n][half * 2] *= shrink;
            sums[n][half * 2 + 1] *= shrink;
        }
        o->most[half] = most;
        o->sum[half] = o->sum[half] * shrink + sum;
    }
}

static __device__ __forceinline__ void store_lse(const bn_attention_pack &p, const online &o,
                                                 float *lse, int head, int first)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    if (lane % 4 != 0) return;
    BN_UNROLL for (int half = 0; half < 2; half++)
    {
        int t = first + static_cast<int>(threadIdx.x) / BN_WARP * 16 + half * 8 + lane / 4;
        if (t >= p.seq) continue;
        size_t row = static_cast<size_t>(head / p.heads) * p.seq + t;
        lse[row * p.heads + head % p.heads] = o.most[half] * p.scale + logf(o.sum[half]);
    }
}

/* Keys and values take turns: while one is multiplied the other arrives. Longest walks first. */
template <int DIM, class T>
static __global__ void __launch_bounds__(BN_ATTENTION_THREADS, bn_planes<T> == 2 ? 2
                                                               : DIM > 64        ? 3
                                                                                 : 4)
    attend(const bn_attention_pack p, float *out, float *lse)
{
    BN_DYN_SHARED(uint16_t, query);
    constexpr int size = bn_tile_elements<DIM, T, TILE>;
    uint16_t *key = query + size, *value = key + size;
    int tile = static_cast<int>(gridDim.y - 1 - blockIdx.y);
    int head = static_cast<int>(blockIdx.x);
    int shared_head = head / p.heads * p.kv_heads + head % p.heads / (p.heads / p.kv_heads);
    size_t length = static_cast<size_t>(p.seq_padded) * DIM;
    const uint16_t *keys = p.k + shared_head * length, *values = p.v + shared_head * length;
    const uint16_t *mine =
        query + static_cast<int>(threadIdx.x) / BN_WARP * 16 * (DIM + BN_ATTENTION_PAD);
    online o = {{-INFINITY, -INFINITY}, {0, 0}};
    float sums[DIM / 8][4] = {};
    bn_tile_load<DIM, T, TILE>(query, p.q + head * length + static_cast<size_t>(tile) * TILE * DIM,
                               p.q_plane);
    bn_tile_load<DIM, T, TILE>(key, keys, p.kv_plane);
    bn_copy_async_commit();
    for (int j = 0; j <= tile; j++) {
        float scores[TILE_COLUMNS][4] = {};
        size_t at = static_cast<size_t>(j) * TILE * DIM;
        bn_copy_async_wait<0>();
        __syncthreads(); /* the keys are there, and nobody reads the last values any more */
        bn_tile_load<DIM, T, TILE>(value, values + at, p.kv_plane);
        bn_copy_async_commit();
        bn_tile_dots<DIM, T, TILE, TILE>(scores, mine, key);
        if (j == tile) hide_future(scores);
        weigh<DIM>(scores, &o, sums, p.factor);
        bn_copy_async_wait<0>();
        __syncthreads(); /* the values are there, and nobody reads these keys any more */
        if (j < tile) bn_tile_load<DIM, T, TILE>(key, keys + at + TILE * DIM, p.kv_plane);
        bn_copy_async_commit();
        bn_tile_mix<DIM, T, TILE>(sums, scores, value);
    }
    o.sum[0] = row_sum(o.sum[0]);
    o.sum[1] = row_sum(o.sum[1]);
    store_lse(p, o, lse, head, tile * TILE);
    bn_tile_store<DIM>(bn_tile_place_of(out, p, p.heads, head, tile * TILE), sums, 1 / o.sum[0],
                       1 / o.sum[1]);
}

/* to: {out, lse} */
template <int DIM, class T>
static void launch(bn_cuda *cuda, const bn_attention_pack *p, float *const *to)
{
    void (*kernel)(const bn_attention_pack, float *, float *) = attend<DIM, T>;
    constexpr size_t bytes = 3 * bn_tile_elements<DIM, T, TILE> * sizeof(uint16_t);
    dim3 grid(static_cast<unsigned>(p->batch * p->heads),
              static_cast<unsigned>(p->seq_padded / TILE));
    if (!bn_cuda_attention_fits(cuda, p, bytes)) return;
    BN_LAUNCH(cuda, kernel, grid, BN_ATTENTION_THREADS, bytes, *p, to[0], to[1]);
}

static const bn_attention_launch launches[3][4] = {
    {launch<32, float>, launch<64, float>, launch<96, float>, launch<128, float>},
    {launch<32, bn_bf16>, launch<64, bn_bf16>, launch<96, bn_bf16>, launch<128, bn_bf16>},
    {launch<32, bn_f16>, launch<64, bn_f16>, launch<96, bn_f16>, launch<128, bn_f16>},
};

void bn_cuda_attention_forward(void *self, const bn_attention_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_attention_pack pack;
    if (!bn_cuda_attention_pack(cuda, &pack, args, nullptr)) return;
    float *const to[] = {args->out.data, args->lse};
    launches[pack.products][pack.dim_padded / 32 - 1](cuda, &pack, to);
}
