/* Attention backward, in two kernels that each make the softmax weights again: one owns queries
 * and walks over keys for dq, one owns keys and walks over queries for dk and dv. With p the
 * softmax, dp = dout.v and D = dout.out:  ds = p (dp - D) / sqrt(dim). */
#include "engine/cuda/attention_tile.h"

/* scores become p, slopes (dp) become ds without its 1/sqrt(dim). */
static __device__ __forceinline__ void slope(float *score, float *dp, const bn_attention_row &row,
                                             float factor)
{
    *score = bn_exp2(*score * factor - row.lse);
    *dp = *score * (*dp - row.mean);
}

/* A tile's columns are keys: rows[2f], rows[2f + 1] are of this lane's rows of band f. */
template <class C>
static __device__ __forceinline__ void slope_rows(float (*scores)[C::sub / 8][4],
                                                  float (*slopes)[C::sub / 8][4],
                                                  const bn_attention_row *rows, float factor)
{
    BN_UNROLL for (int f = 0; f < C::fold; f++)
    {
        BN_UNROLL for (int i = 0; i < C::sub / 2; i++)
        {
            slope(&scores[f][i / 4][i % 4], &slopes[f][i / 4][i % 4], rows[f * 2 + i % 4 / 2],
                  factor);
        }
    }
}

/* A tile's columns are queries, whose rows lie in shared memory. */
template <class C>
static __device__ __forceinline__ void slope_columns(float (*scores)[C::sub / 8][4],
                                                     float (*slopes)[C::sub / 8][4],
                                                     const bn_attention_row *rows, float factor)
{
    BN_UNROLL for (int n = 0; n < C::sub / 8; n++)
    {
        bn_attention_row pair[2];
        bn_load<2>(pair, rows + n * 8 + bn_lane() % 4 * 2);
        BN_UNROLL for (int i = 0; i < C::fold * 4; i++)
        {
            slope(&scores[i / 4][n][i % 4], &slopes[i / 4][n][i % 4], pair[i % 2], factor);
        }
    }
}

/* The next keys and values arrive while these are multiplied. Longest walks first. */
template <class C>
static __global__ void __launch_bounds__(BN_ATTENTION_THREADS, 2)
    slope_queries(const bn_attention_plan p)
{
    BN_DYN_SHARED(uint16_t, query);
    uint16_t *dout = query + C::own_elements, *arriving = dout + C::own_elements;
    int head = static_cast<int>(blockIdx.x);
    int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * C::own;
    int mine = first + bn_band_first<C>();
    int shared_head = head / p.heads * p.kv_heads + head % p.heads / (p.heads / p.kv_heads);
    bn_tile_head queries = bn_tile_head_of(p, p.heads, head);
    bn_tile_head keys = bn_tile_head_of(p, p.kv_heads, shared_head);
    int last = first + C::own < p.seq ? first + C::own : p.seq;
    bn_attention_row rows[C::fold * 2];
    float sums[C::fold][C::dim / 8][4] = {}, factors[C::fold][2];
    BN_UNROLL for (int i = 0; i < C::fold * 2; i++)
    {
        rows[i] = p.rows[static_cast<size_t>(head) * p.seq_padded + mine + i * 8 + bn_lane() / 4];
        factors[i / 2][i % 2] = p.scale;
    }
    bn_tile_load<C, C::own>(query, p, p.q, queries, first);
    bn_tile_load<C, C::own>(dout, p, p.dout, queries, first);
    bn_tile_load<C, C::step>(arriving, p, p.k, keys, 0);
    bn_tile_load<C, C::step>(arriving + C::step_elements, p, p.v, keys, 0);
    bn_copy_async_commit();
    bn_copy_async_wait<0>();
    __syncthreads(); /* all that was asked for is there */
    bn_band<C> band, dout_band;
    bn_band_open<C>(&band, query);
    bn_band_open<C>(&dout_band, dout);
    for (int j = 0; j < last; j += C::step) {
        const uint16_t *key = arriving, *value = key + C::step_elements;
        arriving = dout + C::own_elements + (j / C::step + 1) % 2 * 2 * C::step_elements;
        if (j + C::step < last) {
            bn_tile_load<C, C::step>(arriving, p, p.k, keys, j + C::step);
            bn_tile_load<C, C::step>(arriving + C::step_elements, p, p.v, keys, j + C::step);
        }
        bn_copy_async_commit();
        for (int n = 0; n < C::step; n += C::sub) {
            float scores[C::fold][C::sub / 8][4] = {}, slopes[C::fold][C::sub / 8][4] = {};
            if (j + n >= mine + C::band || mine >= p.seq) continue;
            bn_tile_dots<C>(scores, band, key + n * C::stride);
            bn_tile_dots<C>(slopes, dout_band, value + n * C::stride);
            if (j + n + C::sub > mine) bn_tile_hide<C, false>(scores, mine - j - n);
            slope_rows<C>(scores, slopes, rows, p.factor);
            bn_tile_mix<C>(sums, slopes, key + n * C::stride);
        }
        bn_copy_async_wait<0>();
        __syncthreads(); /* the next ones are there, and nobody reads these any more */
    }
    bn_tile_store<C>(bn_tile_place_of(p, p.dq, p.heads, head, first), sums, factors);
}

