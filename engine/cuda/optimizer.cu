/* AdamW: Adam (arXiv:1412.6980) with decoupled weight decay (arXiv:1711.05101), and the norm of the
 * gradients that it clips by. Sums are by fixed pieces, in double. */
#include <cmath>

#include "engine/cuda/piece.h"

/* Each block sums one piece: the order does not depend on the device. */
static __global__ void __launch_bounds__(BN_PIECE_THREADS)
    sum_squares(double *parts, const float *x, size_t count, size_t piece)
{
    size_t first = blockIdx.x * piece, last = first + piece < count ? first + piece : count;
    double sum = 0;
    for (size_t i = first + threadIdx.x; i < last; i += BN_PIECE_THREADS) {
        sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
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

enum { SQUARES_PIECE = 1 << 14 };

void bn_cuda_sum_squares(void *self, double *out, const float *x, size_t count)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    size_t piece = SQUARES_PIECE, pieces = (count + piece - 1) / piece;
    if (count == 0) return;
    double *parts =
        static_cast<double *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_PARTS, pieces * sizeof(double)));
    if (!parts) return;
    unsigned blocks = static_cast<unsigned>(pieces);
    BN_LAUNCH(cuda, sum_squares, blocks, BN_PIECE_THREADS, 0, parts, x, count, piece);
    BN_LAUNCH(cuda, add_parts, 1, BN_PIECE_THREADS, 0, out, parts, blocks);
}

/* m_hat = m * of_m, v_hat = v * of_v. */
struct corrections {
    float of_m, of_v;
};

/* What a gradient is multiplied with; 0 * infinity is NaN, so a skipped step is asked for apart. */
static __device__ __forceinline__ float factor_of(const bn_adamw_args &a, double squares)
{
    double factor = static_cast<double>(a.grad_scale);
    double norm = sqrt(squares) * factor, clip = static_cast<double>(a.clip);
    return static_cast<float>(clip > 0 && norm > clip ? factor * (clip / norm) : factor);
}

/* One piece of the tensor, and what its scale is made of from the new values. */
static __global__ void __launch_bounds__(BN_PIECE_THREADS)
    update(bn_adamw_args a, corrections c, bn_cuda_piece *pieces)
{
    size_t first = static_cast<size_t>(blockIdx.x) * BN_CUDA_PIECE;
    size_t last = first + BN_CUDA_PIECE < a.count ? first + BN_CUDA_PIECE : a.count;
    double squares = *a.grad_squares;
    bool good = isfinite(squares);
    float factor = good ? factor_of(a, squares) : 0;
    bn_cuda_piece mine = {0, 0, 0};
    for (size_t i = first + threadIdx.x; i < last; i += BN_PIECE_THREADS) {
        float p = a.param[i];
        if (good) {
            float g = a.grad[i] * factor;
            float m = a.beta1 * a.m[i] + (1 - a.beta1) * g;
            float v = a.beta2 * a.v[i] + (1 - a.beta2) * g * g;
            float step = m * c.of_m / (sqrtf(v * c.of_v) + a.eps);
            a.m[i] = m;
            a.v[i] = v;
            p -= a.lr * (step + a.decay * p);
            a.param[i] = p;
        }
        a.grad[i] = 0;
        if (pieces) bn_piece_add(&mine, p);
    }
    if (pieces) bn_piece_write(&pieces[blockIdx.x], mine);
}

void bn_cuda_adamw(void *self, const bn_adamw_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda) || args->count == 0) return;
    bn_cuda_piece *pieces = args->weight ? bn_cuda_pieces(cuda, args->weight) : nullptr;
    if (bn_cuda_failed(cuda)) return;
    double steps = static_cast<double>(args->step);
    corrections c = {
        .of_m = static_cast<float>(1 / (1 - pow(static_cast<double>(args->beta1), steps))),
        .of_v = static_cast<float>(1 / (1 - pow(static_cast<double>(args->beta2), steps)))};
    unsigned blocks = static_cast<unsigned>((args->count + BN_CUDA_PIECE - 1) / BN_CUDA_PIECE);
    BN_LAUNCH(cuda, update, blocks, BN_PIECE_THREADS, 0, *args, c, pieces);
    if (args->weight) bn_cuda_form_make(cuda, args->weight, pieces);
}
