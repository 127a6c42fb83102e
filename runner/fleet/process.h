/* process.h - a run as a process of this machine that outlives whoever started it.
 *
 * Between the manager and the program stands a shepherd: a fork in a session of its own, with no
 * descriptor of ours but the run's `process` file, which it holds locked. It starts the program,
 * waits for it and writes into that file how it ended. So after the manager was killed, at whatever
 * moment, the file still says who the run is (pid, start time, boot), whether it lives (the lock)
 * and how it ended. If the shepherd is killed the kernel kills its program with it: a free lock
 * means that nothing of the run is left writing.
 */
#ifndef BN_RUNNER_FLEET_PROCESS_H
#define BN_RUNNER_FLEET_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "runner/fleet/launcher.h"

/* A process, told from every other one that had or will have its pid. */
typedef struct bn_identity {
    int64_t pid;
    uint64_t start_ticks; /* clock ticks from boot to its start */
    char boot[40];        /* the kernel's boot id */
} bn_identity;

/* What a `process` file says. */
typedef struct bn_process_note {
    bn_identity identity; /* pid 0: not written yet */
    int attempt;          /* launch->attempt of who wrote it */
    bn_exit how;          /* known: it has ended */
} bn_process_note;

/* Starts launch->argv with its output in the folder's stdout.log and stderr.log (appended) and an
 * allow-listed environment plus launch->env. *out is the shepherd, leader of a group of its own.
 * A program that cannot be started exits 127 with the cause in stderr.log.
 * BN_EAGAIN: the folder's run is running already. BN_EIO. */
BN_MUST_CHECK bn_status bn_process_start(const bn_launch *launch, bn_identity *out, bn_error *err);

/* What is known of the run in a folder, whoever started it. *alive: its lock is held.
 * BN_ENOENT: none was ever started there. */
BN_MUST_CHECK bn_status bn_process_look(const char *dir, bn_process_note *out, bool *alive,
                                        bn_error *err);

/* Still there, and the same process: pid, start time and boot agree, and it is no zombie. */
bool bn_identity_alive(const bn_identity *identity);

/* Sends a signal to its group; nothing happens when it is gone or the pid is another's now. */
BN_MUST_CHECK bn_status bn_identity_signal(const bn_identity *identity, int signo, bn_error *err);

/* This process. */
BN_MUST_CHECK bn_status bn_identity_self(bn_identity *out, bn_error *err);

/* As the text of a token, "4711 812345 6f1c...", and back. BN_EINVAL. */
void bn_identity_text(const bn_identity *identity, bn_token *out);
BN_MUST_CHECK bn_status bn_identity_parse(const char *text, bn_identity *out, bn_error *err);

#endif
