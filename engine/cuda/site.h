/* site.h - a norm site and its quantizer, one block a row: device code that norm.cu and glu.cu
 * share. RMSNorm (arXiv:1910.07467); absmax codes of BitNet b1.58 (arXiv:2402.17764).
 *
 * A thread owns groups of WIDTH neighbouring columns, a block apart from each other. It keeps the
 * first BN_SITE_HELD of its values in registers and reads the others, which only rows of more than
 * 3,584 have, again in every pass. So a row passes memory once, and the only barriers are
 * those of its sums. Squares are summed in double, as codes depend on their last bits.
 */
#ifndef BN_ENGINE_CUDA_SITE_H
#define BN_ENGINE_CUDA_SITE_H

#include "engine/cuda/matrix.h"

enum {
    BN_SITE_HELD = 8,
    BN_SITE_THREADS = 448, /* at most; two such blocks leave a thread 72 registers */
    BN_SITE_SPAN = 32,     /* rows of a block on the way back */
};

/* As few threads as hold a row: each has more to load at once then. */
static inline unsigned bn_site_threads(int cols)
{
    constexpr int warp_holds = static_cast<int>(BN_SITE_HELD) * BN_WARP;
    constexpr int warps_most = static_cast<int>(BN_SITE_THREADS) / BN_WARP;
    int warps = (cols + warp_holds - 1) / warp_holds;
    return static_cast<unsigned>((warps < warps_most ? warps : warps_most) * BN_WARP);
}

static inline int bn_site_spans(int rows)
{
    return (rows + BN_SITE_SPAN - 1) / BN_SITE_SPAN;
}

/* The thread's groups that it holds: visit(n, c), n-th of them, from column c on; then the others:
 * rest(c). */
template <int WIDTH, class Visit, class Rest>
static __device__ __forceinline__ void bn_site_each(int cols, Visit visit, Rest rest)
{
    int step = static_cast<int>(blockDim.x) * WIDTH, c = static_cast<int>(threadIdx.x) * WIDTH;
    BN_UNROLL for (int n = 0; n < BN_SITE_HELD; n += WIDTH, c += step)
    {
        if (c < cols) visit(n, c);
    }
    for (; c < cols; c += step) rest(c);
}

/* A row on the way forward. fetch(c) reads WIDTH of its elements from column c on, open(values,
 * fetched) makes floats of them: all reads are on their way before the first is waited for. */
template <int WIDTH, class Fetch, class Open> struct bn_site_row {
    Fetch fetch;
    Open open;
    int cols;
    float held[BN_SITE_HELD];

    __device__ __forceinline__ bn_site_row(Fetch fetcher, Open opener, int count)
        : fetch(fetcher), open(opener), cols(count)
    {
        decltype(fetch(0)) fetched[BN_SITE_HELD / WIDTH];
        bn_site_each<WIDTH>(
            cols, [&](int n, int c) { fetched[n / WIDTH] = fetch(c); }, [](int) {});
        bn_site_each<WIDTH>(
            cols, [&](int n, int) { open(held + n, fetched[n / WIDTH]); }, [](int) {});
    }

    /* visit(c, values) */
    template <class Visit> __device__ __forceinline__ void each(Visit visit) const
    {
        bn_site_each<WIDTH>(
            cols, [&](int n, int c) { visit(c, held + n); },
            [&](int c) {
                float values[WIDTH];
                open(values, fetch(c));
                visit(c, values);
            });
    }
};

struct bn_site_factors {
    float outer, inner; /* 1 where there is no such norm */
};

/* Of columns c ...; 1 without gain. */
template <int WIDTH>
static __device__ __forceinline__ void bn_site_gain(float *gain, const bn_norm_site &site, int c)
{
    BN_UNROLL for (int i = 0; i < WIDTH; i++) gain[i] = 1;
    if (site.gain) bn_load<WIDTH>(gain, site.gain + c);
}

/* y = what the site makes of x[WIDTH] with these factors. */
template <int WIDTH>
static __device__ __forceinline__ void bn_site_values(float *y, const float *x,
                                                      const bn_norm_site &site,
                                                      const bn_site_factors &f, int c)
{
    float gain[WIDTH];
    bn_site_gain<WIDTH>(gain, site, c);
    BN_UNROLL for (int i = 0; i < WIDTH; i++) y[i] = x[i] * f.outer * gain[i] * f.inner;
}

/* 1 / sqrt(mean(y^2) + eps), y what the site makes of x so far. */
template <int WIDTH, class Row>
static __device__ __forceinline__ float bn_site_factor(const Row &row, const bn_norm_site &site,
                                                       const bn_site_factors &so_far, float eps)
{
    double squares = 0;
    row.each([&](int c, const float *x) {
        float y[WIDTH];
        bn_site_values<WIDTH>(y, x, site, so_far, c);
        BN_UNROLL for (int i = 0; i < WIDTH; i++)
        {
            squares += static_cast<double>(y[i]) * static_cast<double>(y[i]);
        }
    });
    double mean = bn_block_sum(squares) / row.cols;
    return static_cast<float>(1.0 / sqrt(mean + static_cast<double>(eps)));
}

