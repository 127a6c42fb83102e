/* wandb_log.h - a run's console as lines of output.log.
 *
 * stdout.log and stderr.log grow side by side, output.log is one list of lines. Which lines come
 * next is planned first and the plan is kept, so that a repeat after a crash sends the same lines
 * at the same places, however much the files have grown since.
 */
#ifndef BN_REPORTERS_WANDB_LOG_H
#define BN_REPORTERS_WANDB_LOG_H

#include <stdbool.h>

#include "reporters/wandb_memo.h"

/* Plans the next whole lines behind memo->log, as many as always fit a request; whole: the run
 * has ended, its last line counts without a newline too. A plan that is there already stays.
 * Returns whether there is one. Files that cannot be read have no lines. */
bool bn_wandb_log_plan(bn_wandb_memo *memo, const char *dir, bool whole, double now_s);

/* The planned lines as elements of a JSON array, with commas between; returns how many: fewer than
 * planned only when a file was cut meanwhile. */
int64_t bn_wandb_log_lines(bn_text *out, const bn_wandb_memo *memo, const char *dir,
                           bool structured);

/* The planned lines one by one, without their newlines. */
typedef void bn_wandb_log_seen(void *self, const char *words, size_t length, bool from_stderr);
void bn_wandb_log_each(const bn_wandb_memo *memo, const char *dir, bn_wandb_log_seen *seen,
                       void *self);

/* The far side has them. */
void bn_wandb_log_done(bn_wandb_memo *memo);

#endif
