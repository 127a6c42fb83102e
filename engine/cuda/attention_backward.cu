/* Attention backward, in two kernels that each make the softmax weights again: one owns queries
 * and walks over keys for dq, one owns keys and walks over queries for dk and dv. With p the
 * softmax, dp = dout.v and D = dout.out:  ds = p (dp - D) / sqrt(dim). */
#include "engine/cuda/attention.h"

/* STEP: queries that a key tile takes at a time, few, as its own sums fill the registers. */
enum { TILE = BN_ATTENTION_TILE, STEP = TILE / 2 };

/* scores become p, slopes (dp) become ds without its 1/sqrt(dim). */
static __device__ __forceinline__ void slope(float *score, float *dp, const bn_attention_row &row,
                                             float factor, bool seen)
{
    float weight = seen ? bn_exp2(*score * factor - row.lse) : 0.0F;
    *score = weight;
    *dp = seen ? weight * (*dp - row.mean) : 0.0F;
}

/* Columns are keys. diagonal: keys after the query get no weight. */
static __device__ __forceinline__ void slope_tile(float (*scores)[4], float (*slopes)[4],
                                                  const bn_attention_row *rows, float factor,
                                                  bool diagonal)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    int query = static_cast<int>(threadIdx.x) / BN_WARP * 16 + lane / 4;
    BN_UNROLL for (int n = 0; n < TILE / 8; n++)
    {
        BN_UNROLL for (int i = 0; i < 4; i++)
        {
            int key = n * 8 + lane % 4 * 2 + i % 2;
            bool seen = !diagonal || key <= query + i / 2 * 8;
            slope(&scores[n][i], &slopes[n][i], rows[i / 2], factor, seen);
        }
    }
}

/* A value tile is released before its key tile, so the next one arrives during the last product;
 * the next keys arrive during the first. */
template <int DIM, class T>
static __global__ void __launch_bounds__(BN_ATTENTION_THREADS)
    slope_queries(const bn_attention_pack p, float *dq)
{
    BN_DYN_SHARED(uint16_t, query);
    constexpr int size = bn_tile_elements<DIM, T, TILE>;
    uint16_t *dout = query + size, *key = dout + size, *value = key + size;
    int tile = static_cast<int>(gridDim.y - 1 - blockIdx.y), head = static_cast<int>(blockIdx.x);
    int shared_head = head / p.heads * p.kv_heads + head % p.heads / (p.heads / p.kv_heads);
    int warp_row = static_cast<int>(threadIdx.x) / BN_WARP * 16;
    size_t length = static_cast<size_t>(p.seq_padded) * DIM;
    size_t own = head * length + static_cast<size_t>(tile) * TILE * DIM;
    const uint16_t *keys = p.k + shared_head * length, *values = p.v + shared_head * length;
    const bn_attention_row *row = p.rows + static_cast<size_t>(head) * p.seq_padded + tile * TILE +
                                  warp_row + threadIdx.x % BN_WARP / 4;
    const bn_attention_row rows[2] = {row[0], row[8]};
    float sums[DIM / 8][4] = {};
    bn_tile_load<DIM, T, TILE>(query, p.q + own, p.q_plane);
    bn_tile_load<DIM, T, TILE>(dout, p.dout + own, p.q_plane);
    bn_tile_load<DIM, T, TILE>(value, values, p.kv_plane);
    bn_copy_async_commit();
    bn_tile_load<DIM, T, TILE>(key, keys, p.kv_plane);
    bn_copy_async_commit();
    for (int j = 0; j <= tile; j++) {
        float scores[TILE / 8][4] = {}, slopes[TILE / 8][4] = {};
        size_t next = static_cast<size_t>(j + 1) * TILE * DIM;
        bn_copy_async_wait<1>();
        __syncthreads(); /* the values are there */
        bn_tile_dots<DIM, T, TILE, TILE>(slopes, dout + warp_row * (DIM + BN_ATTENTION_PAD), value);
        bn_copy_async_wait<0>();
        __syncthreads(); /* the keys are there, and nobody reads these values any more */
        if (j < tile) bn_tile_load<DIM, T, TILE>(value, values + next, p.kv_plane);
        bn_copy_async_commit();
        bn_tile_dots<DIM, T, TILE, TILE>(scores, query + warp_row * (DIM + BN_ATTENTION_PAD), key);
        slope_tile(scores, slopes, rows, p.factor, j == tile);
        bn_tile_mix<DIM, T, TILE>(sums, slopes, key);
        __syncthreads(); /* nobody reads these keys any more */
        if (j < tile) bn_tile_load<DIM, T, TILE>(key, keys + next, p.kv_plane);
        bn_copy_async_commit();
    }
    bn_tile_store<DIM>(bn_tile_place_of(dq, p, p.heads, head, tile * TILE), sums, p.scale, p.scale);
}

