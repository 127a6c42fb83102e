/* worker.h - the run process: one folder in, its events out. Knows no store and no sweep.
 *
 * SIGTERM or SIGINT asks it to stop: it ends the step, keeps a checkpoint and exits 75, "queue me
 * again". Other exits: 0 finished, 1 diverged or a failure of the machine, 2 bad knobs or data,
 * 5 somebody else runs this folder.
 */
#ifndef BN_RUNNER_WORKER_H
#define BN_RUNNER_WORKER_H

#include "engine/ranks.h"

typedef struct bn_worker_job {
    const char *dir;       /* the run's folder */
    const bn_ranks *ranks; /* which rank of it this process is; rank 0 holds the folder */
    const char *device;    /* instead of the run's knob; NULL: as it says */
} bn_worker_job;

/* Trains the run of a folder in this process and returns its exit code. Speaks on stderr. */
int bn_worker_train(const bn_worker_job *job);

/* The same as the rank that the environment says this process is. */
int bn_worker_run(const char *dir);

#endif
