/* panel.h - fills the kernels' panels from matrices as they lie in memory.
 *
 * A source is a row-major matrix of any element type and a fetch that turns a piece of one row into
 * the panel's elements (f32, bf16, int8 or uint8). Two ways to cut it:
 *   lanes  a panel's lanes are rows of the source, the reduced dimension runs along its columns
 *          (X and W of Y = X W^T, dY of dX = dY W)
 *   steps  the lanes are columns, the reduced dimension runs down the rows
 *          (W of dX = dY W; dY and X of dW = dY^T X)
 * What lies beyond the source is zero.
 */
#ifndef BN_ENGINE_CPU_PANEL_H
#define BN_ENGINE_CPU_PANEL_H

#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernel.h"

typedef struct bn_source bn_source;

/* Writes `count` elements of row `row` from column `col` on, converted, to out. */
typedef void bn_fetch(const bn_source *source, int row, int col, int count, void *out);

struct bn_source {
    const void *data; /* [rows, cols] */
    int rows, cols;
    bn_fetch *fetch;
    int element_bytes;      /* of what fetch writes: 4, 2 or 1 */
    const float *row_scale; /* [rows] or NULL: the f32 fetches multiply by it first */
};

/* Elements as they are. */
bn_fetch bn_fetch_4_bytes;
bn_fetch bn_fetch_2_bytes;
bn_fetch bn_fetch_1_byte;
/* f32 times its row's scale; then rounded to bf16 (ties to even); that value kept in an f32, for
 * kernels with group 1; rounded to fp16 and kept in an f32. */
bn_fetch bn_fetch_f32;
bn_fetch bn_fetch_f32_bf16;
bn_fetch bn_fetch_f32_bf16_wide;
bn_fetch bn_fetch_f32_f16_wide;
/* Exact: bf16 -> f32, fp16 -> f32, int8 -> bf16, int8 -> f32, int8 -> uint8 + 128. */
bn_fetch bn_fetch_bf16_f32;
bn_fetch bn_fetch_f16_f32;
bn_fetch bn_fetch_i8_bf16;
bn_fetch bn_fetch_i8_f32;
bn_fetch bn_fetch_i8_u8;

/* Steps that `count` of the reduced dimension take with this kernel, padding included. */
long bn_panel_steps(const bn_kernel *kernel, int count);

/* Bytes of one panel of that many lanes (mr or nr). A U2 panel is made in that many and then takes
 * a quarter of them. */
size_t bn_panel_bytes(int lanes, long steps);

/* One panel: lanes are rows first ... first + lanes - 1, steps from the start of the row. */
void bn_panel_from_lanes(int lanes, const bn_source *source, int first, long steps, void *out);

/* `panels` panels side by side: lanes are the columns from `col` on, steps run from row `row` down.
 * Panel p begins at out + p * bn_panel_bytes. */
typedef struct bn_panel_cut {
    int col, panels, row;
    long steps;
} bn_panel_cut;

void bn_panel_from_steps(int lanes, const bn_source *source, bn_panel_cut cut, void *out);

/* Packs a panel of uint8 codes 0..2 into 2 bits, four steps in one, in place; steps % 4 == 0. */
void bn_panel_pack_u2(int lanes, long steps, uint8_t *panel);

#endif
