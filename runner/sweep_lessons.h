/* sweep_lessons.h - what a sweep's runs have taught so far, from the store to what the search and
 * the pruner want to know. Nothing is kept between calls: a restarted manager learns the same. */
#ifndef BN_RUNNER_SWEEP_LESSONS_H
#define BN_RUNNER_SWEEP_LESSONS_H

#include "runner/search/pruner.h"
#include "runner/spec.h"
#include "store/run.h"

/* A sweep, and its rows by number (a removed run's id is that of the one before it). All borrowed.
 */
typedef struct bn_classroom {
    const bn_spec *spec;
    bn_store *store;
    int64_t sweep;
    const bn_run *runs;
    size_t count;
} bn_classroom;

/* The trial of every configuration that has rows, in order; values are the best of the metric over
 * training, the mean over finished replicates, negated where more is better; metric.impute says
 * what failed ones count as. The caller frees *out. */
BN_MUST_CHECK bn_status bn_lessons_trials(const bn_classroom *room, bn_trial **out, size_t *count,
                                          bn_error *err);

/* Whether a run of the sweep, living or over, has metric.target. */
BN_MUST_CHECK bn_status bn_lessons_reached(const bn_classroom *room, bool *reached, bn_error *err);

/* One verdict a run, by number; the caller frees *out. Runs that are not running get none. Without
 * [early_terminate] only those whose metric is no finite number are named. */
BN_MUST_CHECK bn_status bn_lessons_prune(const bn_classroom *room, bn_pruning **out, bn_error *err);

#endif
