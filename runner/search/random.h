/* random.h - independent draws: each parameter's by (seed, its name, the candidate's number), so
 * that adding a parameter leaves the others' values as they were.
 */
#ifndef BN_RUNNER_SEARCH_RANDOM_H
#define BN_RUNNER_SEARCH_RANDOM_H

#include "runner/search/space.h"

typedef struct bn_random {
    const bn_space *space;
    int leads[BN_SPACE_PARAMS_MAX];
    uint64_t keys[BN_SPACE_PARAMS_MAX];
    int axes;
} bn_random;

void bn_random_init(bn_random *random, const bn_space *space, uint64_t seed);

/* Draw number `number` (a bn_candidate; self is a bn_random). */
void bn_random_candidate(const void *self, int64_t number, bn_point *out);

#endif
