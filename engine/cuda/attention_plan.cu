/* What attention's kernels are told: operands that are not yet as they take them are packed, and
 * each row of the backward pass gets its mean. */
#include <cmath>

#include "engine/cuda/attention_tile.h"

enum { THREADS = 256, EACH = 8, LINE_LANES = 8, RESULT_BYTES = 16 };

/* A matrix as its elements are read, EACH at a time. */
struct elements {
    const void *data;
    bn_dtype dtype;
    bool wide; /* lines are whole groups of EACH, each at a multiple of its size */
};

template <class T>
static __device__ __forceinline__ void read_as(float *to, const elements &from, size_t at,
                                               int count)
{
    const T *data = static_cast<const T *>(from.data) + at;
    if (from.wide) return bn_open<EACH>(to, bn_fetch<EACH>(data));
    BN_UNROLL for (int i = 0; i < EACH; i++) to[i] = i < count ? bn_from(data[i]) : 0.0F;
}

/* Elements `at` and the next; zeros from the count-th on. wide: all EACH of them exist. */
static __device__ __forceinline__ void read(float *to, const elements &from, size_t at, int count)
{
    if (from.dtype == BN_BF16) return read_as<bn_bf16>(to, from, at, count);
    if (from.dtype == BN_F16) return read_as<bn_f16>(to, from, at, count);
    return read_as<float>(to, from, at, count);
}

/* Lines of `dim` elements become lines of `columns`. */
struct packing {
    uint16_t *to;
    size_t plane, groups; /* of EACH results */
    elements from;
    int dim, columns;
};

template <class T> static __global__ void pack(const packing p)
{
    size_t n = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (n >= p.groups) return;
    size_t line = n / static_cast<unsigned>(p.columns / EACH), line_at = line * p.columns;
    int c = static_cast<int>(n * EACH - line_at), left = p.dim - c;
    float values[EACH];
    uint32_t halves[bn_planes<T>][4];
    read(values, p.from, line * p.dim + c, left < EACH ? left : EACH);
    BN_UNROLL for (int i = 0; i < 4; i++)
    {
        bn_tile_split<T>(halves, i, values[2 * i], values[2 * i + 1]);
    }
    BN_UNROLL for (int i = 0; i < bn_planes<T>; i++)
    {
        bn_store<4>(reinterpret_cast<uint32_t *>(p.to + i * p.plane + n * EACH), halves[i]);
    }
}

/* What the planes hold of EACH elements. */
template <class T>
static __device__ __forceinline__ void read_planes(float *to, const bn_attention_operand &from,
                                                   size_t at)
{
    using half = std::conditional_t<std::is_same_v<T, bn_f16>, bn_f16, bn_bf16>;
    const half *high = reinterpret_cast<const half *>(from.data + at);
    bn_open<EACH>(to, bn_fetch<EACH>(high));
    if constexpr (bn_planes<T> == 2) {
        float low[EACH];
        bn_open<EACH>(low, bn_fetch<EACH>(high + from.plane));
        BN_UNROLL for (int i = 0; i < EACH; i++) to[i] += low[i];
    }
}

/* rows[head][t]: LINE_LANES lanes each, side by side as they lie in dout. The mean is of what the
 * planes hold of dout, so that the slopes of a query that sees one key are zero. */
template <class T> static __global__ void fill_rows(const bn_attention_plan p, const elements out)
{
    size_t n = (static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x) / LINE_LANES;
    unsigned heads = static_cast<unsigned>(p.heads), padded = static_cast<unsigned>(p.seq_padded);
    size_t h = n % heads, t = n / heads % padded, b = n / heads / padded;
    bool exists = b < static_cast<unsigned>(p.batch) && t < static_cast<unsigned>(p.seq);
    size_t line = (b * static_cast<unsigned>(p.seq) + t) * heads + h;
    float sum = 0;
    for (int c = static_cast<int>(threadIdx.x) % LINE_LANES * EACH; exists && c < p.columns;
         c += LINE_LANES * EACH) {
        float slopes[EACH], values[EACH];
        read_planes<T>(slopes, p.dout, line * p.columns + c);
        read(values, out, line * p.dim + c, p.dim - c < EACH ? p.dim - c : EACH);
        BN_UNROLL for (int i = 0; i < EACH; i++) sum += slopes[i] * values[i];
    }
    for (int step = 1; step < LINE_LANES; step *= 2) {
        sum += __shfl_xor_sync(BN_ALL_LANES, sum, step);
    }
    if (threadIdx.x % LINE_LANES != 0 || b >= static_cast<unsigned>(p.batch)) return;
    float log_sum = exists ? p.lse[line] * 1.4426950408889634F : INFINITY; /* log2(e) */
    p.rows[(b * heads + h) * padded + t] = {log_sum, sum};
}

static elements elements_of(const bn_mat &mat, int dim)
{
    size_t group = EACH * bn_dtype_bytes(mat.dtype);
    return {mat.data, mat.dtype,
            dim % EACH == 0 && reinterpret_cast<uintptr_t>(mat.data) % group == 0};
}

static bn_attention_result result_of(const bn_mat &mat, int dim)
{
    size_t line = static_cast<size_t>(dim) * bn_dtype_bytes(mat.dtype);
    return {mat.data, mat.dtype,
            (reinterpret_cast<uintptr_t>(mat.data) | line) % RESULT_BYTES == 0};
}

