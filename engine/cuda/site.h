/* site.h - a norm site and its quantizer, for one row that a block holds: device code that norm.cu
 * and glu.cu share. RMSNorm (arXiv:1910.07467); absmax codes of BitNet b1.58 (arXiv:2402.17764).
 *
 * A row lies in a buffer of `cols` floats, in shared memory or, when it is too long for it, in
 * scratch memory; thread t of the block owns its elements t, t + THREADS, ... so that the passes
 * need no barrier but those of their sums. Squares are summed in double.
 */
#ifndef BN_ENGINE_CUDA_SITE_H
#define BN_ENGINE_CUDA_SITE_H

#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

enum {
    BN_SITE_THREADS = 128,
    BN_SITE_SHARED_FLOATS = 12 << 10,
    BN_SITE_BLOCKS = 1024,
    BN_SITE_SPAN = 32, /* rows of a block on the way back */
};

#define BN_EACH_COLUMN(c, cols)                                                                    \
    for (int c = static_cast<int>(threadIdx.x); c < (cols); c += BN_SITE_THREADS)

/* `far` is scratch memory for the buffers of all blocks, or NULL when a block's fit shared memory.
 */
struct bn_site_rows {
    float *far;
    int rows, cols, blocks;
    size_t shared_bytes, floats; /* of a block's buffer */
};

/* blocks 0: no memory, which has stuck to the backend. */
static inline bn_site_rows bn_site_take(bn_cuda *cuda, int rows, int cols, int arrays)
{
    size_t floats = static_cast<size_t>(arrays) * static_cast<size_t>(cols);
    bn_site_rows plan = {nullptr, rows, cols, 0, floats * sizeof(float), floats};
    if (bn_cuda_failed(cuda)) return plan;
    bool fits = floats <= BN_SITE_SHARED_FLOATS;
    plan.blocks = rows;
    if (arrays > 1) plan.blocks = (rows + BN_SITE_SPAN - 1) / BN_SITE_SPAN;
    if (arrays == 1 && !fits && rows > BN_SITE_BLOCKS) plan.blocks = BN_SITE_BLOCKS;
    if (fits) return plan;
    plan.far = static_cast<float *>(bn_cuda_scratch(
        cuda, BN_CUDA_SLOT_ROWS, static_cast<size_t>(plan.blocks) * plan.shared_bytes));
    plan.shared_bytes = 0;
    if (!plan.far) plan.blocks = 0;
    return plan;
}

/* Forward: a buffer of one row; block b takes rows b, b + gridDim.x, ... */
static inline bn_site_rows bn_site_plan(bn_cuda *cuda, int rows, int cols)
{
    return bn_site_take(cuda, rows, cols, 1);
}

/* Backward: a row of x, of dy and of the gain's gradient; block b takes BN_SITE_SPAN rows. */
static inline bn_site_rows bn_site_plan_back(bn_cuda *cuda, int rows, int cols)
{
    return bn_site_take(cuda, rows, cols, 3);
}

/* The block's buffer. */
static __device__ __forceinline__ float *bn_site_buffer(const bn_site_rows &plan)
{
    BN_DYN_SHARED(float, near);
    return plan.far ? plan.far + blockIdx.x * plan.floats : near;
}

/* y = y / sqrt(mean(y^2) + eps) [* gain]; returns the factor. */
static __device__ __forceinline__ float bn_site_normalize(float *y, int cols, const float *gain,
                                                          float eps)
{
    double squares = 0;
    BN_EACH_COLUMN(c, cols) squares += static_cast<double>(y[c]) * static_cast<double>(y[c]);
    double mean = bn_block_sum(squares) / cols;
    float factor = static_cast<float>(1.0 / sqrt(mean + static_cast<double>(eps)));
    BN_EACH_COLUMN(c, cols) y[c] = y[c] * factor * (gain ? gain[c] : 1.0F);
    return factor;
}

/* The site's forward pass on the buffer; stats [BN_NORM_STATS]. */
static __device__ __forceinline__ void bn_site_forward(const bn_norm_site &site, float *y, int cols,
                                                       float *stats)
{
    float outer = 1, inner = 1;
    if (site.outer) outer = bn_site_normalize(y, cols, site.gain, site.eps);
    if (site.inner) inner = bn_site_normalize(y, cols, nullptr, BN_INNER_NORM_EPS);
    if (threadIdx.x == 0) {
        stats[0] = outer;
        stats[1] = inner;
    }
}

/* What the inner norm read: the outer norm's result, or x where there is none. */
static __device__ __forceinline__ float bn_site_outer(const bn_norm_site &site, float x,
                                                      float factor, int c)
{
    if (!site.outer) return x;
    return x * factor * (site.gain ? site.gain[c] : 1.0F);
}

/* For n = z * f, f = 1/sqrt(mean(z^2) + eps):  dz = f * (dn - n * mean(dn * n)). dy is overwritten:
 * by what reaches the outer norm's gain; dx of column c goes to write(c, dx). */
