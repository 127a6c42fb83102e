/* RMSNorm (arXiv:1910.07467) ending in a quantizer whose gradient passes straight through: one
 * block a row, read once and written once. */
#include "engine/cuda/site.h"

enum { GAIN_COLUMNS = BN_WARP, GAIN_LINES = 8, AT_ONCE = 8 };

static __global__ void __launch_bounds__(BN_SITE_THREADS)
    forward_rows(bn_norm_args args, bn_site_rows plan)
{
    float *y = bn_site_buffer(plan);
    for (int r = static_cast<int>(blockIdx.x); r < plan.rows; r += static_cast<int>(gridDim.x)) {
        const float *x = args.x.data + static_cast<size_t>(r) * plan.cols;
        BN_EACH_COLUMN(c, plan.cols) y[c] = x[c];
        bn_site_forward(args.site, y, plan.cols,
                        args.stats + static_cast<size_t>(r) * BN_NORM_STATS);
        bn_site_write(args.out, r, y);
    }
}

void bn_cuda_norm_forward(void *self, const bn_norm_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_site_rows plan = bn_site_plan(cuda, args->x.rows, args->x.cols);
    if (plan.blocks == 0) return;
    BN_LAUNCH(cuda, forward_rows, plan.blocks, BN_SITE_THREADS, plan.shared_bytes, *args, plan);
}

static __global__ void __launch_bounds__(BN_SITE_THREADS)
    backward_rows(bn_norm_args args, bn_norm_grads grads, bn_site_rows plan, float *parts)
{
    const float *x = args.x.data;
    float *dx = grads.dx.data;
    bool add = grads.add;
    bn_site_backward_rows(
        args.site, plan, args.stats, grads.dy.data, parts, [=](size_t i) { return x[i]; },
        [=](size_t i, float value) { dx[i] = add ? dx[i] + value : value; });
}

void bn_cuda_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_site_rows plan = bn_site_plan_back(cuda, args->x.rows, args->x.cols);
    float *parts = grads->dgain ? bn_cuda_gain_parts(cuda, &plan) : nullptr;
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, backward_rows, plan.blocks, BN_SITE_THREADS, plan.shared_bytes, *args, *grads,
              plan, parts);
    if (parts) bn_cuda_add_gain(cuda, grads->dgain, parts, &plan);
}

/* Line y of a block sums parts y, y + GAIN_LINES, ...; the lines are then summed in their order. */
static __global__ void __launch_bounds__(GAIN_COLUMNS *GAIN_LINES)
    add_gain_parts(float *dgain, const float *parts, int count, int cols)
{
    BN_SHARED(double, lines, GAIN_COLUMNS *GAIN_LINES);
    int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
    int c = static_cast<int>(blockIdx.x) * GAIN_COLUMNS + x;
    double sum = 0;
    for (int i = y; c < cols && i < count; i += GAIN_LINES * AT_ONCE) {
        float some[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++) {
            int part = i + k * GAIN_LINES;
            some[k] = part < count ? parts[static_cast<size_t>(part) * cols + c] : 0.0F;
        }
        for (int k = 0; k < AT_ONCE; k++) sum += static_cast<double>(some[k]);
    }
    lines[y * GAIN_COLUMNS + x] = sum;
    __syncthreads();
    if (y != 0 || c >= cols) return;
    sum = static_cast<double>(dgain[c]);
    for (int i = 0; i < GAIN_LINES; i++) sum += lines[i * GAIN_COLUMNS + x];
    dgain[c] = static_cast<float>(sum);
}

float *bn_cuda_gain_parts(bn_cuda *cuda, const bn_site_rows *plan)
{
    size_t count = static_cast<size_t>(plan->blocks) * static_cast<size_t>(plan->cols);
    return static_cast<float *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_PARTS, count * sizeof(float)));
}

void bn_cuda_add_gain(bn_cuda *cuda, float *dgain, const float *parts, const bn_site_rows *plan)
{
    int blocks = (plan->cols + GAIN_COLUMNS - 1) / GAIN_COLUMNS;
    BN_LAUNCH(cuda, add_gain_parts, blocks, dim3(GAIN_COLUMNS, GAIN_LINES), 0, dgain, parts,
              plan->blocks, plan->cols);
}
