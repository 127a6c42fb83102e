/* Plain C in blocks of 4 x 8 that compilers turn into whatever vectors the target has at least. */
#include <stdint.h>

#include "engine/cpu/kernel.h"

enum { MR = 4, NR = 8 };

static void run_f32(long steps, const void *a, const void *b, void *c, bool add)
{
    const float *pa = a, *pb = b;
    float *pc = c, sum[MR][NR];
    for (int i = 0; i < MR; i++) {
        for (int j = 0; j < NR; j++) sum[i][j] = add ? pc[i * NR + j] : 0.0F;
    }
    for (long s = 0; s < steps; s++, pa += MR, pb += NR) {
        for (int i = 0; i < MR; i++) {
            for (int j = 0; j < NR; j++) sum[i][j] += pa[i] * pb[j];
        }
    }
    for (int i = 0; i < MR; i++) {
        for (int j = 0; j < NR; j++) pc[i * NR + j] = sum[i][j];
    }
}

static void begin_int(int32_t *c, bool add)
{
    for (int i = 0; i < MR * NR && !add; i++) c[i] = 0;
}

/* One step: four of the reduced dimension for every row and column. */
static void step_int(const int8_t *a, const uint8_t *b, int shift, int mask, int32_t *c)
{
    for (int i = 0; i < MR; i++) {
        for (int j = 0; j < NR; j++) {
            int32_t sum = 0;
            for (int g = 0; g < 4; g++) sum += a[i * 4 + g] * (b[j * 4 + g] >> shift & mask);
            c[i * NR + j] += sum;
        }
    }
}

static void run_u8(long steps, const void *a, const void *b, void *c, bool add)
{
    const int8_t *pa = a;
    const uint8_t *pb = b;
    begin_int(c, add);
    for (long s = 0; s < steps; s++) step_int(pa + s * MR * 4, pb + s * NR * 4, 0, 255, c);
}

static void run_u2(long steps, const void *a, const void *b, void *c, bool add)
{
    const int8_t *pa = a;
    const uint8_t *pb = b;
    begin_int(c, add);
    for (long s = 0; s < steps; s++) {
        step_int(pa + s * MR * 4, pb + s / 4 * NR * 4, (int)(s % 4) * 2, 3, c);
    }
}

const bn_kernel bn_kernels_portable[BN_PRODUCT_KINDS] = {
    [BN_PRODUCT_KIND_F32] = {run_f32, MR, NR, 1, 1},
    [BN_PRODUCT_KIND_BF16] = {run_f32, MR, NR, 1, 1},
    [BN_PRODUCT_KIND_U8] = {run_u8, MR, NR, 4, 1},
    [BN_PRODUCT_KIND_U2] = {run_u2, MR, NR, 4, 4},
};
