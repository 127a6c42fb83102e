/* The operands of attention as its kernels take them: 16 bits, one head's rows together, padded. */
#include <cmath>

#include "engine/cuda/attention.h"

enum { THREADS = 256, WARPS = THREADS / 32, DIM_STEP = 32 };

/* One operand, and where it goes. */
struct packing {
    uint16_t *to;
    size_t plane;
    const float *from; /* [batch * seq, heads * dim] */
    int seq, seq_padded, heads, dim, dim_padded;
};

/* A warp's row: position t of sequence b, head h. */
struct place {
    int b, t, h;
    bool exists;
};

static __device__ __forceinline__ place place_of(const packing &p)
{
    int n = static_cast<int>(blockIdx.x) * WARPS + static_cast<int>(threadIdx.x) / BN_WARP;
    place at = {n / p.seq_padded, n % p.seq_padded, static_cast<int>(blockIdx.y), false};
    at.exists = at.t < p.seq;
    return at;
}

static __device__ __forceinline__ size_t source_of(const packing &p, place at)
{
    return ((static_cast<size_t>(at.b) * p.seq + at.t) * p.heads + at.h) * p.dim;
}

/* What the planes hold of a value. */
template <class T> static __device__ __forceinline__ float rounded(float value)
{
    if constexpr (bn_planes<T> == 1) {
        return bn_from(bn_to<T>(value));
    } else {
        float high = bn_from(bn_to<bn_bf16>(value));
        return high + bn_from(bn_to<bn_bf16>(value - high));
    }
}

template <class T> static __device__ __forceinline__ void pack_row(const packing &p, place at)
{
    size_t row = (static_cast<size_t>(at.b) * p.heads + at.h) * p.seq_padded + at.t;
    uint16_t *to = p.to + row * p.dim_padded;
    const float *from = p.from + source_of(p, at);
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    for (int c = 2 * lane; c < p.dim_padded; c += 2 * BN_WARP) {
        float low = at.exists && c < p.dim ? from[c] : 0.0F;
        float high = at.exists && c + 1 < p.dim ? from[c + 1] : 0.0F;
        uint32_t halves[bn_planes<T>][4];
        bn_tile_split<T>(halves, 0, low, high);
        BN_UNROLL for (int plane = 0; plane < bn_planes<T>; plane++)
        {
            *reinterpret_cast<uint32_t *>(to + plane * p.plane + c) = halves[plane][0];
        }
    }
}

template <class T> static __global__ void pack(const packing p)
{
    pack_row<T>(p, place_of(p));
}

/* dout also gives each row its mean: of what the planes hold, so that the slopes of a query that
 * sees one key are zero. */
template <class T>
static __global__ void pack_dout(const packing p, const float *out, const float *lse,
                                 bn_attention_row *rows)
{
    place at = place_of(p);
    pack_row<T>(p, at);
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    float sum = 0;
    for (int c = lane; at.exists && c < p.dim; c += BN_WARP) {
        size_t i = source_of(p, at) + c;
        sum += rounded<T>(p.from[i]) * out[i];
    }
    sum = bn_warp_sum(sum);
    if (lane != 0) return;
    float log_sum = INFINITY;
    if (at.exists) {
        size_t row = static_cast<size_t>(at.b) * p.seq + at.t;
        log_sum = lse[row * p.heads + at.h] * 1.4426950408889634F; /* log2(e) */
    }
    rows[(static_cast<size_t>(at.b) * p.heads + at.h) * p.seq_padded + at.t] = {log_sum, sum};
}

static packing packing_of(const bn_attention_pack &p, uint16_t *to, const bn_mat &from, int heads)
{
    packing out = {to,           heads == p.heads ? p.q_plane : p.kv_plane,
                   from.data,    p.seq,
                   p.seq_padded, heads,
                   p.dim,        p.dim_padded};
    return out;
}

static dim3 grid_of(const bn_attention_pack &p, int heads)
{
    return dim3(static_cast<unsigned>(p.batch * (p.seq_padded / WARPS)),
                static_cast<unsigned>(heads));
}

