/* Rotary embedding (arXiv:2104.09864), half-split: element i of a head pairs with i + dim/2. */
#include "engine/cuda/matrix.h"

enum { THREADS = 128 };

struct alignas(8) turn {
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

/* One block a row, WIDTH pairs at a time; sign is -1 for the backward pass. */
template <class T, int WIDTH>
static __global__ void __launch_bounds__(THREADS)
    rotate(T *x, const turn *angles, int half, int heads, int seq, float sign)
{
    int row = static_cast<int>(blockIdx.x);
    const turn *angle = angles + static_cast<size_t>(row % seq) * half;
    T *all = bn_row_of<T>(x, row, heads * 2 * half);
    for (int n = static_cast<int>(threadIdx.x) * WIDTH; n < heads * half; n += THREADS * WIDTH) {
        int i = n % half;
        T *pair = all + n + (n - i); /* of head n / half */
        T first[WIDTH], second[WIDTH];
        turn by[WIDTH];
        float a[WIDTH], b[WIDTH];
        bn_load<WIDTH>(by, angle + i);
        bn_load<WIDTH>(first, pair);
        bn_load<WIDTH>(second, pair + half);
        BN_UNROLL for (int k = 0; k < WIDTH; k++)
        {
            float left = bn_from(first[k]), right = bn_from(second[k]), sine = sign * by[k].sine;
            a[k] = left * by[k].cosine - right * sine;
            b[k] = right * by[k].cosine + left * sine;
        }
        bn_store_floats<WIDTH>(pair, a);
        bn_store_floats<WIDTH>(pair + half, b);
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
    int half = args->dim / 2;
    bool wide = half % BN_WIDE == 0 && bn_mat_is_wide(args->x);
    bn_with_type(args->x.dtype, [=](auto zero) {
        using T = decltype(zero);
        void (*kernel)(T *, const turn *, int, int, int, float) =
            wide ? rotate<T, BN_WIDE> : rotate<T, 1>;
        BN_LAUNCH(cuda, kernel, static_cast<unsigned>(args->x.rows), THREADS, 0,
                  static_cast<T *>(static_cast<void *>(args->x.data)), angles, half, args->heads,
                  args->seq, args->inverse ? -1.0F : 1.0F);
    });
}