static void lay_out(bn_attention_plan *p, const bn_attention_args *args,
                    const bn_attention_grads *grads)
{
    *p = {};
    p->batch = args->batch;
    p->seq = args->seq;
    p->seq_padded = (args->seq + BN_ATTENTION_ROWS - 1) / BN_ATTENTION_ROWS * BN_ATTENTION_ROWS;
    p->heads = args->heads;
    p->kv_heads = args->kv_heads;
    p->dim = args->dim;
    p->columns = (args->dim + EACH - 1) / EACH * EACH;
    p->products = args->products;
    p->scale = static_cast<float>(1 / sqrt(static_cast<double>(args->dim)));
    p->factor = static_cast<float>(1.4426950408889634 / sqrt(static_cast<double>(args->dim)));
    p->lse = args->lse;
    p->out = result_of(args->out, args->dim);
    if (!grads) return;
    p->dq = result_of(grads->dq, args->dim);
    p->dk = result_of(grads->dk, args->dim);
    p->dv = result_of(grads->dv, args->dim);
}

/* An operand, and the matrix that it is made of. */
struct source {
    bn_attention_operand *to;
    const bn_mat *mat;
    size_t lines;
    bool packs;
    uint16_t *packed; /* where */
};

enum { SOURCES = 4 };

/* How many. */
static int list_sources(source out[SOURCES], bn_attention_plan *p, const bn_attention_args *args,
                        const bn_attention_grads *grads)
{
    size_t rows = static_cast<size_t>(args->batch) * args->seq;
    size_t queries = rows * args->heads, keys = rows * args->kv_heads;
    out[0] = {&p->q, &args->q, queries, false, nullptr};
    out[1] = {&p->k, &args->k, keys, false, nullptr};
    out[2] = {&p->v, &args->v, keys, false, nullptr};
    if (grads) out[3] = {&p->dout, &grads->dout, queries, false, nullptr};
    for (int i = 0; i < (grads ? 4 : 3); i++) {
        elements from = elements_of(*out[i].mat, args->dim);
        out[i].packs = !from.wide || from.dtype == BN_F32 || from.dtype != args->products;
        out[i].to->data = out[i].mat->half;
    }
    return grads ? 4 : 3;
}

/* Gives what is packed its place, and rows theirs. */
static bool take_memory(bn_cuda *cuda, bn_attention_plan *p, source *sources, int count)
{
    size_t planes = p->products == BN_F32 ? bn_planes<float> : 1, halves = 0;
    size_t rows = count == SOURCES ? static_cast<size_t>(p->batch) * p->heads * p->seq_padded : 0;
    for (int i = 0; i < count; i++) {
        if (sources[i].packs) halves += sources[i].lines * p->columns * planes;
    }
    size_t bytes = rows * sizeof *p->rows + halves * sizeof(uint16_t);
    if (!bytes) return true;
    char *memory = static_cast<char *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_OP, bytes));
    if (!memory) return false;
    p->rows = reinterpret_cast<bn_attention_row *>(memory);
    uint16_t *next = reinterpret_cast<uint16_t *>(memory + rows * sizeof *p->rows);
    for (int i = 0; i < count; i++) {
        if (!sources[i].packs) continue;
        sources[i].to->data = sources[i].packed = next;
        sources[i].to->plane = sources[i].lines * p->columns;
        next += sources[i].to->plane * planes;
    }
    return true;
}

static unsigned blocks_of(size_t threads)
{
    return static_cast<unsigned>((threads + THREADS - 1) / THREADS);
}

template <class T>
static void fill(bn_cuda *cuda, const bn_attention_plan &p, const bn_attention_args *args,
                 const source *sources, int count)
{
    void (*packer)(const packing) = pack<T>;
    void (*filler)(const bn_attention_plan, const elements) = fill_rows<T>;
    for (int i = 0; i < count; i++) {
        const source &s = sources[i];
        size_t groups = s.lines * (p.columns / EACH);
        if (!s.packs) continue;
        BN_LAUNCH(
            cuda, packer, blocks_of(groups), THREADS, 0,
            packing{s.packed, s.to->plane, groups, elements_of(*s.mat, p.dim), p.dim, p.columns});
    }
    if (count < SOURCES) return;
    size_t lines = static_cast<size_t>(p.batch) * p.seq_padded * p.heads;
    BN_LAUNCH(cuda, filler, blocks_of(lines * LINE_LANES), THREADS, 0, p,
              elements_of(args->out, p.dim));
}

bool bn_cuda_attention_plan(bn_cuda *cuda, bn_attention_plan *out, const bn_attention_args *args,
                            const bn_attention_grads *grads)
{
    source sources[SOURCES];
    if (bn_cuda_failed(cuda)) return false;
    if (args->dim > BN_ATTENTION_DIM_MAX) {
        (void)bn_fail(&cuda->failure, BN_EINVAL, "attention: heads of %d elements; at most %d",
                      args->dim, BN_ATTENTION_DIM_MAX);
        return false;
    }
    lay_out(out, args, grads);
    int count = list_sources(sources, out, args, grads);
    if (!take_memory(cuda, out, sources, count)) return false;
    if (args->products == BN_F32) fill<float>(cuda, *out, args, sources, count);
    if (args->products == BN_BF16) fill<bn_bf16>(cuda, *out, args, sources, count);
    if (args->products == BN_F16) fill<bn_f16>(cuda, *out, args, sources, count);
    return !bn_cuda_failed(cuda);
}

bool bn_cuda_attention_fits(bn_cuda *cuda, const bn_attention_plan *plan, size_t shared_bytes)
{
    if (shared_bytes <= cuda->facts.shared_bytes) return true;
    (void)bn_fail(
        &cuda->failure, BN_EINVAL,
        "attention%s: heads of %d elements take %zu bytes of shared memory, this card has "
        "%zu: take more, smaller heads%s",
        plan->products == BN_F32 ? " in fp32" : "", plan->dim, shared_bytes,
        cuda->facts.shared_bytes, plan->products == BN_F32 ? ", or a 16-bit variant" : "");
    return false;
}
