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
        bn_site_forward(args.site, h, plan.cols,
                        args.stats + static_cast<size_t>(r) * BN_NORM_STATS);
        bn_site_write(args.out, r, h);
    }
}

void bn_cuda_glu_forward(void *self, const bn_glu_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_site_rows plan = bn_site_plan(cuda, args->gate.rows, args->gate.cols);
    if (plan.blocks == 0) return;
    BN_LAUNCH(cuda, forward_rows, plan.blocks, BN_SITE_THREADS, plan.shared_bytes, *args, plan);
}

/* dgate and dup may lie on gate and up: what a thread reads there it reads before it writes. */
static __global__ void __launch_bounds__(BN_SITE_THREADS)
    backward_rows(bn_glu_args args, bn_glu_grads grads, bn_site_rows plan, float *parts)
{
    bool relu2 = args.relu2;
    const float *gates = args.gate.data, *ups = args.up.data;
    float *dgate = grads.dgate.data, *dup = grads.dup.data;
    bn_site_backward_rows(
        args.site, plan, args.stats, grads.dy.data, parts,
        [=](size_t i) { return bn_activate(gates[i], relu2).value * ups[i]; },
        [=](size_t i, float dh) {
            bn_slope act = bn_activate(gates[i], relu2);
            float up = ups[i];
            dgate[i] = dh * up * act.gradient;
            dup[i] = dh * act.value;
        });
}

void bn_cuda_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_site_rows plan = bn_site_plan_back(cuda, args->gate.rows, args->gate.cols);
    float *parts = grads->dgain ? bn_cuda_gain_parts(cuda, &plan) : nullptr;
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, backward_rows, plan.blocks, BN_SITE_THREADS, plan.shared_bytes, *args, *grads,
              plan, parts);
    if (parts) bn_cuda_add_gain(cuda, grads->dgain, parts, &plan);
}
