/* data_check.h - what is wrong with a run's data, found out before anything is made for the run. */
#ifndef BN_RUNNER_CLI_DATA_CHECK_H
#define BN_RUNNER_CLI_DATA_CHECK_H

#include "engine/config.h"

/* Opens data.path as training would, with `context` tokens a sequence, and leaves no trace. Text is
 * tokenized in a folder of its own for that; text of more than 1 MiB is taken to be long enough.
 * BN_EINVAL: missing, empty, too short, a damaged shard or tokenizer. */
BN_MUST_CHECK bn_status bn_data_check(const bn_config *config, int context, bn_error *err);

#endif
