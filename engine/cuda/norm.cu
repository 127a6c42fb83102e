/* RMSNorm (arXiv:1910.07467) ending in a quantizer whose gradient passes straight through: one
 * block a row, read once and written once. */
#include "engine/cuda/gate.h"
#include "engine/cuda/site.h"

enum { GAIN_ROWS = 64, GAIN_THREADS = 128 };

static __global__ void __launch_bounds__(BN_SITE_THREADS)
    forward_rows(bn_norm_args args, bn_site_rows plan)
{
    float *y = bn_site_buffer(plan);
    for (int r = static_cast<int>(blockIdx.x); r < plan.rows; r += static_cast<int>(gridDim.x)) {
        const float *x = args.x.data + static_cast<size_t>(r) * plan.cols;
        BN_EACH_COLUMN(c, plan.cols) y[c] = x[c];
        bn_site_forward(args.site, y, plan.cols, args.stats + r * BN_NORM_STATS);
        bn_site_write(args.out, r, y);
    }
}

void bn_cuda_norm_forward(void *self, const bn_norm_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_site_rows plan = bn_site_plan(cuda, args->x.rows, args->x.cols);
    if (plan.rows == 0) return;
    BN_LAUNCH(cuda, forward_rows, plan.blocks, BN_SITE_THREADS, plan.shared_bytes, *args, plan);
}

static __global__ void __launch_bounds__(BN_SITE_THREADS)
    backward_rows(bn_norm_args args, bn_norm_grads grads)
{
    int r = static_cast<int>(blockIdx.x), cols = args.x.cols;
    size_t start = static_cast<size_t>(r) * cols;
    float *dx = grads.dx.data + start;
    bn_site_backward(args.site, args.x.data + start, cols, args.stats + r * BN_NORM_STATS,
                     grads.dy.data + start, [=](int c, float value) { dx[c] += value; });
}

void bn_cuda_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, backward_rows, args->x.rows, BN_SITE_THREADS, 0, *args, *grads);
    if (!grads->dgain) return;
    bn_gain_terms terms = {.dy = grads->dy.data,
                           .x = args->x.data,
                           .gate = nullptr,
                           .up = nullptr,
                           .stats = args->stats,
                           .rows = args->x.rows,
                           .cols = args->x.cols,
                           .relu2 = false};
    bn_cuda_add_gain(cuda, grads->dgain, &terms);
}

/* What the outer norm read at row r, column c. */
static __device__ __forceinline__ float input_of(const bn_gain_terms &t, size_t i)
{
    return t.x ? t.x[i] : bn_activate(t.gate[i], t.relu2).value * t.up[i];
}

/* parts[block, c]: the sum over GAIN_ROWS rows. */
static __global__ void sum_gain_rows(float *parts, bn_gain_terms t)
{
    int c = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    if (c >= t.cols) return;
    int first = static_cast<int>(blockIdx.x) * GAIN_ROWS;
    int last = first + GAIN_ROWS < t.rows ? first + GAIN_ROWS : t.rows;
    double sum = 0;
    for (int r = first; r < last; r++) {
        size_t i = static_cast<size_t>(r) * t.cols + c;
        sum += static_cast<double>(t.dy[i]) *
               static_cast<double>(input_of(t, i) * t.stats[r * BN_NORM_STATS]);
    }
    parts[static_cast<size_t>(blockIdx.x) * t.cols + c] = static_cast<float>(sum);
}

static __global__ void add_gain_parts(float *dgain, const float *parts, int count, int cols)
{
    int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= cols) return;
    double sum = static_cast<double>(dgain[c]);
    for (int i = 0; i < count; i++) {
        sum += static_cast<double>(parts[static_cast<size_t>(i) * cols + c]);
    }
    dgain[c] = static_cast<float>(sum);
}

void bn_cuda_add_gain(bn_cuda *cuda, float *dgain, const bn_gain_terms *terms)
{
    int count = (terms->rows + GAIN_ROWS - 1) / GAIN_ROWS;
    int wide = (terms->cols + GAIN_THREADS - 1) / GAIN_THREADS;
    float *parts = static_cast<float *>(bn_cuda_scratch(
        cuda, BN_CUDA_SLOT_PARTS, static_cast<size_t>(count) * terms->cols * sizeof(float)));
    if (!parts) return;
    dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>(wide));
    BN_LAUNCH(cuda, sum_gain_rows, grid, GAIN_THREADS, 0, parts, *terms);
    BN_LAUNCH(cuda, add_gain_parts, wide, GAIN_THREADS, 0, dgain, parts, count, terms->cols);
}
