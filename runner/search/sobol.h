/* sobol.h - a low-discrepancy sequence with Owen's scrambling: points that cover a space evenly
 * from the first one on, another set for every seed.
 *
 * Directions of Joe and Kuo (new-joe-kuo-6.21201, SIAM J. Sci. Comput. 30, 2635-2654, 2008), Gray
 * code order; the scramble is the hash of Burley (JCGT 9(4), 2020), which permutes nested digits.
 * Beyond BN_SOBOL_DIMS_MAX dimensions the coordinates are independent draws.
 */
#ifndef BN_RUNNER_SEARCH_SOBOL_H
#define BN_RUNNER_SEARCH_SOBOL_H

#include <stdint.h>

#include "runner/search/space.h"

enum { BN_SOBOL_DIMS_MAX = 32, BN_SOBOL_BITS = 32 };

typedef struct bn_sobol {
    uint32_t directions[BN_SOBOL_DIMS_MAX][BN_SOBOL_BITS];
    uint64_t seed;
} bn_sobol;

void bn_sobol_init(bn_sobol *sobol, uint64_t seed);

/* Coordinate `dim` of point `index` before scrambling, as 32 binary digits. */
uint32_t bn_sobol_digits(const bn_sobol *sobol, int dim, uint64_t index);

/* The same, scrambled, in [0, 1). */
double bn_sobol_at(const bn_sobol *sobol, int dim, uint64_t index);

typedef struct bn_sobol_points {
    bn_sobol sobol;
    const bn_space *space;
    int leads[BN_SPACE_PARAMS_MAX];
    int axes;
} bn_sobol_points;

void bn_sobol_points_init(bn_sobol_points *points, const bn_space *space, uint64_t seed);

/* Point number `number` (a bn_candidate; self is a bn_sobol_points). */
void bn_sobol_candidate(const void *self, int64_t number, bn_point *out);

#endif
