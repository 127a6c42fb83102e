/* rundir.h - a run's whole world: one folder.
 *   run.toml       in: id, name, sweep, attempt and every knob; `bnexp train FOLDER` runs it again
 *   events.jsonl   out: what it measured, append-only
 *   checkpoint/    out: where the next attempt goes on
 *   stdout.log, stderr.log
 */
#ifndef BN_RUNNER_FLEET_RUNDIR_H
#define BN_RUNNER_FLEET_RUNDIR_H

#include "engine/base/file.h"
#include "engine/config.h"

#define BN_RUNDIR_FILE   "run.toml"
#define BN_RUNDIR_EVENTS "events.jsonl"
#define BN_RUNDIR_STDOUT "stdout.log"
#define BN_RUNDIR_STDERR "stderr.log"

typedef struct bn_rundir {
    char key[12]; /* the run's id */
    char name[96];
    char sweep[96];
    bn_config config; /* resolved */
} bn_rundir;

/* Makes the folder (0700) and its run.toml, atomically. */
BN_MUST_CHECK bn_status bn_rundir_make(const char *dir, const bn_rundir *run, bn_error *err);

/* Reads run.toml back. BN_ENOENT, BN_EINVAL with file:line. */
BN_MUST_CHECK bn_status bn_rundir_read(const char *dir, bn_rundir *out, bn_error *err);

#endif
