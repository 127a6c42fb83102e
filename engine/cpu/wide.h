/* wide.h - values that are kept in 16 bits or as codes, as floats while an op works on them.
 *
 * Floats are used where they lie; anything else goes by way of a buffer of the caller's, a row or
 * less, that stays in the first-level cache.
 */
#ifndef BN_ENGINE_CPU_WIDE_H
#define BN_ENGINE_CPU_WIDE_H

#include "engine/cpu/rows.h"
#include "engine/ops.h"

/* `count` neighbours as floats: `from` itself when it holds floats, else `to`. */
const float *bn_wide_read(const bn_rows *rows, bn_dtype dtype, const void *from, float *to,
                          size_t count);

/* Elements i ... i + count - 1 of a matrix: where they lie, or in `to`. */
float *bn_wide_get(const bn_rows *rows, const bn_mat *m, size_t i, float *to, size_t count);

/* Where floats for elements i ... are to be made: in the matrix, or `to`. bn_wide_put then brings
 * them into the matrix, rounded, if they are not there. */
float *bn_wide_place(const bn_mat *m, size_t i, float *to);
void bn_wide_put(const bn_rows *rows, const bn_mat *m, size_t i, const float *from, size_t count);

#endif
