/* nearest.h - "did you mean": the valid name closest to a misspelt one. */
#ifndef BN_ENGINE_BASE_NEAREST_H
#define BN_ENGINE_BASE_NEAREST_H

#include <stddef.h>

/* The candidate with the fewest edits (insert, delete, replace, swap of neighbours) to name, or
 * NULL when none is within half of the name's length. candidates: `count` strings, each
 * `stride_bytes` after the one before, so that a name inside a table of structs can be given as it
 * stands. */
const char *bn_nearest(const char *name, const char *const *candidates, size_t count,
                       size_t stride_bytes);

#endif
