/* knobs.h - knobs as people give them: --set, a TOML file, a run's folder; and the table of all. */
#ifndef BN_RUNNER_CLI_KNOBS_H
#define BN_RUNNER_CLI_KNOBS_H

#include <stdio.h>

#include "engine/config.h"

/* Every knob with its default, range, unit and help, and the presets. */
void bn_knobs_print(FILE *out);

/* "optim.lr=1e-3" */
BN_MUST_CHECK bn_status bn_knobs_set(bn_config *config, const char *assignment, bn_error *err);

/* A TOML file: `"model.width" = 128` or a table [model] with `width = 128`, also under [config].
 * BN_ENOENT, BN_EINVAL with file:line. */
BN_MUST_CHECK bn_status bn_knobs_read(const char *file, bn_config *config, bn_error *err);

/* Of a run's run.toml. */
BN_MUST_CHECK bn_status bn_knobs_of_run(const char *dir, bn_config *config, bn_error *err);

#endif
