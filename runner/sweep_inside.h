/* sweep_inside.h - what the sweeper's files share. */
#ifndef BN_RUNNER_SWEEP_INSIDE_H
#define BN_RUNNER_SWEEP_INSIDE_H

#include "runner/sweep.h"
#include "runner/sweep_plan.h"

/* What only this process knows of a run. */
typedef struct bn_sweep_memo {
    double not_before_s; /* [monotonic s] */
    int failures;        /* attempts that failed under this manager */
} bn_sweep_memo;

struct bn_sweeper {
    bn_sweeper_options options;
    bn_start_options start;
    bn_sweep sweep;
    bn_plan *plan;
    bn_fleet *fleet;
    bn_run *runs; /* by number */
    bn_sweep_memo *memos;
    size_t count, room;
    size_t *order; /* numbers, in the order of starting; NULL: as they are (methods that learn) */
    size_t *ranks; /* by number: its place in order */
    size_t cursor; /* no run at a lower place in the order can be started */
    int64_t planned, attempts;
    int64_t finished, failed_first; /* successes; failures before the first of them */
    double finished_s;              /* their durations, summed */
    double control_s, prune_s;
    int64_t pruned_records; /* written when the last judgement was made */
    int64_t aimed_records;  /* the same for metric.target; -1: never looked */
    bool draining, gave_up, reached, found;
};

/* Reads the rows that are new since the last call: numbers from count on. */
BN_MUST_CHECK bn_status bn_sweeper_load(bn_sweeper *sweeper, bn_error *err);

/* Reads all rows again: somebody may have put runs back into the queue. */
BN_MUST_CHECK bn_status bn_sweeper_refresh(bn_sweeper *sweeper, bn_error *err);

#endif