/* Columns are queries, from `first` on counted from the block's first key. */
static __device__ __forceinline__ void slope_step(float (*scores)[4], float (*slopes)[4],
                                                  const bn_attention_row *rows, float factor,
                                                  int first)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    int key = static_cast<int>(threadIdx.x) / BN_WARP * 16 + lane / 4;
    BN_UNROLL for (int n = 0; n < STEP / 8; n++)
    {
        BN_UNROLL for (int i = 0; i < 4; i++)
        {
            int query = n * 8 + lane % 4 * 2 + i % 2;
            bool seen = key + i / 2 * 8 <= first + query;
            slope(&scores[n][i], &slopes[n][i], rows[query], factor, seen);
        }
    }
}

/* The n-th step of a key tile: a head of its group, and queries of that head from the tile on. */
struct walk {
    int first_head, steps_a_head, start, count;

    __device__ __forceinline__ walk(const bn_attention_pack &p, int kv_head, int tile)
    {
        int group = p.heads / p.kv_heads;
        start = tile * TILE;
        first_head = kv_head / p.kv_heads * p.heads + kv_head % p.kv_heads * group;
        steps_a_head = (p.seq_padded - start) / STEP;
        count = steps_a_head * group;
    }

    /* The row of [batch * heads][seq_padded] where step n begins. */
    __device__ __forceinline__ size_t row(const bn_attention_pack &p, int n) const
    {
        return static_cast<size_t>(first_head + n / steps_a_head) * p.seq_padded + start +
               n % steps_a_head * STEP;
    }

    /* Its first query, counted from the block's first key. */
    __device__ __forceinline__ int first(int n) const
    {
        return n % steps_a_head * STEP;
    }
};

static __device__ __forceinline__ void load_rows(bn_attention_row *to, const bn_attention_row *from)
{
    int i = static_cast<int>(threadIdx.x) * 2;
    if (i < STEP) bn_copy_async(to + i, from + i, 16);
}

/* Weights lie transposed, [keys, queries], so that they are the left operand of dv and dk as they
 * stand. */
