/* report.h - a reporter that follows a sweep from a process of its own: `bnexp sync NAME --watch`.
 * Whatever becomes of it, the sweep neither fails nor waits for it. */
#ifndef BN_RUNNER_CLI_REPORT_H
#define BN_RUNNER_CLI_REPORT_H

#include <stdbool.h>
#include <sys/types.h>

#include "engine/base/file.h"

typedef struct bn_report {
    const char *name; /* "wandb" */
    pid_t pid;        /* 0: none */
    char log[BN_PATH_MAX];
} bn_report;

/* Is this a reporter, and has it what it needs (a key)? BN_EINVAL: there is no such reporter;
 * others: it would fail, err says why and what to do. */
BN_MUST_CHECK bn_status bn_report_check(const char *name, bn_error *err);

/* Starts it; its words go to <home>/NAME.log. It follows the runs of one sweep. */
BN_MUST_CHECK bn_status bn_report_start(bn_report *out, const char *name, const char *home,
                                        const char *sweep, bn_error *err);

/* Tells it that the sweep is over and gives it wait_s to deliver the rest; after that it goes on
 * alone. Returns what a person should know, "" nothing. */
const char *bn_report_end(bn_report *report, double wait_s);

#endif
