/* The gated unit with its norm site and quantizer: one block a row; h is never in memory. */
#include "engine/cuda/gate.h"
#include "engine/cuda/site.h"

static __global__ void __launch_bounds__(BN_SITE_THREADS)
    forward_rows(bn_glu_args args, bn_site_rows plan)
{
    float *h = bn_site_buffer(plan);
    for (int r = static_cast<int>(blockIdx.x); r < plan.rows; r += static_cast<int>(gridDim.x)) {
        const float *gate = args.gate.data + static_cast<size_t>(r) * plan.cols;
        const float *up = args.up.data + static_cast<size_t>(r) * plan.cols;
        BN_EACH_COLUMN(c, plan.cols) h[c] = bn_activate(gate[c], args.relu2).value * up[c];
        bn_site_forward(args.site, h, plan.cols, args.stats + r * BN_NORM_STATS);
        bn_site_write(args.out, r, h);
    }
}

void bn_cuda_glu_forward(void *self, const bn_glu_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_site_rows plan = bn_site_plan(cuda, args->gate.rows, args->gate.cols);
    if (plan.rows == 0) return;
    BN_LAUNCH(cuda, forward_rows, plan.blocks, BN_SITE_THREADS, plan.shared_bytes, *args, plan);
}

/* First half of the backward pass: dh of the row to the buffer, which the second half turns into
 * dgate and dup. They may lie on gate and up, so the gain's gradient is summed before. */
static __global__ void __launch_bounds__(BN_SITE_THREADS)
    backward_site(bn_glu_args args, bn_glu_grads grads, bn_site_rows plan, float *dh)
{
    float *h = bn_site_buffer(plan);
    for (int r = static_cast<int>(blockIdx.x); r < plan.rows; r += static_cast<int>(gridDim.x)) {
        size_t start = static_cast<size_t>(r) * plan.cols;
        const float *gate = args.gate.data + start, *up = args.up.data + start;
        float *to = dh + start;
        BN_EACH_COLUMN(c, plan.cols) h[c] = bn_activate(gate[c], args.relu2).value * up[c];
        bn_site_backward(args.site, h, plan.cols, args.stats + r * BN_NORM_STATS,
                         grads.dy.data + start, [=](int c, float value) { to[c] = value; });
    }
}

static __global__ void backward_gate(bn_glu_args args, bn_glu_grads grads, const float *dh,
                                     int count)
{
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= count) return;
    bn_slope act = bn_activate(args.gate.data[i], args.relu2);
    float up = args.up.data[i]; /* dgate and dup may lie on gate and up */
    grads.dgate.data[i] = dh[i] * up * act.gradient;
    grads.dup.data[i] = dh[i] * act.value;
}

/* Without a gain dy itself holds dh: each thread reads its elements before it writes them. */
void bn_cuda_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    int count = args->gate.rows * args->gate.cols;
    bn_site_rows plan = bn_site_plan(cuda, args->gate.rows, args->gate.cols);
    if (plan.rows == 0) return;
    float *dh = grads->dy.data;
    if (grads->dgain) {
        dh = static_cast<float *>(
            bn_cuda_scratch(cuda, BN_CUDA_SLOT_SUMS, static_cast<size_t>(count) * sizeof(float)));
    }
    if (!dh) return;
    BN_LAUNCH(cuda, backward_site, plan.blocks, BN_SITE_THREADS, plan.shared_bytes, *args, *grads,
              plan, dh);
    if (grads->dgain) {
        bn_gain_terms terms = {.dy = grads->dy.data,
                               .x = nullptr,
                               .gate = args->gate.data,
                               .up = args->up.data,
                               .stats = args->stats,
                               .rows = args->gate.rows,
                               .cols = args->gate.cols,
                               .relu2 = args->relu2};
        bn_cuda_add_gain(cuda, grads->dgain, &terms);
    }
    BN_LAUNCH(cuda, backward_gate, (count + BN_SITE_THREADS - 1) / BN_SITE_THREADS, BN_SITE_THREADS,
              0, *args, *grads, dh, count);
}
