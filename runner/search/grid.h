/* grid.h - every combination of the values, the first parameter slowest and the last one fastest.
 */
#ifndef BN_RUNNER_SEARCH_GRID_H
#define BN_RUNNER_SEARCH_GRID_H

#include "runner/search/space.h"

typedef struct bn_grid {
    const bn_space *space;
    int leads[BN_SPACE_PARAMS_MAX]; /* the axes */
    int64_t cells[BN_SPACE_PARAMS_MAX];
    int axes;
    int64_t count; /* combinations */
} bn_grid;

/* BN_EINVAL: a parameter without end of values, or more than BN_CELLS_MAX combinations. */
BN_MUST_CHECK bn_status bn_grid_init(bn_grid *grid, const bn_space *space, bn_error *err);

/* Combination number `number` (a bn_candidate; self is a bn_grid). */
void bn_grid_candidate(const void *self, int64_t number, bn_point *out);

/* Puts `numbers`, `count` of them, in an order that only the seed decides; negative ones stay in
 * front. */
void bn_grid_shuffle(int64_t *numbers, size_t count, uint64_t seed);

/* The same by a Sobol sequence: any prefix covers the grid evenly. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_grid_spread(const bn_grid *grid, int64_t *numbers, size_t count,
                                       uint64_t seed, bn_error *err);

#endif
