/* Plain C in blocks of 4 x 8, as kernel_portable.c. */
#include "engine/cpu/attend_f32.h"

enum { ROWS = 4, LANES = 8 };

static void product_f32(const bn_attend_product *p)
{
    const float *a = (const float *)p->a, *b = (const float *)p->b;
    float sum[ROWS][LANES];
    for (int r = 0; r < ROWS; r++) {
        const float *c = p->c + (size_t)r * p->c_row;
        for (int l = 0; l < LANES; l++) sum[r][l] = p->add ? c[l] : 0.0F;
    }
    for (size_t s = 0; s < p->steps; s++, a += p->a_step, b += p->b_step) {
        for (int r = 0; r < ROWS; r++) {
            float x = a[(size_t)r * p->a_row];
            for (int l = 0; l < LANES; l++) sum[r][l] += x * b[l];
        }
    }
    for (int r = 0; r < ROWS; r++) {
        float *c = p->c + (size_t)r * p->c_row;
        for (int l = 0; l < LANES; l++) c[l] = sum[r][l];
    }
}

#define F32                                                                                        \
    {                                                                                              \
        product_f32, weigh_f32, slope_f32, along_f32, across_f32, ROWS, LANES, 1                   \
    }
const bn_attend bn_attend_portable[2] = {F32, F32};
