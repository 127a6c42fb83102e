/* Rotary embedding (arXiv:2104.09864), half-split: element i of a head pairs with i + dim/2. */
#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

enum { THREADS = 128 };

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

/* One block a row; sign is -1 for the backward pass. */
static __global__ void rotate(float *x, const turn *angles, int half, int heads, int seq,
                              float sign)
{
    size_t row = blockIdx.x;
    const turn *angle = angles + row % static_cast<unsigned>(seq) * half;
    float *all = x + row * heads * 2 * half;
    for (int n = static_cast<int>(threadIdx.x); n < heads * half; n += THREADS) {
        int i = n % half;
        float *pair = all + n + (n - i); /* of head n / half */
        float a = pair[0], b = pair[half], sine = sign * angle[i].sine;
        pair[0] = a * angle[i].cosine - b * sine;
        pair[half] = b * angle[i].cosine + a * sine;
    }
}

static turn *angles_of(bn_cuda *cuda, const bn_rope_args *args)
{
    bn_cuda_angles want = {args->dim, args->seq, args->theta}, *have = &cuda->rope;
    int count = args->seq * (args->dim / 2);
    bool fits = have->dim == want.dim && have->seq == want.seq && have->theta == want.theta;
    turn *angles = static_cast<turn *>(
        bn_cuda_scratch(cuda, BN_CUDA_SLOT_ANGLES, static_cast<size_t>(count) * sizeof(turn)));
    if (!angles || fits) return angles;
    if (cuda->recording < 0) cuda->generation++; /* graphs may want what was there before */
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
    BN_LAUNCH(cuda, rotate, static_cast<unsigned>(args->x.rows), THREADS, 0, args->x.data, angles,
              args->dim / 2, args->heads, args->seq, args->inverse ? -1.0F : 1.0F);
}