/* Codes with the row's scale and sum. */
template <int WIDTH, class Row>
static __device__ __forceinline__ void bn_site_quantize(const Row &row, const bn_norm_site &site,
                                                        const bn_site_factors &f, const bn_act &out,
                                                        int r)
{
    int8_t *codes = bn_row_of<int8_t>(out.data, r, out.cols);
    uint32_t bits = 0;
    int sum = 0;
    row.each([&](int c, const float *x) {
        float y[WIDTH];
        bn_site_values<WIDTH>(y, x, site, f, c);
        BN_UNROLL for (int i = 0; i < WIDTH; i++)
        {
            if (bn_magnitude(y[i]) > bits) bits = bn_magnitude(y[i]);
        }
    });
    float most = __uint_as_float(bn_block_max(bits));
    if (most < 1e-5F) most = 1e-5F; /* NaN stays */
    float inverse = 127.0F / most;
    row.each([&](int c, const float *x) {
        float y[WIDTH];
        int8_t code[WIDTH];
        bn_site_values<WIDTH>(y, x, site, f, c);
        BN_UNROLL for (int i = 0; i < WIDTH; i++)
        {
            code[i] = static_cast<int8_t>(bn_code(y[i] * inverse, 127.0F));
            sum += code[i];
        }
        bn_store<WIDTH>(codes + c, code);
    });
    sum = bn_block_sum(sum);
    if (threadIdx.x == 0) {
        out.scale[r] = most / 127.0F;
        out.sum[r] = sum;
    }
}

template <int WIDTH, class T, class Row>
static __device__ __forceinline__ void bn_site_round(const Row &row, const bn_norm_site &site,
                                                     const bn_site_factors &f, T *out)
{
    row.each([&](int c, const float *x) {
        float y[WIDTH];
        bn_site_values<WIDTH>(y, x, site, f, c);
        bn_store_floats<WIDTH>(out + c, y);
    });
}

/* Row r of the site's output and its stats [rows, BN_NORM_STATS]. */
template <int WIDTH, class Row>
static __device__ __forceinline__ void bn_site_forward(const Row &row, const bn_norm_site &site,
                                                       const bn_act &out, float *stats, int r)
{
    bn_site_factors f = {1, 1};
    bn_norm_site bare = site;
    bare.gain = nullptr;
    if (site.outer) f.outer = bn_site_factor<WIDTH>(row, bare, f, site.eps);
    if (site.inner) f.inner = bn_site_factor<WIDTH>(row, site, f, BN_INNER_NORM_EPS);
    if (threadIdx.x == 0) {
        stats[static_cast<size_t>(r) * BN_NORM_STATS] = f.outer;
        stats[static_cast<size_t>(r) * BN_NORM_STATS + 1] = f.inner;
    }
    switch (out.dtype) {
    case BN_F32:
        bn_site_round<WIDTH>(row, site, f, bn_row_of<float>(out.data, r, out.cols));
        break;
    case BN_BF16:
        bn_site_round<WIDTH>(row, site, f, bn_row_of<bn_bf16>(out.data, r, out.cols));
        break;
    case BN_F16:
        bn_site_round<WIDTH>(row, site, f, bn_row_of<bn_f16>(out.data, r, out.cols));
        break;
    case BN_I8:
        bn_site_quantize<WIDTH>(row, site, f, out, r);
        break;
    }
}

/* For n = z * f, f = 1/sqrt(mean(z^2) + eps):  dz = f * (dn - n * mean(dn * n)). */
struct bn_site_slopes {
    bn_site_factors factor;
    float outer_mean, inner_mean; /* of dn * n */
};

/* a = dy behind the inner norm; n = x behind the outer one but for its gain. */
template <int WIDTH>
static __device__ __forceinline__ void bn_site_behind(float *a, float *n, const float *x,
                                                      const float *dy, const bn_norm_site &site,
                                                      const bn_site_slopes &s, const float *gain)
{
    BN_UNROLL for (int i = 0; i < WIDTH; i++)
    {
        n[i] = x[i] * s.factor.outer;
        float y = n[i] * gain[i] * s.factor.inner;
        a[i] = site.inner ? s.factor.inner * fmaf(-y, s.inner_mean, dy[i]) : dy[i];
    }
}

/* The means of one row, a bn_site_pair. */
template <int WIDTH, class Row>
static __device__ __forceinline__ bn_site_slopes bn_site_means(const bn_norm_site &site,
                                                               const bn_site_factors &f,
                                                               const Row &row)
{
    bn_site_slopes s = {f, 0, 0};
    if (site.inner) {
        double sum = 0;
        row.each([&](int, int c, const float *x, const float *dy) {
            float gain[WIDTH];
            bn_site_gain<WIDTH>(gain, site, c);
            BN_UNROLL for (int i = 0; i < WIDTH; i++)
            {
                sum += static_cast<double>(dy[i] * (x[i] * f.outer * gain[i] * f.inner));
            }
        });
        s.inner_mean = static_cast<float>(bn_block_sum(sum) / row.cols);
    }
    if (site.outer) {
        double sum = 0;
        row.each([&](int, int c, const float *x, const float *dy) {
            float gain[WIDTH], a[WIDTH], n[WIDTH];
            bn_site_gain<WIDTH>(gain, site, c);
            bn_site_behind<WIDTH>(a, n, x, dy, site, s, gain);
            BN_UNROLL for (int i = 0; i < WIDTH; i++)
            {
                sum += static_cast<double>(a[i] * gain[i] * n[i]);
            }
        });
        s.outer_mean = static_cast<float>(bn_block_sum(sum) / row.cols);
    }
    return s;
}

