/* print.h - what the reading commands print alike. */
#ifndef BN_RUNNER_CLI_PRINT_H
#define BN_RUNNER_CLI_PRINT_H

#include "engine/base/text.h"
#include "store/history.h"
#include "store/run.h"

/* Writes a finished text to stdout. BN_EIO: stdout is full or gone; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_print_text(const bn_text *text, bn_error *err);

/* {"schema_version":1 of every --json; the caller adds its members and closes the object. */
bn_json bn_print_begin(bn_text *text);

void bn_print_time(bn_json *json, const char *key, double wall_s); /* RFC 3339, null: not yet */

/* Is the larger number of this metric the better one, or the smaller, or is neither? */
typedef enum bn_goal { BN_GOAL_NONE, BN_GOAL_MINIMIZE, BN_GOAL_MAXIMIZE } bn_goal;
bn_goal bn_print_goal(const bn_sweep *sweep, const char *metric);

/* A run as an open object: the members that `ls --json` and `show --json` share. latest: its
 * `count` metrics. config: flat JSON. */
typedef struct bn_print_run {
    const bn_run *run;
    const bn_sweep *sweep;
    const char *config;
    const bn_latest *latest;
    size_t count;
    double duration_s;
} bn_print_run;
void bn_print_run_members(bn_json *json, const bn_print_run *what);

#endif