/* Where a block's walk over queries is: heads of a group, and of each the queries from the block's
 * first key on. */
struct walk {
    int head, query;
};

template <class C>
static __device__ __forceinline__ walk walk_on(const bn_attention_plan &p, walk w, int first)
{
    bool more = w.query + C::step < p.seq;
    return {more ? w.head : w.head + 1, more ? w.query + C::step : first};
}

/* Where a step's queries, their dout and their rows arrive. */
template <class C> struct stage {
    static constexpr int elements = 2 * C::step_elements + C::step * sizeof(bn_attention_row) / 2;
    uint16_t *query, *dout;
    bn_attention_row *rows;

    __device__ __forceinline__ stage(uint16_t *stages, int n)
    {
        query = stages + n % 2 * elements;
        dout = query + C::step_elements;
        rows = reinterpret_cast<bn_attention_row *>(dout + C::step_elements);
    }

    __device__ __forceinline__ void load(const bn_attention_plan &p, walk w) const
    {
        int i = static_cast<int>(threadIdx.x) * 2;
        size_t row = static_cast<size_t>(w.head) * p.seq_padded + w.query + i;
        bn_tile_head queries = bn_tile_head_of(p, p.heads, w.head);
        bn_tile_load<C, C::step>(query, p, p.q, queries, w.query);
        bn_tile_load<C, C::step>(dout, p, p.dout, queries, w.query);
        if (i < C::step) bn_copy_async(rows + i, p.rows + row, 16);
    }
};

/* Weights lie transposed, [keys, queries], so that they are the left operand of dv and dk as they
 * stand. The next queries arrive while these are multiplied. */
