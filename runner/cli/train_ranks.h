/* train_ranks.h - bnexp train under mpirun or srun: rank 0 registers the run, the others follow it.
 *
 * Every rank is the same command. Rank 0 makes the run's row and folder and writes the folder's
 * name into a file in the home, named after this start; the others wait for that file.
 */
#ifndef BN_RUNNER_CLI_TRAIN_RANKS_H
#define BN_RUNNER_CLI_TRAIN_RANKS_H

#include "engine/base/status.h"
#include "engine/ranks.h"

enum { BN_TRAIN_RANKS_ENV = 161 };

/* Of this process, by its environment. BN_EINVAL. */
BN_MUST_CHECK bn_status bn_train_ranks_read(bn_ranks *out, bn_error *err);

/* The launcher's variables, which the process that is to be rank 0 must see; NULL when alone. */
const char *const *bn_train_ranks_environment(const bn_ranks *ranks,
                                              const char *list[BN_TRAIN_RANKS_ENV]);

/* Rank 0 tells the others the run's folder; does nothing when alone. BN_EIO. */
BN_MUST_CHECK bn_status bn_train_ranks_call(const bn_ranks *ranks, const char *home,
                                            const char *dir, bn_error *err);

/* Takes that back. */
void bn_train_ranks_hush(const bn_ranks *ranks, const char *home);

/* Any other rank: waits for rank 0's call and trains; returns the exit code. Speaks on stderr. */
int bn_train_ranks_follow(const bn_ranks *ranks, const char *home);

#endif
