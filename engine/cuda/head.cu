/* Output head and cross-entropy. Rows are taken in strips whose f32 logits [strip, V] exist for a
 * moment; their gradients are kept, in the head's own format, for a chunk of strips, until dx and
 * dw take them in one product each. So memory is bounded by STRIP_BYTES and CHUNK_BYTES whatever
 * R and V are, and no product is done twice, as it would be if the vocabulary were cut instead. */
#include <cmath>

#include "engine/cuda/convert.h"
#include "engine/cuda/kernel.h"

enum { STRIP_BYTES = 128 << 20, CHUNK_BYTES = 256 << 20 };
enum { STRIP_ROWS = 1024, CHUNK_ROWS = 4096 }; /* more make the products no faster */
enum { ROWS_STEP = 16, THREADS = 512 };

/* The rows of a strip; one block a row. */
struct strip_rows {
    const float *logits; /* [rows, vocabulary] */
    const int32_t *targets;
    float *loss;
    int vocabulary;
    float scale;
    const double *loss_scale; /* [1] or NULL: 1 */
};

/* WIDTH neighbours, 4 where rows are aligned for it. */
template <class T, int WIDTH> struct alignas(sizeof(T) * WIDTH) neighbours {
    T at[WIDTH];
};

struct online {
    float most, sum; /* of exp(logit - most) */
};

static __device__ __forceinline__ float finite_or_zero(float most)
{
    return most == -INFINITY ? 0.0F : most;
}

/* Largest logit and sum of exponentials of a row, the same in every thread. */
template <int WIDTH>
static __device__ __forceinline__ online sum_row(const neighbours<float, WIDTH> *row, int count)
{
    online o = {-INFINITY, 0};
    for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS) {
        neighbours<float, WIDTH> z = row[i];
        float most = o.most;
        for (int k = 0; k < WIDTH; k++) most = fmaxf(most, z.at[k]);
        float shift = finite_or_zero(most);
        o.sum *= expf(o.most - shift);
        for (int k = 0; k < WIDTH; k++) o.sum += expf(z.at[k] - shift);
        o.most = most;
    }
    float most = finite_or_zero(bn_block_max(o.most));
    return {most, bn_block_sum(o.sum * expf(o.most - most))};
}

template <class To, int WIDTH>
static __device__ __forceinline__ void zero_row(neighbours<To, WIDTH> *out, int count)
{
    neighbours<To, WIDTH> zeros;
    for (int k = 0; k < WIDTH; k++) zeros.at[k] = bn_to<To>(0);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS) out[i] = zeros;
}

/* loss = log sum exp - logit of the target; dlogits = (softmax - [target]) * scale, which may be
 * the memory of the logits; NULL: not wanted. */
template <class To, int WIDTH> static __global__ void soften(const strip_rows p, To *dlogits)
{
    int r = static_cast<int>(blockIdx.x), target = p.targets[r], count = p.vocabulary / WIDTH;
    size_t start = static_cast<size_t>(r) * p.vocabulary;
    const float *logits = p.logits + start;
    const neighbours<float, WIDTH> *row =
        reinterpret_cast<const neighbours<float, WIDTH> *>(logits);
    neighbours<To, WIDTH> *out =
        dlogits ? reinterpret_cast<neighbours<To, WIDTH> *>(dlogits + start) : nullptr;
    if (target < 0) {
        if (threadIdx.x == 0) p.loss[r] = 0;
        if (out) zero_row(out, count);
        return;
    }
    float wanted = logits[target]; /* before the barriers of sum_row: it may be written after */
    online o = sum_row(row, count);
    if (threadIdx.x == 0) p.loss[r] = logf(o.sum) + (o.most - wanted);
    float loss_scale = p.loss_scale ? static_cast<float>(*p.loss_scale) : 1.0F;
    float factor = p.scale * loss_scale / o.sum;
    for (int i = static_cast<int>(threadIdx.x); out && i < count; i += THREADS) {
        neighbours<float, WIDTH> z = row[i];
        neighbours<To, WIDTH> d;
        for (int k = 0; k < WIDTH; k++) {
            float hit = i * WIDTH + k == target ? o.sum : 0.0F;
            d.at[k] = bn_to<To>((expf(z.at[k] - o.most) - hit) * factor);
        }
        out[i] = d;
    }
}

template <class To>
static void launch_soften(bn_cuda *cuda, const strip_rows *p, void *dlogits, int rows)
{
    void (*four)(const strip_rows, To *) = soften<To, 4>;
    void (*one)(const strip_rows, To *) = soften<To, 1>;
    BN_LAUNCH(cuda, (p->vocabulary % 4 == 0 ? four : one), static_cast<unsigned>(rows), THREADS, 0,
              *p, static_cast<To *>(dlogits));
}

/* One call. */
struct head_pass {
    bn_cuda *cuda;
    const bn_head_args *args;
    bn_dtype format;  /* of the products */
    const void *head; /* [V, C] in format */
    float *logits;    /* [strip, V]; for an f32 head with gradients they lie in dlogits */
    char *dlogits;    /* [chunk, V] in format; NULL without gradients */
    void *rounded;    /* [chunk, C] x in format; NULL where it has it */
    const char *x;    /* [chunk, C] in format, of the chunk at hand */
    int strip, chunk; /* rows */
};

