/* The gated unit with its norm site and quantizer: one block a row; h is never in memory. */
#include "engine/cuda/gate.h"
#include "engine/cuda/site.h"

/* WIDTH gates and ups, both on their way before one is looked at. */
template <int WIDTH, class T>
static __device__ __forceinline__ void load_both(float *gate, float *up, const T *gates,
                                                 const T *ups)
{
    T left[WIDTH], right[WIDTH];
    bn_load<WIDTH>(left, gates);
    bn_load<WIDTH>(right, ups);
    BN_UNROLL for (int k = 0; k < WIDTH; k++)
    {
        gate[k] = bn_from(left[k]);
        up[k] = bn_from(right[k]);
    }
}

template <class T, int WIDTH>
static __global__ void __launch_bounds__(BN_SITE_THREADS) forward_row(bn_glu_args args)
{
    int r = static_cast<int>(blockIdx.x), cols = args.gate.cols;
    bool relu2 = args.relu2;
    const T *gates = bn_row_of<T>(args.gate.data, r, cols);
    const T *ups = bn_row_of<T>(args.up.data, r, cols);
    auto load = [=](int c, float *h) {
        float gate[WIDTH], up[WIDTH];
        load_both<WIDTH>(gate, up, gates + c, ups + c);
        BN_UNROLL for (int k = 0; k < WIDTH; k++) h[k] = bn_activate(gate[k], relu2).value * up[k];
    };
    bn_site_row<WIDTH, decltype(load)> row(load, cols);
    bn_site_forward<WIDTH>(row, args.site, args.out, args.stats, r);
}

void bn_cuda_glu_forward(void *self, const bn_glu_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    bool wide = bn_mat_is_wide(args->gate) && bn_mat_is_wide(args->up) &&
                bn_rows_are_wide(args->out.data, args->out.dtype, args->out.cols) &&
                bn_rows_are_wide(args->site.gain, BN_F32, args->gate.cols);
    bn_with_type(args->gate.dtype, [=](auto zero) {
        using T = decltype(zero);
        void (*kernel)(bn_glu_args) = wide ? forward_row<T, BN_WIDE> : forward_row<T, 1>;
        BN_LAUNCH(cuda, kernel, static_cast<unsigned>(args->gate.rows),
                  bn_site_threads(args->gate.cols), 0, *args);
    });
}

/* dgate and dup may lie on gate and up: a thread reads an element for the last time before it
 * writes it. */
template <class T, int WIDTH>
static __global__ void __launch_bounds__(BN_SITE_THREADS)
    backward_rows(bn_glu_args args, bn_glu_grads grads, float *parts)
{
    bool relu2 = args.relu2;
    const T *gates = bn_row_of<T>(args.gate.data, 0, 0), *ups = bn_row_of<T>(args.up.data, 0, 0);
    const T *dys = bn_row_of<T>(grads.dy.data, 0, 0);
    T *dgates = bn_row_of<T>(grads.dgate.data, 0, 0), *dups = bn_row_of<T>(grads.dup.data, 0, 0);
    bn_site_backward<WIDTH>(
        args.site, args.stats, args.gate.rows, args.gate.cols, parts,
        [=](size_t i, float *h, float *dy) {
            T slopes[WIDTH];
            float gate[WIDTH], up[WIDTH];
            bn_load<WIDTH>(slopes, dys + i);
            load_both<WIDTH>(gate, up, gates + i, ups + i);
            BN_UNROLL for (int k = 0; k < WIDTH; k++)
            {
                h[k] = bn_activate(gate[k], relu2).value * up[k];
                dy[k] = bn_from(slopes[k]);
            }
        },
        [=](size_t i, const float *dh) {
            float gate[WIDTH], up[WIDTH];
            load_both<WIDTH>(gate, up, gates + i, ups + i); /* from the first-level cache */
            BN_UNROLL for (int k = 0; k < WIDTH; k++)
            {
                bn_slope act = bn_activate(gate[k], relu2);
                gate[k] = dh[k] * up[k] * act.gradient;
                up[k] = dh[k] * act.value;
            }
            bn_store_floats<WIDTH>(dgates + i, gate);
            bn_store_floats<WIDTH>(dups + i, up);
        });
}

void bn_cuda_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    float *parts = grads->dgain ? bn_cuda_gain_parts(cuda, args->gate) : nullptr;
    if (bn_cuda_failed(cuda)) return;
    bool wide = bn_mat_is_wide(args->gate) && bn_mat_is_wide(args->up) &&
                bn_mat_is_wide(grads->dy) && bn_mat_is_wide(grads->dgate) &&
                bn_mat_is_wide(grads->dup) &&
                bn_rows_are_wide(args->site.gain, BN_F32, args->gate.cols);
    bn_with_type(args->gate.dtype, [=](auto zero) {
        using T = decltype(zero);
        void (*kernel)(bn_glu_args, bn_glu_grads, float *) =
            wide ? backward_rows<T, BN_WIDE> : backward_rows<T, 1>;
        BN_LAUNCH(cuda, kernel, static_cast<unsigned>(bn_site_spans(args->gate.rows)),
                  bn_site_threads(args->gate.cols), 0, *args, *grads, parts);
    });
    if (parts) bn_cuda_add_gain(cuda, grads->dgain, parts, args->gate);
}