template <class C>
static __global__ void __launch_bounds__(BN_ATTENTION_THREADS, 2)
    slope_keys(const bn_attention_plan p)
{
    BN_DYN_SHARED(uint16_t, key);
    uint16_t *value = key + C::own_elements, *stages = value + C::own_elements;
    int head = static_cast<int>(blockIdx.x), first = static_cast<int>(blockIdx.y) * C::own;
    int mine = first + bn_band_first<C>();
    bn_tile_head keys = bn_tile_head_of(p, p.kv_heads, head);
    int group = p.heads / p.kv_heads;
    walk next = {head / p.kv_heads * p.heads + head % p.kv_heads * group, first};
    int end = next.head + group;
    float key_sums[C::fold][C::dim / 8][4] = {}, value_sums[C::fold][C::dim / 8][4] = {};
    float scales[C::fold][2], ones[C::fold][2];
    BN_UNROLL for (int i = 0; i < C::fold * 2; i++)
    {
        scales[i / 2][i % 2] = p.scale;
        ones[i / 2][i % 2] = 1;
    }
    bn_tile_load<C, C::own>(key, p, p.k, keys, first);
    bn_tile_load<C, C::own>(value, p, p.v, keys, first);
    stage<C>(stages, 0).load(p, next);
    bn_copy_async_commit();
    bn_copy_async_wait<0>();
    __syncthreads(); /* all that was asked for is there */
    bn_band<C> band, value_band;
    bn_band_open<C>(&band, key);
    bn_band_open<C>(&value_band, value);
    for (int n = 0; next.head < end; n++) {
        const stage<C> here(stages, n);
        int query = next.query;
        next = walk_on<C>(p, next, first);
        if (next.head < end) stage<C>(stages, n + 1).load(p, next);
        bn_copy_async_commit();
        for (int i = 0; i < C::step; i += C::sub) {
            float scores[C::fold][C::sub / 8][4] = {}, slopes[C::fold][C::sub / 8][4] = {};
            int ahead = mine - query - i;
            if (ahead >= C::sub || mine >= p.seq) continue;
            bn_tile_dots<C>(scores, band, here.query + i * C::stride);
            bn_tile_dots<C>(slopes, value_band, here.dout + i * C::stride);
            if (ahead + C::band > 1) bn_tile_hide<C, true>(scores, ahead);
            slope_columns<C>(scores, slopes, here.rows + i, p.factor);
            bn_tile_mix<C>(value_sums, scores, here.dout + i * C::stride);
            bn_tile_mix<C>(key_sums, slopes, here.query + i * C::stride);
        }
        bn_copy_async_wait<0>();
        __syncthreads(); /* the next ones are there, and nobody reads these any more */
    }
    bn_tile_store<C>(bn_tile_place_of(p, p.dk, p.kv_heads, head, first), key_sums, scales);
    bn_tile_store<C>(bn_tile_place_of(p, p.dv, p.kv_heads, head, first), value_sums, ones);
}

/* Q cuts the work of slope_queries, K of slope_keys. */
template <class Q, class K> static void launch(bn_cuda *cuda, const bn_attention_plan *p)
{
    void (*queries)(const bn_attention_plan) = slope_queries<Q>;
    void (*keys)(const bn_attention_plan) = slope_keys<K>;
    constexpr size_t query_bytes = (2 * Q::own_elements + 4 * Q::step_elements) * sizeof(uint16_t);
    constexpr size_t key_bytes = (2 * K::own_elements + 2 * stage<K>::elements) * sizeof(uint16_t);
    if (!bn_cuda_attention_fits(cuda, p, query_bytes > key_bytes ? query_bytes : key_bytes)) return;
    BN_LAUNCH(cuda, queries, bn_attention_grid(p, p->heads, Q::own), BN_ATTENTION_THREADS,
              query_bytes, *p);
    BN_LAUNCH(cuda, keys, bn_attention_grid(p, p->kv_heads, K::own), BN_ATTENTION_THREADS,
              key_bytes, *p);
}

static const bn_attention_launch two_planes[] = {
    launch<bn_cut<32, float, 1, false, 64, 64>, bn_cut<32, float, 1, false, 32, 32>>,
    launch<bn_cut<64, float, 1, false, 32, 32>, bn_cut<64, float, 1, false, 32, 32>>,
    launch<bn_cut<96, float, 1, false, 32, 32>, bn_cut<96, float, 1, false, 16, 16>>,
    launch<bn_cut<128, float, 1, false, 32, 32>, bn_cut<128, float, 1, false, 16, 16>>};

template <class T>
static const bn_attention_launch one_plane[] = {
    launch<bn_cut<32, T, 2, true, 64, 32>, bn_cut<32, T, 2, true, 64, 32>>,
    launch<bn_cut<64, T, 2, true, 64, 32>, bn_cut<64, T, 2, true, 16, 16>>,
    launch<bn_cut<96, T, 2, false, 32, 32>, bn_cut<96, T, 1, true, 32, 32>>,
    launch<bn_cut<128, T, 1, true, 32, 32>, bn_cut<128, T, 1, true, 32, 16>>};

static const bn_attention_launch *const launches[] = {two_planes, one_plane<bn_bf16>,
                                                      one_plane<bn_f16>};

void bn_cuda_attention_backward(void *self, const bn_attention_args *args,
                                const bn_attention_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_attention_plan plan;
    if (bn_cuda_attention_plan(cuda, &plan, args, grads)) bn_attention_run(launches, cuda, &plan);
}