/* dx of WIDTH columns, and in `parts` what they add to the gain's gradient. */
template <int WIDTH>
static __device__ __forceinline__ void bn_site_back(float *dx, float *parts, const float *x,
                                                    const float *dy, const bn_norm_site &site,
                                                    const bn_site_slopes &s, int c)
{
    float gain[WIDTH], n[WIDTH];
    bn_site_gain<WIDTH>(gain, site, c);
    bn_site_behind<WIDTH>(dx, n, x, dy, site, s, gain);
    BN_UNROLL for (int i = 0; i < WIDTH; i++)
    {
        parts[i] = dx[i] * n[i];
        if (site.outer) dx[i] = s.factor.outer * fmaf(-n[i], s.outer_mean, dx[i] * gain[i]);
    }
}

/* A row on the way back: as bn_site_row, with open(x, dy, fetched). */
template <int WIDTH, class Fetch, class Open> struct bn_site_pair {
    const Fetch &fetch;
    const Open &open;
    size_t start;
    int cols;
    float x[BN_SITE_HELD], dy[BN_SITE_HELD];

    __device__ __forceinline__ bn_site_pair(const Fetch &fetcher, const Open &opener, size_t first,
                                            int count)
        : fetch(fetcher), open(opener), start(first), cols(count)
    {
        decltype(fetch(start)) fetched[BN_SITE_HELD / WIDTH];
        bn_site_each<WIDTH>(
            cols, [&](int n, int c) { fetched[n / WIDTH] = fetch(start + c); }, [](int) {});
        bn_site_each<WIDTH>(
            cols, [&](int n, int) { open(x + n, dy + n, fetched[n / WIDTH]); }, [](int) {});
    }

    /* visit(n, c, x, dy): the n-th value that is held, or n < 0. */
    template <class Visit> __device__ __forceinline__ void each(Visit visit) const
    {
        bn_site_each<WIDTH>(
            cols, [&](int n, int c) { visit(n, c, x + n, dy + n); },
            [&](int c) {
                float far_x[WIDTH], far_dy[WIDTH];
                open(far_x, far_dy, fetch(start + c));
                visit(-1, c, far_x, far_dy);
            });
    }
};

/* The site's backward pass over the BN_SITE_SPAN rows of a block. fetch(i) and open(x, dy, fetched)
 * read WIDTH elements from i on, write(i, dx) takes their dx. parts[block, c], where it is not
 * NULL, is the rows' sum for the gain's gradient. */
template <int WIDTH, class Fetch, class Open, class Write>
static __device__ __forceinline__ void bn_site_backward(const bn_norm_args &args, float *parts,
                                                        const Fetch &fetch, const Open &open,
                                                        const Write &write)
{
    int first = static_cast<int>(blockIdx.x) * BN_SITE_SPAN, cols = args.x.cols;
    int last = first + BN_SITE_SPAN < args.x.rows ? first + BN_SITE_SPAN : args.x.rows;
    float sums[BN_SITE_HELD] = {};
    if (parts) parts += static_cast<size_t>(blockIdx.x) * cols;
    for (int r = first; r < last; r++) {
        size_t start = static_cast<size_t>(r) * cols;
        const float *kept = args.stats + static_cast<size_t>(r) * BN_NORM_STATS;
        bn_site_pair<WIDTH, Fetch, Open> row(fetch, open, start, cols);
        bn_site_slopes s = bn_site_means<WIDTH>(args.site, {kept[0], kept[1]}, row);
        row.each([&](int n, int c, const float *x, const float *dy) {
            float dx[WIDTH], part[WIDTH];
            bn_site_back<WIDTH>(dx, part, x, dy, args.site, s, c);
            BN_UNROLL for (int i = 0; i < WIDTH; i++)
            {
                if (n >= 0) sums[n + i] += part[i];
                if (n < 0 && parts) parts[c + i] = part[i] + (r == first ? 0 : parts[c + i]);
            }
            write(start + c, dx);
        });
    }
    if (!parts) return;
    bn_site_each<WIDTH>(
        cols, [&](int n, int c) { bn_store<WIDTH>(parts + c, sums + n); }, [](int) {});
}

/* Memory for the parts of a gain's gradient, one of each span of rows, and dgain[c] += sum_i
 * parts[i, c] in a fixed order: defined in norm.cu. NULL: no memory. */
float *bn_cuda_gain_parts(bn_cuda *cuda, const bn_mat &x);
void bn_cuda_add_gain(bn_cuda *cuda, float *dgain, const float *parts, const bn_mat &x);

#endif
