/* rundir.h - a run's whole world: one folder.
 *   run.toml       in: id, name, sweep, attempt and every knob; `bnexp train FOLDER` runs it again
 *   config.json    in, for an external program: its parameters
 *   events.jsonl   out: what it measured, append-only
 *   checkpoint/    out: where the next attempt goes on
 *   stdout.log, stderr.log
 *   stop           in, from whoever wants the run stopped: who that is, in words
 *   process        who runs it, locked while it runs, and how it ended
 */
#ifndef BN_RUNNER_FLEET_RUNDIR_H
#define BN_RUNNER_FLEET_RUNDIR_H

#include "engine/base/file.h"
#include "engine/config.h"
#include "runner/toml.h"

#define BN_RUNDIR_FILE    "run.toml"
#define BN_RUNDIR_CONFIG  "config.json"
#define BN_RUNDIR_EVENTS  "events.jsonl"
#define BN_RUNDIR_STDOUT  "stdout.log"
#define BN_RUNDIR_STDERR  "stderr.log"
#define BN_RUNDIR_STOP    "stop"
#define BN_RUNDIR_PROCESS "process"

typedef struct bn_rundir {
    char key[12]; /* the run's id */
    char name[96];
    char sweep[96];
    int attempt;      /* 1, 2, ... */
    bn_config config; /* resolved */
} bn_rundir;

/* Makes the folder (0700) and its run.toml, which is the old one or the new one at any moment. Not
 * synced: whoever starts the run writes it again from the store. */
BN_MUST_CHECK bn_status bn_rundir_make(const char *dir, const bn_rundir *run, bn_error *err);

/* The same for an external program: run.toml without knobs, and json as config.json. */
BN_MUST_CHECK bn_status bn_rundir_make_external(const char *dir, const bn_rundir *run,
                                                const char *json, bn_error *err);

/* Reads run.toml back, knobs resolved. BN_ENOENT, BN_EINVAL with file:line. */
BN_MUST_CHECK bn_status bn_rundir_read(const char *dir, bn_rundir *out, bn_error *err);

/* Sets one knob from its value in a TOML file. BN_EINVAL: not one value, or as bn_config_set. */
BN_MUST_CHECK bn_status bn_rundir_knob(bn_config *config, const char *name,
                                       const bn_toml_node *node, bn_error *err);

/* Opens and locks the folder's `process` file: the right to be its only run. The lock lives as
 * long as *fd or a fork's copy of it. BN_EAGAIN: somebody has it. */
BN_MUST_CHECK bn_status bn_rundir_lock(const char *dir, int *fd, bn_error *err);

/* Puts events.jsonl aside as events.jsonl.old, for the first attempt of a run whose folder was
 * there before it: of a database that was lost, say. What stands in it is not this run's. Left
 * alone while a process has the folder. BN_EIO. */
BN_MUST_CHECK bn_status bn_rundir_clear_events(const char *dir, bn_error *err);

/* Cuts off a last line of events.jsonl that has no newline, a crash's: what the next attempt
 * appends must not be glued to it. A missing file is fine. BN_EIO. */
BN_MUST_CHECK bn_status bn_rundir_mend_events(const char *dir, bn_error *err);

/* The last line of stderr.log that is not empty, printable, cut to fit; "" when there is none. */
void bn_rundir_last_words(const char *dir, char *out, size_t size_bytes);

#endif
