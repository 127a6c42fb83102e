/* norm.h - one row through a norm site, forward and backward. */
#ifndef BN_ENGINE_CPU_NORM_H
#define BN_ENGINE_CPU_NORM_H

#include "engine/cpu/cpu.h"

/* Rows that one part takes: fixed, because gains are summed part by part. */
enum { BN_CPU_ROWS_A_PART = 16 };

/* y = site(x); y may be x. stats [BN_NORM_STATS]: 1/rms of the outer and the inner norm. */
void bn_cpu_site_forward(const bn_rows *rows, const bn_norm_site *site, int cols, const float *x,
                         float *y, float *stats);

/* One row on its way back. */
typedef struct bn_site_row {
    const float *x, *stats;
    float *dy;
    float *dgain; /* += ; NULL without gain */
    float *z;     /* scratch */
} bn_site_row;

typedef struct bn_site_slope {
    float a, b;
} bn_site_slope;

/* dy becomes the gradient at the outer norm's result times its gain, and what is returned says what
 * is left to do: dx = dy * a + x * b. */
bn_site_slope bn_cpu_site_backward(const bn_rows *rows, const bn_norm_site *site, int cols,
                                   bn_site_row row);

/* Gains' gradients of each part [parts, cols] (zeroed here), and their sum onto dgain. */
float *bn_cpu_gain_parts(bn_cpu *cpu, int parts, int cols);
void bn_cpu_gain_sum(bn_cpu *cpu, float *dgain, const float *parts, int count, int cols);

#endif