template <int DIM, class T>
static __global__ void __launch_bounds__(BN_ATTENTION_THREADS)
    slope_keys(const bn_attention_pack p, float *dk, float *dv)
{
    BN_DYN_SHARED(uint16_t, key);
    uint16_t *value = key + bn_tile_elements<DIM, T, TILE>;
    uint16_t *query = value + bn_tile_elements<DIM, T, TILE>;
    uint16_t *dout = query + bn_tile_elements<DIM, T, STEP>;
    bn_attention_row *rows =
        reinterpret_cast<bn_attention_row *>(dout + bn_tile_elements<DIM, T, STEP>);
    int tile = static_cast<int>(blockIdx.y), head = static_cast<int>(blockIdx.x);
    int warp_at = static_cast<int>(threadIdx.x) / BN_WARP * 16 * (DIM + BN_ATTENTION_PAD);
    size_t own = (static_cast<size_t>(head) * p.seq_padded + tile * TILE) * DIM;
    const walk w(p, head, tile);
    float key_sums[DIM / 8][4] = {}, value_sums[DIM / 8][4] = {};
    bn_tile_load<DIM, T, TILE>(value, p.v + own, p.kv_plane);
    bn_tile_load<DIM, T, TILE>(key, p.k + own, p.kv_plane);
    bn_tile_load<DIM, T, STEP>(dout, p.dout + w.row(p, 0) * DIM, p.q_plane);
    load_rows(rows, p.rows + w.row(p, 0));
    bn_copy_async_commit();
    bn_tile_load<DIM, T, STEP>(query, p.q + w.row(p, 0) * DIM, p.q_plane);
    bn_copy_async_commit();
    for (int n = 0; n < w.count; n++) {
        float scores[STEP / 8][4] = {}, slopes[STEP / 8][4] = {};
        bool more = n + 1 < w.count;
        size_t next = more ? w.row(p, n + 1) : 0;
        bn_copy_async_wait<1>();
        __syncthreads(); /* dout and rows are there */
        bn_tile_dots<DIM, T, TILE, STEP>(slopes, value + warp_at, dout);
        bn_copy_async_wait<0>();
        __syncthreads(); /* the queries are there */
        bn_tile_dots<DIM, T, TILE, STEP>(scores, key + warp_at, query);
        slope_step(scores, slopes, rows, p.factor, w.first(n));
        bn_tile_mix<DIM, T, STEP>(value_sums, scores, dout);
        __syncthreads(); /* nobody reads this dout and these rows any more */
        if (more) bn_tile_load<DIM, T, STEP>(dout, p.dout + next * DIM, p.q_plane);
        if (more) load_rows(rows, p.rows + next);
        bn_copy_async_commit();
        bn_tile_mix<DIM, T, STEP>(key_sums, slopes, query);
        __syncthreads(); /* nobody reads these queries any more */
        if (more) bn_tile_load<DIM, T, STEP>(query, p.q + next * DIM, p.q_plane);
        bn_copy_async_commit();
    }
    bn_tile_store<DIM>(bn_tile_place_of(dk, p, p.kv_heads, head, tile * TILE), key_sums, p.scale,
                       p.scale);
    bn_tile_store<DIM>(bn_tile_place_of(dv, p, p.kv_heads, head, tile * TILE), value_sums, 1, 1);
}

/* to: {dq, dk, dv} */
template <int DIM, class T>
static void launch(bn_cuda *cuda, const bn_attention_pack *p, float *const *to)
{
    void (*queries)(const bn_attention_pack, float *) = slope_queries<DIM, T>;
    void (*keys)(const bn_attention_pack, float *, float *) = slope_keys<DIM, T>;
    constexpr size_t tile_bytes = bn_tile_elements<DIM, T, TILE> * sizeof(uint16_t);
    constexpr size_t step_bytes = bn_tile_elements<DIM, T, STEP> * sizeof(uint16_t);
    constexpr size_t row_bytes = STEP * sizeof(bn_attention_row);
    unsigned tiles = static_cast<unsigned>(p->seq_padded / TILE);
    dim3 by_query(static_cast<unsigned>(p->batch * p->heads), tiles);
    dim3 by_key(static_cast<unsigned>(p->batch * p->kv_heads), tiles);
    if (!bn_cuda_attention_fits(cuda, p, 4 * tile_bytes)) return;
    BN_LAUNCH(cuda, queries, by_query, BN_ATTENTION_THREADS, 4 * tile_bytes, *p, to[0]);
    BN_LAUNCH(cuda, keys, by_key, BN_ATTENTION_THREADS, 2 * tile_bytes + 2 * step_bytes + row_bytes,
              *p, to[1], to[2]);
}

static const bn_attention_launch launches[3][4] = {
    {launch<32, float>, launch<64, float>, launch<96, float>, launch<128, float>},
    {launch<32, bn_bf16>, launch<64, bn_bf16>, launch<96, bn_bf16>, launch<128, bn_bf16>},
    {launch<32, bn_f16>, launch<64, bn_f16>, launch<96, bn_f16>, launch<128, bn_f16>},
};

void bn_cuda_attention_backward(void *self, const bn_attention_args *args,
                                const bn_attention_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_attention_pack pack;
    if (!bn_cuda_attention_pack(cuda, &pack, args, grads)) return;
    float *const to[] = {grads->dq.data, grads->dk.data, grads->dv.data};
    launches[pack.products][pack.dim_padded / 32 - 1](cuda, &pack, to);
}
