/* RMSNorm (arXiv:1910.07467) ending in a quantizer whose gradient passes straight through: one
 * block a row, read once and written once. */
#include "engine/cuda/site.h"

enum { GAIN_COLUMNS = BN_WARP, GAIN_LINES = 8, AT_ONCE = 8 };

template <class T, int WIDTH>
static __global__ void __launch_bounds__(BN_SITE_THREADS, 1) forward_row(bn_norm_args args)
{
    int r = static_cast<int>(blockIdx.x), cols = args.x.cols;
    const T *x = bn_row_of<T>(args.x.data, r, cols);
    auto fetch = [=](int c) { return bn_fetch<WIDTH>(x + c); };
    auto open = [](float *values, const bn_vector<T, WIDTH> &from) { bn_open(values, from); };
    bn_site_row<WIDTH, decltype(fetch), decltype(open)> row(fetch, open, cols);
    bn_site_forward<WIDTH>(row, args.site, args.out, args.stats, r);
}

void bn_cuda_norm_forward(void *self, const bn_norm_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    bool wide = bn_mat_is_wide(args->x) &&
                bn_rows_are_wide(args->out.data, args->out.dtype, args->out.cols) &&
                bn_rows_are_wide(args->site.gain, BN_F32, args->x.cols);
    bn_with_type(args->x.dtype, [=](auto zero) {
        using T = decltype(zero);
        void (*kernel)(bn_norm_args) = wide ? forward_row<T, BN_WIDE> : forward_row<T, 1>;
        BN_LAUNCH(cuda, kernel, static_cast<unsigned>(args->x.rows), bn_site_threads(args->x.cols),
                  0, *args);
    });
}

template <class X, class DY, int WIDTH> struct slopes_at {
    bn_vector<X, WIDTH> x;
    bn_vector<DY, WIDTH> dy;
};

template <class X, class DY, int WIDTH>
static __global__ void __launch_bounds__(BN_SITE_THREADS, 1)
    backward_rows(bn_norm_args args, bn_norm_grads grads, float *parts)
{
    using both = slopes_at<X, DY, WIDTH>;
    const X *xs = bn_row_of<X>(args.x.data, 0, 0);
    const DY *dys = bn_row_of<DY>(grads.dy.data, 0, 0);
    bn_site_backward<WIDTH>(
        args, parts,
        [=](size_t i) {
            return both{bn_fetch<WIDTH>(xs + i), bn_fetch<WIDTH>(dys + i)};
        },
        [](float *x, float *dy, const both &from) {
            bn_open(x, from.x);
            bn_open(dy, from.dy);
        },
        [&](size_t i, float *dx) { bn_mat_store<WIDTH>(grads.dx, i, dx, grads.add); });
}

void bn_cuda_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    float *parts = grads->dgain ? bn_cuda_gain_parts(cuda, args->x) : nullptr;
    if (bn_cuda_failed(cuda)) return;
    bool wide = bn_mat_is_wide(args->x) && bn_mat_is_wide(grads->dy) && bn_mat_is_wide(grads->dx) &&
                bn_rows_are_wide(args->site.gain, BN_F32, args->x.cols);
    bn_with_type(args->x.dtype, [=](auto x) {
        bn_with_type(grads->dy.dtype, [=](auto dy) {
            using X = decltype(x);
            using DY = decltype(dy);
            void (*kernel)(bn_norm_args, bn_norm_grads, float *) =
                wide ? backward_rows<X, DY, BN_WIDE> : backward_rows<X, DY, 1>;
            BN_LAUNCH(cuda, kernel, static_cast<unsigned>(bn_site_spans(args->x.rows)),
                      bn_site_threads(args->x.cols), 0, *args, *grads, parts);
        });
    });
    if (parts) bn_cuda_add_gain(cuda, grads->dgain, parts, args->x);
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

float *bn_cuda_gain_parts(bn_cuda *cuda, const bn_mat &x)
{
    size_t count = static_cast<size_t>(bn_site_spans(x.rows)) * static_cast<size_t>(x.cols);
    return static_cast<float *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_PARTS, count * sizeof(float)));
}

void bn_cuda_add_gain(bn_cuda *cuda, float *dgain, const float *parts, const bn_mat &x)
{
    int blocks = (x.cols + GAIN_COLUMNS - 1) / GAIN_COLUMNS;
    BN_LAUNCH(cuda, add_gain_parts, blocks, dim3(GAIN_COLUMNS, GAIN_LINES), 0, dgain, parts,
              bn_site_spans(x.rows), x.cols);
}
