/* quantize.h - working forms of weights, and a finished row into an activation's format. */
#ifndef BN_ENGINE_CPU_QUANTIZE_H
#define BN_ENGINE_CPU_QUANTIZE_H

#include "engine/cpu/cpu.h"

/* What a weight's form holds: row-major values of its bn_weight_dtype, times one scale. */
const void *bn_cpu_weight_values(const bn_weight *weight);
float bn_cpu_weight_scale(const bn_weight *weight);

/* Where the 2-bit panels of a ternary or binary weight lie (ternary.h). */
void *bn_cpu_weight_panels(const bn_weight *weight);

/* AdamW knows the sum of |w| already, piece by piece of BN_CPU_PIECE elements: the scale of a
 * ternary weight takes it from there instead of reading the master once more. NULL: not known. */
enum { BN_CPU_PIECE = 1 << 14 };
void bn_cpu_weight_refresh(bn_cpu *cpu, const bn_weight *weight, double *sum_abs);

/* Row r of an activation from floats. */
void bn_cpu_act_write(const bn_rows *rows, bn_act out, int r, const float *y);

#endif
