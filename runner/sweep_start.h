/* sweep_start.h - from a run's row to what a launcher needs: its folder, command and environment.
 */
#ifndef BN_RUNNER_SWEEP_START_H
#define BN_RUNNER_SWEEP_START_H

#include "runner/fleet/fleet.h"
#include "runner/spec.h"

typedef struct bn_start_options {
    bn_store *store;
    const char *home;
    char *const *command; /* of an external program, NULL: the engine of this very binary */
    const char *program;  /* that binary; NULL: /proc/self/exe, which no rebuild replaces */
    int threads;          /* of one run */
    int gpus;             /* of one run; their ids are taken from `gpu_ids` by slot */
    const char *const *gpu_ids;
    int gpu_count;
    int ranks;               /* of a run of our engine without GPUs; 0 or 1: one process */
    const char *const *more; /* variables added to a run's environment, NULL ends; may be NULL */
} bn_start_options;

/* Makes the folder of a member that has begun and launches it; one that cannot be started has ended
 * and says why. */
void bn_start_run(bn_fleet *fleet, const bn_member *member, const bn_start_options *options,
                  double mono_s);

/* A flat JSON object of knobs, over *config. BN_ECORRUPT. */
BN_MUST_CHECK bn_status bn_start_config(const char *json, bn_config *config, bn_error *err);

#endif
