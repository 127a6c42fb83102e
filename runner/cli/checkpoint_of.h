/* checkpoint_of.h - the checkpoint that a word means: a run's name or key, its folder, or a file.
 */
#ifndef BN_RUNNER_CLI_CHECKPOINT_OF_H
#define BN_RUNNER_CLI_CHECKPOINT_OF_H

#include <stdbool.h>

#include "engine/base/file.h"

/* best: the one whose validation was best, else the newest. BN_ENOENT: no such run, or it has no
 * checkpoint; BN_EINVAL: several runs of that name. */
BN_MUST_CHECK bn_status bn_checkpoint_of(char out[BN_PATH_MAX], const char *home, const char *word,
                                         bool best, bn_error *err);

#endif