static void lay_out(bn_attention_pack *p, const bn_attention_args *args)
{
    *p = {};
    p->batch = args->batch;
    p->seq = args->seq;
    p->seq_padded = (args->seq + BN_ATTENTION_TILE - 1) / BN_ATTENTION_TILE * BN_ATTENTION_TILE;
    p->heads = args->heads;
    p->kv_heads = args->kv_heads;
    p->dim = args->dim;
    p->dim_padded = (args->dim + DIM_STEP - 1) / DIM_STEP * DIM_STEP;
    p->products = args->products;
    p->scale = static_cast<float>(1 / sqrt(static_cast<double>(args->dim)));
    p->factor = static_cast<float>(1.4426950408889634 / sqrt(static_cast<double>(args->dim)));
    size_t head = static_cast<size_t>(p->seq_padded) * p->dim_padded;
    p->q_plane = static_cast<size_t>(args->batch) * args->heads * head;
    p->kv_plane = static_cast<size_t>(args->batch) * args->kv_heads * head;
}

static bool take_memory(bn_cuda *cuda, bn_attention_pack *p, bool backward)
{
    size_t planes = p->products == BN_F32 ? bn_planes<float> : 1;
    size_t q = p->q_plane * planes, kv = p->kv_plane * planes;
    size_t rows = static_cast<size_t>(p->batch) * p->heads * p->seq_padded;
    size_t halves = (backward ? 2 : 1) * q + 2 * kv;
    size_t row_bytes = backward ? rows * sizeof *p->rows : 0;
    char *memory = static_cast<char *>(
        bn_cuda_scratch(cuda, BN_CUDA_SLOT_OP, row_bytes + halves * sizeof *p->q));
    if (!memory) return false;
    p->rows = reinterpret_cast<bn_attention_row *>(memory);
    p->q = reinterpret_cast<uint16_t *>(memory + row_bytes);
    p->k = p->q + q;
    p->v = p->k + kv;
    p->dout = p->v + kv;
    return true;
}

template <class T>
static void fill(bn_cuda *cuda, const bn_attention_pack &p, const bn_attention_args *args,
                 const bn_attention_grads *grads)
{
    void (*kernel)(const packing) = pack<T>;
    void (*dout_kernel)(const packing, const float *, const float *, bn_attention_row *) =
        pack_dout<T>;
    dim3 queries = grid_of(p, args->heads), keys = grid_of(p, args->kv_heads);
    BN_LAUNCH(cuda, kernel, queries, THREADS, 0, packing_of(p, p.q, args->q, args->heads));
    BN_LAUNCH(cuda, kernel, keys, THREADS, 0, packing_of(p, p.k, args->k, args->kv_heads));
    BN_LAUNCH(cuda, kernel, keys, THREADS, 0, packing_of(p, p.v, args->v, args->kv_heads));
    if (!grads) return;
    BN_LAUNCH(cuda, dout_kernel, queries, THREADS, 0,
              packing_of(p, p.dout, grads->dout, args->heads), args->out.data, args->lse, p.rows);
}

bool bn_cuda_attention_pack(bn_cuda *cuda, bn_attention_pack *out, const bn_attention_args *args,
                            const bn_attention_grads *grads)
{
    if (bn_cuda_failed(cuda)) return false;
    if (args->dim > BN_ATTENTION_DIM_MAX) {
        (void)bn_fail(&cuda->failure, BN_EINVAL, "attention: heads of %d elements; at most %d",
                      args->dim, BN_ATTENTION_DIM_MAX);
        return false;
    }
    lay_out(out, args);
    if (!take_memory(cuda, out, grads != nullptr)) return false;
    if (args->products == BN_F32) fill<float>(cuda, *out, args, grads);
    if (args->products == BN_BF16) fill<bn_bf16>(cuda, *out, args, grads);
    if (args->products == BN_F16) fill<bn_f16>(cuda, *out, args, grads);
    return !bn_cuda_failed(cuda);
}

bool bn_cuda_attention_fits(bn_cuda *cuda, const bn_attention_pack *pack, size_t shared_bytes)
{
    if (shared_bytes <= cuda->facts.shared_bytes) return true;
    (void)bn_fail(
        &cuda->failure, BN_EINVAL,
        "attention%s: heads of %d elements take %zu bytes of shared memory, this card has "
        "%zu: take more, smaller heads%s",
        pack->products == BN_F32 ? " in fp32" : "", pack->dim, shared_bytes,
        cuda->facts.shared_bytes, pack->products == BN_F32 ? ", or a 16-bit variant" : "");
    return false;
}
