/* acquire.h - where a Gaussian process promises most: maximizes the log of the expected improvement
 * over mixed axes, as Optuna 5.0's GPSampler does: many Sobol candidates, a local search from the
 * best of them, from the incumbent and from a few drawn by promise.
 */
#ifndef BN_RUNNER_SEARCH_ACQUIRE_H
#define BN_RUNNER_SEARCH_ACQUIRE_H

#include "runner/search/gp.h"

enum { BN_ACQUIRE_CANDIDATES = 2048, BN_ACQUIRE_STARTS = 10, BN_ACQUIRE_PROPOSALS = 64 };

typedef struct bn_acquire {
    const bn_gp *gp;
    double best;             /* value to improve upon */
    const double *incumbent; /* [dims] where it was found */
    uint64_t key;            /* of the candidates */
} bn_acquire;

/* Proposes coordinates the axes can have, best first: out [BN_ACQUIRE_PROPOSALS, dims]; returns how
 * many. BN_ENOMEM is told by *status. */
int bn_acquire_propose(const bn_acquire *acquire, double *out, bn_status *status, bn_error *err);

#endif
