/* train_run.h - one run of its own: registered in the home, trained in its own process, watched. */
#ifndef BN_RUNNER_CLI_TRAIN_RUN_H
#define BN_RUNNER_CLI_TRAIN_RUN_H

#include <stdbool.h>

#include "engine/config.h"
#include "engine/ranks.h"
#include "runner/cli/gpus.h"

typedef struct bn_train_run {
    const char *home;
    const char *name;        /* of the preset or file; the run gets a number behind it */
    const bn_config *config; /* resolved, files absolute */
    bool json;               /* the outcome as JSON; else lines as it goes */
    const bn_ranks *ranks; /* of this process: rank 0 of those that a launcher started, or alone */
    const bn_gpus *gpus;   /* a rank each; NULL: none were asked for */
    int rank_count;        /* without GPUs: ranks to start on this machine; 0 or 1: one */
} bn_train_run;

/* Returns the exit code: the run's own, or that of what went wrong before it. */
int bn_train_run_do(const bn_train_run *job);

#endif
