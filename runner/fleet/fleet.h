/* fleet.h - the runs that are alive now: starts them, reads what they say, sees them end.
 *
 * Intent, deed, record: a run's row says `running` before its process exists, and every change of
 * a tick goes into the store in one transaction. Whatever moment this process is killed at, the
 * next one finds each run by its row and its folder, and every step may be repeated. It decides
 * nothing: which runs, in what order, how long, how often is the caller's.
 */
#ifndef BN_RUNNER_FLEET_FLEET_H
#define BN_RUNNER_FLEET_FLEET_H

#include <stdbool.h>
#include <stddef.h>

#include "runner/fleet/ingest.h"
#include "runner/fleet/judge.h"
#include "runner/fleet/launcher.h"
#include "store/run.h"

typedef enum bn_phase {
    BN_PHASE_PLANNED, /* a slot is its own; its row does not say so yet */
    BN_PHASE_BEGUN,   /* the row says running; to be launched */
    BN_PHASE_RUNNING,
    BN_PHASE_ENDED, /* judged; leaves with the next commit */
} bn_phase;

/* A run and its place in the fleet. Read it; only the fleet writes. */
typedef struct bn_member {
    bn_run run;
    bn_phase phase;
    int slot; /* -1: adopted beyond the slots there are */
    bool external;
    char dir[BN_PATH_MAX]; /* its folder, absolute */
    bn_token token;
    bn_source source;
    double since_s, heard_s, asked_s; /* start, last news, request to stop [monotonic s] */
    bn_ask ask;
    bool ours;        /* started by this fleet: since_s is when */
    bool forced;      /* grace is over */
    bool told;        /* host and device are in the store */
    bool settled;     /* its end was seen by the caller */
    int64_t bad_told; /* of source.bad_lines, in the store */
    bn_verdict verdict;
} bn_member;

typedef struct bn_fleet_options {
    bn_store *store;      /* borrowed */
    const char *home;     /* borrowed */
    bn_launcher launcher; /* closed with the fleet, and by a failure to open it */
    int slots;
    double grace_s; /* from SIGTERM to SIGKILL */
} bn_fleet_options;

typedef struct bn_fleet bn_fleet;

BN_MUST_CHECK bn_status bn_fleet_open(bn_fleet **out, const bn_fleet_options *options,
                                      bn_error *err);
void bn_fleet_close(bn_fleet *fleet); /* NULL is fine; runs go on */

size_t bn_fleet_count(const bn_fleet *fleet);
const bn_member *bn_fleet_at(const bn_fleet *fleet, size_t index);
int bn_fleet_free(const bn_fleet *fleet);        /* slots */
int64_t bn_fleet_records(const bn_fleet *fleet); /* written since it was opened */

/* Takes over a run whose row says running, alive or dead: if dead the next tick judges it. *taken
 * false: it was never started; it waits again with the next commit. */
BN_MUST_CHECK bn_status bn_fleet_adopt(bn_fleet *fleet, const bn_run *run, bool *taken,
                                       bn_error *err);

/* Takes over a run of somebody else's if it is dead, so that it is judged; a living one is left. */
BN_MUST_CHECK bn_status bn_fleet_adopt_dead(bn_fleet *fleet, const bn_run *run, double wall_s,
                                            bn_error *err);

/* Gives a waiting run (pending, preempted) a slot; there must be a free one. */
BN_MUST_CHECK bn_status bn_fleet_plan(bn_fleet *fleet, const bn_run *run, bn_error *err);

/* The caller has dealt with the end of this member. */
void bn_fleet_settled(bn_fleet *fleet, const bn_member *member);

/* Adds a change of a run's row to what the next commit writes. */
BN_MUST_CHECK bn_status bn_fleet_move(bn_fleet *fleet, int64_t run, const bn_run_change *change,
                                      bn_error *err);

/* Writes all changes since the last commit in one transaction. Ended runs leave, planned ones have
 * begun. A run that somebody else has moved meanwhile is dropped. On failure nothing is lost: the
 * next commit writes the same. */
BN_MUST_CHECK bn_status bn_fleet_commit(bn_fleet *fleet, double wall_s, bn_error *err);

/* The deed, for a member that has begun. One that cannot be started has ended, and says why. */
void bn_fleet_launch(bn_fleet *fleet, const bn_member *member, const bn_launch *launch,
                     double mono_s);
/* The same for a member whose folder could not even be made. */
void bn_fleet_launch_failed(bn_fleet *fleet, const bn_member *member, const char *why);

/* Asks a run to stop, first in its row, then by SIGTERM; after the grace it is killed. A second
 * request changes nothing, but for BN_ASK_CANCEL. */
BN_MUST_CHECK bn_status bn_fleet_ask(bn_fleet *fleet, const bn_member *member, bn_ask ask,
                                     const char *why, bn_error *err);
/* All at once, and with force without waiting for the grace. */
BN_MUST_CHECK bn_status bn_fleet_ask_all(bn_fleet *fleet, bn_ask ask, const char *why, bool force,
                                         bn_error *err);

/* Looks who is gone, reads what is new into the store, judges the gone. */
BN_MUST_CHECK bn_status bn_fleet_tick(bn_fleet *fleet, double wall_s, double mono_s, bn_error *err);

#endif
