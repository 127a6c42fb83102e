/* gemm.h - blocks of C from packed panels, and what is done with them on the way to memory.
 *
 * Work is cut into tasks that own whole blocks of C; a task walks the reduced dimension in one
 * order, so results do not depend on who runs it. The caller spreads tasks over threads.
 */
#ifndef BN_ENGINE_CPU_GEMM_H
#define BN_ENGINE_CPU_GEMM_H

#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/panel.h"

/* What becomes of a block of products P (f32, or int32 made f32 after its offset is taken off):
 *   C[r][c] = base[r][c] + (P[r][c] - offset[r]) * row_scale[r] * scale
 * offset[r] = offset_factor * row_sum[r]: unsigned operands carry their codes plus an offset, so
 * that many times the row's sum is too much. */
typedef struct bn_gemm_out {
    float *c;          /* [rows, cols] */
    const float *base; /* as c; NULL: zero; may be c itself */
    int rows, cols;
    const float *row_scale; /* [rows] or NULL: 1 */
    float scale;
    const int32_t *row_sum; /* [rows], integer kinds */
    int32_t offset_factor;  /* 0 where codes have no offset */
    bool integer;           /* P is int32 */
} bn_gemm_out;

/* One block of panels: `a_panels` panels of A that begin at row `row` of C, by `b_panels` of B that
 * begin at column `col`. Panels lie one after another, a_stride and b_stride bytes apart. A reduced
 * dimension too long for one block is cut: the later blocks' base is c. */
typedef struct bn_gemm_block {
    const bn_kernel *kernel;
    const void *a, *b;
    size_t a_stride, b_stride;
    int a_panels, b_panels;
    int row, col;
    long steps;
} bn_gemm_block;

void bn_gemm_run(const bn_gemm_block *block, const bn_gemm_out *out);

#endif