template <class Write>
static __device__ __forceinline__ void bn_site_backward(const bn_norm_site &site, const float *x,
                                                        int cols, const float *stats, float *dy,
                                                        Write write)
{
    float outer = stats[0], inner = stats[1];
    if (site.inner) {
        double sum = 0;
        BN_EACH_COLUMN(c, cols)
        {
            float n = bn_site_outer(site, x[c], outer, c) * inner;
            sum += static_cast<double>(dy[c]) * static_cast<double>(n);
        }
        double mean = bn_block_sum(sum) / cols;
        BN_EACH_COLUMN(c, cols)
        {
            double n = static_cast<double>(bn_site_outer(site, x[c], outer, c) * inner);
            dy[c] = static_cast<float>(static_cast<double>(inner) *
                                       (static_cast<double>(dy[c]) - n * mean));
        }
    }
    double sum = 0;
    BN_EACH_COLUMN(c, cols)
    {
        float dn = dy[c] * (site.gain ? site.gain[c] : 1.0F);
        sum += static_cast<double>(dn) * static_cast<double>(x[c] * outer);
    }
    double mean = site.outer ? bn_block_sum(sum) / cols : 0;
    BN_EACH_COLUMN(c, cols)
    {
        double dn = static_cast<double>(dy[c] * (site.gain ? site.gain[c] : 1.0F));
        double n = static_cast<double>(x[c] * outer);
        write(c, site.outer ? static_cast<float>(static_cast<double>(outer) * (dn - n * mean))
                            : dy[c]);
    }
}

/* The site's backward pass over a block's rows, each read once: x of element i is load(i), dx of it
 * goes to write(i, dx). parts[block, c], where it is not NULL, is their sum for the gain's
 * gradient.
 */
template <class Load, class Write>
static __device__ __forceinline__ void bn_site_backward_rows(const bn_norm_site &site,
                                                             const bn_site_rows &plan,
                                                             const float *stats, const float *dys,
                                                             float *parts, Load load, Write write)
{
    int cols = plan.cols, first = static_cast<int>(blockIdx.x) * BN_SITE_SPAN;
    int last = first + BN_SITE_SPAN < plan.rows ? first + BN_SITE_SPAN : plan.rows;
    float *x = bn_site_buffer(plan), *dy = x + cols, *gain = dy + cols;
    BN_EACH_COLUMN(c, cols) gain[c] = 0;
    for (int r = first; r < last; r++) {
        size_t start = static_cast<size_t>(r) * cols;
        const float *kept = stats + static_cast<size_t>(r) * BN_NORM_STATS;
        BN_EACH_COLUMN(c, cols)
        {
            x[c] = load(start + c);
            dy[c] = dys[start + c];
        }
        bn_site_backward(site, x, cols, kept, dy,
                         [&](int c, float value) { write(start + c, value); });
        float outer = kept[0];
        BN_EACH_COLUMN(c, cols) gain[c] += dy[c] * (x[c] * outer);
    }
    if (!parts) return;
    parts += static_cast<size_t>(blockIdx.x) * cols;
    BN_EACH_COLUMN(c, cols) parts[c] = gain[c];
}

template <class T>
static __device__ __forceinline__ void bn_site_round(const bn_act &out, int r, const float *y)
{
    T *to = static_cast<T *>(out.data) + static_cast<size_t>(r) * out.cols;
    BN_EACH_COLUMN(c, out.cols) to[c] = bn_to<T>(y[c]);
}

/* Codes with the row's scale and sum. */
static __device__ __forceinline__ void bn_site_quantize(const bn_act &out, int r, const float *y)
{
    int8_t *codes = static_cast<int8_t *>(out.data) + static_cast<size_t>(r) * out.cols;
    uint32_t bits = 0;
    int sum = 0;
    BN_EACH_COLUMN(c, out.cols)
    {
        if (bn_magnitude(y[c]) > bits) bits = bn_magnitude(y[c]);
    }
    float most = __uint_as_float(bn_block_max(bits));
    if (most < 1e-5F) most = 1e-5F; /* NaN stays */
    float inverse = 127.0F / most;
    BN_EACH_COLUMN(c, out.cols)
    {
        int code = static_cast<int>(bn_code(y[c] * inverse, 127.0F));
        codes[c] = static_cast<int8_t>(code);
        sum += code;
    }
    sum = bn_block_sum(sum);
    if (threadIdx.x == 0) {
        out.scale[r] = most / 127.0F;
        out.sum[r] = sum;
    }
}

/* Row r of the site's output from the buffer. */
static __device__ __forceinline__ void bn_site_write(const bn_act &out, int r, const float *y)
{
    switch (out.dtype) {
    case BN_F32:
        bn_site_round<float>(out, r, y);
        break;
    case BN_BF16:
        bn_site_round<bn_bf16>(out, r, y);
        break;
    case BN_F16:
        bn_site_round<bn_f16>(out, r, y);
        break;
    case BN_I8:
        bn_site_quantize(out, r, y);
        break;
    }
}

/* Memory for the parts of a gain's gradient, and dgain[c] += sum_i parts[i, c] in a fixed order:
 * defined in norm.cu. NULL: no memory. */
float *bn_cuda_gain_parts(bn_cuda *cuda, const bn_site_rows *plan);
void bn_cuda_add_gain(bn_cuda *cuda, float *dgain, const float *parts, const bn_site_rows *plan);

#endif
