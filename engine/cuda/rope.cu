/* Rotary embedding (arXiv:2104.09864), half-split: element i of a head pairs with i + dim/2. */
#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

enum { THREADS = 256 };

struct turn {
    float cosine, sine;
};

/* angles[t * dim/2 + i] of position t, in double: a float angle loses a position's last bits. */
static __global__ void make_angles(turn *angles, int half, int count, double theta)
{
    int n = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (n >= count) return;
    double angle = n / half * pow(theta, -2.0 * (n % half) / (2 * half));
    angles[n] = {static_cast<float>(cos(angle)), static_cast<float>(sin(angle))};
}

/* One thread a pair; sign is -1 for the backward pass. */
static __global__ void rotate(float *x, const turn *angles, int half, int heads, int seq, int count,
                              float sign)
{
    int n = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (n >= count) return;
    int i = n % half, head = n / half % heads, row = n / half / heads;
    turn at = angles[row % seq * half + i];
    float *pair = x + (static_cast<size_t>(row) * heads + head) * 2 * half + i;
    float a = pair[0], b = pair[half], sine = sign * at.sine;
    pair[0] = a * at.cosine - b * sine;
    pair[half] = b * at.cosine + a * sine;
}

static turn *angles_of(bn_cuda *cuda, const bn_rope_args *args)
{
    bn_cuda_angles want = {args->dim, args->seq, args->theta}, *have = &cuda->rope;
    int count = args->seq * (args->dim / 2);
    bool fits = have->dim == want.dim && have->seq == want.seq && have->theta == want.theta;
    turn *angles = static_cast<turn *>(
        bn_cuda_scratch(cuda, BN_CUDA_SLOT_ANGLES, static_cast<size_t>(count) * sizeof(turn)));
    if (!angles || fits) return angles;
    BN_LAUNCH(cuda, make_angles, (count + THREADS - 1) / THREADS, THREADS, 0, angles, args->dim / 2,
              count, static_cast<double>(args->theta));
    *have = want;
    return angles;
}

void bn_cuda_rope(void *self, const bn_rope_args *args)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda) || args->dim < 2) return;
    const turn *angles = angles_of(cuda, args);
    if (!angles) return;
    int half = args->dim / 2, count = args->x.rows * args->heads * half;
    BN_LAUNCH(cuda, rotate, (count + THREADS - 1) / THREADS, THREADS, 0, args->x.data, angles, half,
              args->heads, args->seq, count, args->inverse ? -1.0F : 1.0F);
}
