/* The gated unit with its norm site and quantizer: one block a row; h is never in memory. */
#include "engine/cuda/gate.h"
#include "engine/cuda/site.h"

template <class T, int WIDTH> struct gates_at {
    bn_vector<T, WIDTH> gate, up;
};

/* h of these gates and ups. */
template <class T, int WIDTH>
static __device__ __forceinline__ void open_gates(float *h, const gates_at<T, WIDTH> &from,
                                                  bool relu2)
{
    BN_UNROLL for (int k = 0; k < WIDTH; k++)
    {
        h[k] = bn_activate(bn_from(from.gate.at[k]), relu2).value * bn_from(from.up.at[k]);
    }
}

template <class T, int WIDTH>
static __global__ void __launch_bounds__(BN_SITE_THREADS, 1) forward_row(bn_glu_args args)
{
    using both = gates_at<T, WIDTH>;
    int r = static_cast<int>(blockIdx.x), cols = args.gate.cols;
    bool relu2 = args.relu2;
    const T *gates = bn_row_of<T>(args.gate.data, r, cols);
    const T *ups = bn_row_of<T>(args.up.data, r, cols);
    auto fetch = [=](int c) { return both{bn_fetch<WIDTH>(gates + c), bn_fetch<WIDTH>(ups + c)}; };
    auto open = [=](float *h, const both &from) { open_gates(h, from, relu2); };
    bn_site_row<WIDTH, decltype(fetch), decltype(open)> row(fetch, open, cols);
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

template <class T, int WIDTH> struct slopes_at {
    gates_at<T, WIDTH> gates;
    bn_vector<T, WIDTH> dy;
};

/* The site alone, whose x is h. */
static bn_norm_args site_of(const bn_glu_args *args)
{
    bn_norm_args site = {};
    site.site = args->site;
    site.x = args->gate;
    site.stats = args->stats;
    return site;
}

/* dgate and dup may lie on gate and up: a thread reads an element for the last time, then from the
 * first-level cache, before it writes it. */
template <class T, int WIDTH>
static __global__ void __launch_bounds__(BN_SITE_THREADS, sizeof(T) == 2 && WIDTH > 1 ? 2 : 1)
    backward_rows(bn_norm_args site, bn_glu_args args, bn_glu_grads grads, float *parts)
{
    using all = slopes_at<T, WIDTH>;
    bool relu2 = args.relu2;
    const T *gates = bn_row_of<T>(args.gate.data, 0, 0), *ups = bn_row_of<T>(args.up.data, 0, 0);
    const T *dys = bn_row_of<T>(grads.dy.data, 0, 0);
    T *dgates = bn_row_of<T>(grads.dgate.data, 0, 0), *dups = bn_row_of<T>(grads.dup.data, 0, 0);
    bn_site_backward<WIDTH>(
        site, parts,
        [=](size_t i) {
            return all{{bn_fetch<WIDTH>(gates + i), bn_fetch<WIDTH>(ups + i)},
                       bn_fetch<WIDTH>(dys + i)};
        },
        [=](float *h, float *dy, const all &from) {
            open_gates(h, from.gates, relu2);
            bn_open(dy, from.dy);
        },
        [=](size_t i, const float *dh) {
            float gate[WIDTH], up[WIDTH];
            bn_vector<T, WIDTH> left = bn_fetch<WIDTH>(gates + i);
            bn_open(up, bn_fetch<WIDTH>(ups + i));
            BN_UNROLL for (int k = 0; k < WIDTH; k++)
            {
                bn_slope act = bn_activate(bn_from(left.at[k]), relu2);
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
        void (*kernel)(bn_norm_args, bn_glu_args, bn_glu_grads, float *) =
            wide ? backward_rows<T, BN_WIDE> : backward_rows<T, 1>;
        BN_LAUNCH(cuda, kernel, static_cast<unsigned>(bn_site_spans(args->gate.rows)),
                  bn_site_threads(args->gate.cols), 0, site_of(args), *args, *grads, parts);
    });
    if (parts) bn_cuda_add_gain(cuda, grads->dgain, parts, args->gate);
}
