/* progress.h - a sweep while it runs: one block that redraws itself on a terminal, else a line for
 * each run that ends. */
#ifndef BN_RUNNER_CLI_PROGRESS_H
#define BN_RUNNER_CLI_PROGRESS_H

#include <stdio.h>

#include "runner/sweep.h"

typedef struct bn_progress bn_progress;

/* out: where it is written; a terminal gets the block. store and spec are borrowed. */
BN_MUST_CHECK bn_status bn_progress_open(bn_progress **out, FILE *stream, bn_store *store,
                                         const bn_spec *spec, bn_error *err);
void bn_progress_close(bn_progress *progress); /* NULL is fine */

/* Says what is new since the last call; last: even if the last call was a moment ago. A store that
 * cannot be read shows less, and is no error. */
void bn_progress_show(bn_progress *progress, const bn_sweeper *sweeper, double mono_s, bool last);

/* A line of its own, above the block. */
void bn_progress_say(bn_progress *progress, const char *line);

/* Takes the block away. */
void bn_progress_clear(bn_progress *progress);

/* "1 h 05 m", "12.3 s". Returns out. */
const char *bn_progress_time(char out[32], double seconds);

#endif