static size_t area(int rows, int cols)
{
    return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static size_t padded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* Rows of `row_bytes` that fit into `bytes`: whole steps, at least one, at most all. */
static int rows_in(size_t bytes, size_t row_bytes, int step, int all)
{
    size_t steps = bytes / row_bytes / static_cast<size_t>(step);
    size_t rows = (steps > 0 ? steps : 1) * static_cast<size_t>(step);
    return rows < static_cast<size_t>(all) ? static_cast<int>(rows) : all;
}

static bool prepare(head_pass *p)
{
    const bn_weight *head = p->args->head;
    bool backward = p->args->dx.data != nullptr, rounds = p->args->x.dtype != p->format;
    bool apart = p->format != BN_F32 || !backward;
    int rows = p->args->x.rows, vocabulary = head->rows;
    p->strip =
        rows_in(STRIP_BYTES, area(vocabulary, sizeof(float)), ROWS_STEP, least(rows, STRIP_ROWS));
    p->chunk = backward ? rows_in(CHUNK_BYTES, vocabulary * bn_dtype_bytes(p->format), p->strip,
                                  least(rows, CHUNK_ROWS))
                        : p->strip;
    size_t logit_bytes = apart ? padded(area(p->strip, vocabulary) * sizeof(float)) : 0;
    size_t slope_bytes =
        backward ? padded(area(p->chunk, vocabulary) * bn_dtype_bytes(p->format)) : 0;
    size_t x_bytes = rounds ? area(p->chunk, head->cols) * bn_dtype_bytes(p->format) : 0;
    char *memory = static_cast<char *>(
        bn_cuda_scratch(p->cuda, BN_CUDA_SLOT_OP, logit_bytes + slope_bytes + x_bytes));
    if (!memory) return false;
    p->logits = apart ? reinterpret_cast<float *>(memory) : nullptr;
    p->dlogits = backward ? memory + logit_bytes : nullptr;
    p->rounded = rounds ? memory + logit_bytes + slope_bytes : nullptr;
    p->head = p->format == BN_F32 ? head->master : bn_cuda_form_of(head).values;
    return true;
}

/* x of the rows from `start` on, in the format of the products. */
static void take_x(head_pass *p, int start, int rows)
{
    bn_act x = p->args->x;
    const char *from =
        static_cast<const char *>(x.data) + area(start, x.cols) * bn_dtype_bytes(x.dtype);
    p->x = from;
    if (!p->rounded) return;
    bn_cuda_elements elements = {from, x.dtype, rows, x.cols, nullptr};
    bn_cuda_convert(p->cuda, p->rounded, p->format, &elements);
    p->x = static_cast<const char *>(p->rounded);
}

/* c [m, n] over k, in the format of the head; the caller says the rest. */
static bn_gemm product_of(const head_pass *p, int m, int n, int k)
{
    bn_gemm product = {};
    product.dtype = p->format;
    product.m = m;
    product.n = n;
    product.k = k;
    return product;
}

/* Losses of rows `start` ... and the gradients of their logits. `at`: the strip's first row within
 * its chunk. */
static void run_strip(const head_pass *p, int start, int at, int rows)
{
    const bn_weight *head = p->args->head;
    void *dlogits =
        p->dlogits ? p->dlogits + area(at, head->rows) * bn_dtype_bytes(p->format) : nullptr;
    float *logits = p->logits ? p->logits : static_cast<float *>(dlogits);
    bn_gemm product = product_of(p, rows, head->rows, head->cols);
    product.a = p->x + area(at, head->cols) * bn_dtype_bytes(p->format);
    product.b = p->head;
    product.b_across = true;
    product.c = logits;
    bn_cuda_gemm(p->cuda, &product);
    if (bn_cuda_failed(p->cuda)) return;
    strip_rows s = {logits,     p->args->targets + start, p->args->loss + start,
                    head->rows, p->args->scale,           p->args->loss_scale};
    if (p->format == BN_F32) {
        launch_soften<float>(p->cuda, &s, dlogits, rows);
    } else {
        launch_soften<bn_bf16>(p->cuda, &s, dlogits, rows);
    }
}

/* dx = dlogits . head, dw += dlogits^T . x over a chunk. */
static void run_chunk(const head_pass *p, int start, int rows)
{
    const bn_weight *head = p->args->head;
    bn_gemm dx = product_of(p, rows, head->cols, head->rows);
    bn_gemm dw = product_of(p, head->rows, head->cols, rows);
    dx.a = p->dlogits;
    dx.b = p->head;
    dx.out = p->args->dx.dtype;
    dx.c = reinterpret_cast<char *>(p->args->dx.data) +
           area(start, head->cols) * bn_dtype_bytes(dx.out);
    dw.a = p->dlogits;
    dw.a_across = true;
    dw.b = p->x;
    dw.c = p->args->dw;
    dw.add = p->args->dw;
    bn_cuda_multiply(p->cuda, &dx);
    bn_cuda_gemm(p->cuda, &dw);
}

void bn_cuda_head_loss(void *self, const bn_head_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda) || args->x.rows == 0) return;
    head_pass p = {};
    p.cuda = cuda;
    p.args = args;
    p.format = args->head->format.kind == BN_WEIGHT_BF16 ? BN_BF16 : BN_F32;
    if (!prepare(&p)) return;
    for (int start = 0; start < args->x.rows; start += p.chunk) {
        int rows = least(p.chunk, args->x.rows - start);
        take_x(&p, start, rows);
        for (int at = 0; at < rows; at += p.strip) {
            run_strip(&p, start + at, at, least(p.strip, rows - at));
        }
        if (p.dlogits) run_chunk(&p, start, rows);
    }
}
