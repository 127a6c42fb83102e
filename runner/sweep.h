/* sweep.h - the tick: between what the search decides and what the fleet does.
 *
 * A sweeper carries one sweep from wherever it is to its end: it adds the rows that are missing,
 * takes over what runs, starts what waits, repeats what may be repeated. Everything it knows is in
 * the store and in the runs' folders, so it may be killed at any moment and opened again.
 */
#ifndef BN_RUNNER_SWEEP_H
#define BN_RUNNER_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/fleet/fleet.h"
#include "runner/spec.h"
#include "runner/sweep_start.h"

typedef struct bn_sweeper bn_sweeper;

typedef struct bn_sweeper_options {
    bn_store *store;      /* borrowed, as all here */
    const char *home;     /* absolute */
    const bn_spec *spec;  /* its name may be changed first, for a second sweep of the same file */
    bn_launcher launcher; /* closed with the sweeper, and by a failure to open it */
    const char *program;  /* of the built-in engine; NULL: this binary */
    int jobs, threads;    /* resolved: at least 1 each */
    const char *const *gpu_ids;
    int gpu_count;
    const bn_run_fact *origin; /* what every run is made from */
    size_t origin_count;
    bool force; /* run what has finished elsewhere in this home already */
} bn_sweeper_options;

/* What a person wants to see. */
typedef struct bn_sweep_look {
    int64_t sweep;                      /* row */
    int64_t planned;                    /* runs in all; -1: no end */
    int64_t counts[BN_RUN_SKIPPED + 1]; /* by bn_run_state */
    int64_t waiting;                    /* for another attempt, after a back-off */
    int64_t attempts, records;          /* begun and written since it was opened */
    double run_s;                       /* mean duration of finished runs; NaN: none yet */
    bn_sweep_state state;
    bool gave_up; /* too many failures before the first success */
    bool reached; /* a run has metric.target */
    bool found;   /* the sweep was there already */
} bn_sweep_look;

/* Registers or finds the sweep, adds its rows, adopts its running runs and judges the dead ones of
 * the whole home. BN_EINVAL: another sweep has the name; a spec without end and without run_cap. */
BN_MUST_CHECK bn_status bn_sweeper_open(bn_sweeper **out, const bn_sweeper_options *options,
                                        bn_error *err);
void bn_sweeper_close(bn_sweeper *sweeper); /* NULL is fine; runs go on */

/* One round. *done: nothing runs and nothing will be started. On failure nothing is lost; the next
 * tick tries again. */
BN_MUST_CHECK bn_status bn_sweeper_tick(bn_sweeper *sweeper, double wall_s, double mono_s,
                                        bool *done, bn_error *err);

/* Starts nothing more and asks all runs to keep a checkpoint and go; with kill they are ended now.
 * They wait for the next manager. */
BN_MUST_CHECK bn_status bn_sweeper_drain(bn_sweeper *sweeper, bool kill, bn_error *err);

void bn_sweeper_look(const bn_sweeper *sweeper, bn_sweep_look *out);
const bn_fleet *bn_sweeper_fleet(const bn_sweeper *sweeper);
const bn_run *bn_sweeper_runs(const bn_sweeper *sweeper, size_t *count); /* by number */

#endif
