/* AdamW: Adam (arXiv:1412.6980) with decoupled weight decay (arXiv:1711.05101), and the sums that a
 * step is decided by. Sums are by fixed pieces, in double. */
#include <cmath>

#include "engine/cuda/matrix.h"
#include "engine/cuda/piece.h"

/* Each block sums one piece: the order does not depend on the device. */
template <bool SQUARED>
static __global__ void __launch_bounds__(BN_PIECE_THREADS)
    sum_pieces(double *parts, const float *x, size_t count, size_t piece)
{
    size_t first = blockIdx.x * piece, last = first + piece < count ? first + piece : count;
    double sum = 0;
    for (size_t i = first + threadIdx.x; i < last; i += BN_PIECE_THREADS) {
        double value = static_cast<double>(x[i]);
        sum += SQUARED ? value * value : value;
    }
    sum = bn_block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

static __global__ void __launch_bounds__(BN_PIECE_THREADS)
    add_parts(double *out, const double *parts, unsigned count)
{
    double sum = 0;
    for (unsigned i = threadIdx.x; i < count; i += BN_PIECE_THREADS) sum += parts[i];
    sum = bn_block_sum(sum);
    if (threadIdx.x == 0) *out += sum;
}

enum { SUM_PIECE = 1 << 14 };

template <bool SQUARED>
static void launch_sum(bn_cuda *cuda, double *out, const float *x, size_t count)
{
    void (*kernel)(double *, const float *, size_t, size_t) = sum_pieces<SQUARED>;
    size_t piece = SUM_PIECE, pieces = (count + piece - 1) / piece;
    if (count == 0) return;
    double *parts =
        static_cast<double *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_PARTS, pieces * sizeof(double)));
    if (!parts) return;
    unsigned blocks = static_cast<unsigned>(pieces);
    BN_LAUNCH(cuda, kernel, blocks, BN_PIECE_THREADS, 0, parts, x, count, piece);
    BN_LAUNCH(cuda, add_parts, 1, BN_PIECE_THREADS, 0, out, parts, blocks);
}

void bn_cuda_sum(void *self, double *out, const float *x, size_t count)
{
    launch_sum<false>(static_cast<bn_cuda *>(self), out, x, count);
}

void bn_cuda_sum_squares(void *self, double *out, const float *x, size_t count)
{
    launch_sum<true>(static_cast<bn_cuda *>(self), out, x, count);
}

static __global__ void decide(bn_steps *steps, bn_step_rule rule)
{
    bn_steps_decide(steps, &rule);
}

void bn_cuda_decide(void *self, bn_steps *steps, const bn_step_rule *rule)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (!bn_cuda_failed(cuda)) BN_LAUNCH(cuda, decide, 1, 1, 0, steps, *rule);
}

/* The rates as a thread uses them: m_hat = m * of_m, v_hat = v * of_v. */
struct factors {
    float of_gradient, of_m, of_v, lr, decay;
};

static __device__ __forceinline__ factors factors_of(const bn_adamw_args &a)
{
    const bn_adamw_rates *r = a.rates;
    return {static_cast<float>(r->factor), static_cast<float>(1 / r->correction1),
            static_cast<float>(1 / r->correction2), r->lr, a.decays ? r->decay : 0.0F};
}

/* WIDTH new values of the parameters from i on. */
template <int WIDTH>
static __device__ __forceinline__ void step_values(const bn_adamw_args &a, const factors &f,
                                                   size_t i, float *p)
{
    float g[WIDTH], m[WIDTH], v[WIDTH];
    bn_load<WIDTH>(g, a.grad + i);
    bn_load<WIDTH>(m, a.m + i);
    bn_load<WIDTH>(v, a.v + i);
    BN_UNROLL for (int k = 0; k < WIDTH; k++)
    {
        float slope = g[k] * f.of_gradient;
        m[k] = a.beta1 * m[k] + (1 - a.beta1) * slope;
        v[k] = a.beta2 * v[k] + (1 - a.beta2) * slope * slope;
        float step = m[k] * f.of_m / (sqrtf(v[k] * f.of_v) + a.eps);
        p[k] -= f.lr * (step + f.decay * p[k]);
    }
    bn_store<WIDTH>(a.m + i, m);
    bn_store<WIDTH>(a.v + i, v);
    bn_store<WIDTH>(a.param + i, p);
}

/* One piece of the tensor, and what its scale is made of from the new values. */
template <int WIDTH>
static __global__ void __launch_bounds__(BN_PIECE_THREADS)
    update(bn_adamw_args a, bn_cuda_piece *pieces)
{
    size_t first = static_cast<size_t>(blockIdx.x) * BN_CUDA_PIECE;
    size_t last = first + BN_CUDA_PIECE < a.count ? first + BN_CUDA_PIECE : a.count;
    bool good = !a.rates->skip;
    factors f = factors_of(a);
    bn_cuda_piece mine = {0, 0, 0};
    const float none[WIDTH] = {};
    for (size_t i = first + threadIdx.x * WIDTH; i < last; i += BN_PIECE_THREADS * WIDTH) {
        float p[WIDTH];
        bn_load<WIDTH>(p, a.param + i);
        if (good) step_values<WIDTH>(a, f, i, p);
        bn_store<WIDTH>(a.grad + i, none);
        BN_UNROLL for (int k = 0; k < WIDTH; k++)
        {
            if (pieces) bn_piece_add(&mine, p[k]);
        }
    }
    if (pieces) bn_piece_write(&pieces[blockIdx.x], mine);
}

/* The tensor as one row. */
static bool is_wide(const bn_adamw_args *a)
{
    int rest = static_cast<int>(a->count % BN_WIDE);
    return bn_rows_are_wide(a->param, BN_F32, rest) && bn_rows_are_wide(a->grad, BN_F32, rest) &&
           bn_rows_are_wide(a->m, BN_F32, rest) && bn_rows_are_wide(a->v, BN_F32, rest);
}

void bn_cuda_adamw(void *self, const bn_adamw_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda) || args->count == 0) return;
    bn_cuda_piece *pieces = args->weight ? bn_cuda_pieces(cuda, args->weight) : nullptr;
    if (bn_cuda_failed(cuda)) return;
    unsigned blocks = static_cast<unsigned>((args->count + BN_CUDA_PIECE - 1) / BN_CUDA_PIECE);
    void (*kernel)(bn_adamw_args, bn_cuda_piece *) = is_wide(args) ? update<BN_WIDE> : update<1>;
    BN_LAUNCH(cuda, kernel, blocks, BN_PIECE_THREADS, 0, *args, pieces);
    if (args->weight) bn_cuda_form_make(cuda, args->weight, pieces);
}
