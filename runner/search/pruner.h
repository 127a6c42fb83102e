/* pruner.h - which runs to end early. Pure: the histories so far in, verdicts out; nothing is kept,
 * so a restarted manager judges as the one before it did.
 *
 *   hyperband  wandb's rule, decision for decision: bands count reports, not steps
 *   asha       asynchronous successive halving, stopping form (Li et al., arXiv:1810.05934):
 *              at step min_iter eta^k a run goes on if it is among the best ceil(n / eta)
 *              of the n that had been there by then, itself included
 *   median     ends a run whose best so far is worse than the median of what at least five
 *              completed runs had at its step (Golovin et al., KDD 2017); not before min_iter
 *   threshold  ends a run whose value is worse than `threshold`; not before min_iter
 *   ""         none of these
 *
 * Always: a run whose latest value is no finite number has diverged.
 */
#ifndef BN_RUNNER_SEARCH_PRUNER_H
#define BN_RUNNER_SEARCH_PRUNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { BN_BANDS_MAX = 100, BN_MEDIAN_RUNS_MIN = 5 };

typedef struct bn_pruner {
    const char *type; /* one of the words above */
    bool maximize;
    int64_t min_iter, max_iter; /* 0: not given */
    int s;
    double eta;
    bool strict;
    double threshold;
} bn_pruner;

/* One run: its metric's reports in order. */
typedef struct bn_contender {
    const double *values;
    const int64_t *steps;
    const double *wall_s; /* when each was reported; NULL: not known, then all came before */
    size_t count;
    bool running;  /* it may be ended */
    bool complete; /* it came to its own end: the median's yardstick */
    bool protect;  /* never ended for being worse (a baseline), only when diverged */
} bn_contender;

typedef struct bn_pruning {
    bool stop;
    bool diverged;
    char reason[120]; /* "asha: 3.21 at step 40 is 5th of 6, 2 go on" */
} bn_pruning;

/* BN_EINVAL: there is no such type. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_pruner_judge(const bn_pruner *pruner, const bn_contender *runs,
                                        size_t count, bn_pruning *verdicts, bn_error *err);

/* wandb's bands, ascending, in numbers of reports. Returns how many. */
int bn_hyperband_bands(const bn_pruner *pruner, int64_t bands[BN_BANDS_MAX]);

/* wandb's threshold of a band, of values that are better when lower; infinite when no run came so
 * far. scratch [count]. */
double bn_hyperband_threshold(const bn_pruner *pruner, const bn_contender *runs, size_t count,
                              int64_t band, double *scratch);

#endif
