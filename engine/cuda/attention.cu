/* Attention forward: a block owns queries of one head and walks over the keys that they see. */
#include "engine/cuda/attention_tile.h"

/* Softmax on the way, of the two rows g and g + 8 of a band in a lane: the largest score so far,
 * and this lane's share of the sum of exp2((score - most) * factor). */
struct online {
    float most[2], sum[2];
};

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
template <class C>
static __device__ __forceinline__ void weigh(float (*scores)[4], online *o, float (*sums)[4],
                                             float factor)
{
    BN_UNROLL for (int half = 0; half < 2; half++)
    {
        float most = o->most[half], sum = 0;
        BN_UNROLL for (int n = 0; n < C::sub / 8; n++)
        {
            most = fmaxf(most, fmaxf(scores[n][half * 2], scores[n][half * 2 + 1]));
        }
        most = row_max(most);
        float shift = most * factor;
        float shrink = bn_exp2(o->most[half] * factor - shift);
        BN_UNROLL for (int n = 0; n < C::sub / 8; n++)
        {
            float *s = scores[n] + half * 2;
            s[0] = bn_exp2(s[0] * factor - shift);
            s[1] = bn_exp2(s[1] * factor - shift);
            sum += s[0] + s[1];
        }
        BN_UNROLL for (int n = 0; n < C::dim / 8; n++)
        {
            sums[n][half * 2] *= shrink;
            sums[n][half * 2 + 1] *= shrink;
        }
        o->most[half] = most;
        o->sum[half] = o->sum[half] * shrink + sum;
    }
}

/* first: the warp's. */
template <class C>
static __device__ __forceinline__ void store_lse(const bn_attention_plan &p, const online *o,
                                                 int head, int first)
{
    if (bn_lane() % 4 != 0) return;
    BN_UNROLL for (int i = 0; i < C::fold * 2; i++)
    {
        int t = first + i * 8 + bn_lane() / 4;
        if (t >= p.seq) continue;
        size_t row = static_cast<size_t>(head / p.heads) * p.seq + t;
        p.lse[row * p.heads + head % p.heads] =
            o[i / 2].most[i % 2] * p.scale + logf(o[i / 2].sum[i % 2]);
    }
}

/* The next keys and values arrive while these are multiplied. Longest walks first. */
template <class C>
static __global__ void __launch_bounds__(BN_ATTENTION_THREADS, 2) attend(const bn_attention_plan p)
{
    BN_DYN_SHARED(uint16_t, query);
    uint16_t *arriving = query + C::own_elements;
    int head = static_cast<int>(blockIdx.x);
    int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * C::own;
    int mine = first + bn_band_first<C>();
    int shared_head = head / p.heads * p.kv_heads + head % p.heads / (p.heads / p.kv_heads);
    bn_tile_head queries = bn_tile_head_of(p, p.heads, head);
    bn_tile_head keys = bn_tile_head_of(p, p.kv_heads, shared_head);
    int last = first + C::own < p.seq ? first + C::own : p.seq;
    online o[C::fold];
    float sums[C::fold][C::dim / 8][4] = {};
    BN_UNROLL for (int f = 0; f < C::fold; f++) o[f] = {{-INFINITY, -INFINITY}, {0, 0}};
    bn_tile_load<C, C::own>(query, p, p.q, queries, first);
    bn_tile_load<C, C::step>(arriving, p, p.k, keys, 0);
    bn_tile_load<C, C::step>(arriving + C::step_elements, p, p.v, keys, 0);
    bn_copy_async_commit();
    bn_copy_async_wait<0>();
    __syncthreads(); /* queries, keys and values are there */
    bn_band<C> band;
    bn_band_open<C>(&band, query);
    for (int j = 0; j < last; j += C::step) {
        const uint16_t *key = arriving;
        const uint16_t *value = key + C::step_elements;
        arriving = query + C::own_elements + (j / C::step + 1) % 2 * 2 * C::step_elements;
        if (j + C::step < last) bn_tile_load<C, C::step>(arriving, p, p.k, keys, j + C::step);
        if (j + C::step < last) {
            bn_tile_load<C, C::step>(arriving + C::step_elements, p, p.v, keys, j + C::step);
        }
        bn_copy_async_commit();
        if (j < mine + C::band && mine < p.seq) {
            float scores[C::fold][C::sub / 8][4] = {};
            bn_tile_dots<C>(scores, band, key);
            if (j + C::step > mine) bn_tile_hide<C, false>(scores, mine - j);
            BN_UNROLL for (int f = 0; f < C::fold; f++)
            {
                weigh<C>(scores[f], &o[f], sums[f], p.factor);
            }
            bn_tile_mix<C>(sums, scores, value);
        }
        bn_copy_async_wait<0>();
        __syncthreads(); /* the next ones are there, and nobody reads these any more */
    }
    float factors[C::fold][2];
    BN_UNROLL for (int i = 0; i < C::fold * 2; i++)
    {
        o[i / 2].sum[i % 2] = row_sum(o[i / 2].sum[i % 2]);
        factors[i / 2][i % 2] = 1 / o[i / 2].sum[i % 2];
    }
    store_lse<C>(p, o, head, mine);
    bn_tile_store<C>(bn_tile_place_of(p, p.out, p.heads, head, first), sums, factors);
}

template <class C> static void launch(bn_cuda *cuda, const bn_attention_plan *p)
{
    static_assert(C::sub == C::step, "a row's weights of a tile are made at once");
    void (*kernel)(const bn_attention_plan) = attend<C>;
    constexpr size_t bytes = (C::own_elements + 4 * C::step_elements) * sizeof(uint16_t);
    if (!bn_cuda_attention_fits(cuda, p, bytes)) return;
    BN_LAUNCH(cuda, kernel, bn_attention_grid(p, p->heads, C::own), BN_ATTENTION_THREADS, bytes,
              *p);
}

static const bn_attention_launch two_planes[] = {
    launch<bn_cut<32, float, 1, false, 64, 64>>, launch<bn_cut<64, float, 1, false, 32, 32>>,
    launch<bn_cut<96, float, 1, false, 32, 32>>, launch<bn_cut<128, float, 1, false, 32, 32>>};

template <class T>
static const bn_attention_launch one_plane[] = {
    launch<bn_cut<32, T, 2, true, 64, 64>>, launch<bn_cut<64, T, 2, true, 64, 64>>,
    launch<bn_cut<96, T, 2, false, 32, 32>>, launch<bn_cut<128, T, 2, false, 32, 32>>};

static const bn_attention_launch *const launches[] = {two_planes, one_plane<bn_bf16>,
                                                      one_plane<bn_f16>};

void bn_cuda_attention_forward(void *self, const bn_attention_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_attention_plan plan;
    if (bn_cuda_attention_plan(cuda, &plan, args, nullptr)) bn_attention_run(launches, cuda, &plan);
}
