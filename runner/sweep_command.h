/* sweep_command.h - the command line of an external program: [run] command with its macros.
 *
 * wandb's: ${env} ${interpreter} ${args} ${args_no_equals} ${args_no_hyphens}
 * ${args_no_boolean_flags} ${args_json} ${args_json_file} ${args_append_hydra}
 * ${args_override_hydra} ${envvar:NAME}; ours: ${run_id} ${run_dir} ${seed} ${slot} ${attempt}
 * ${gpu}
 * ${param:NAME}. No shell: one word of the file is one argument, but ${args...} as a whole word is
 * as many arguments as there are parameters.
 */
#ifndef BN_RUNNER_SWEEP_COMMAND_H
#define BN_RUNNER_SWEEP_COMMAND_H

#include <stdint.h>

#include "engine/base/status.h"

enum { BN_COMMAND_ARGS_MAX = 512 };

typedef struct bn_command_facts {
    const char *config_json; /* flat: the parameters */
    const char *config_path; /* of the file that holds them */
    const char *run_id, *run_dir, *gpu;
    int64_t seed;
    int slot, attempt;
} bn_command_facts;

/* argv, NULL ends; each word and the list belong to the caller: bn_command_release.
 * BN_EINVAL: an unknown macro, with the nearest; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_command_expand(char *const *command, const bn_command_facts *facts,
                                          char ***out, bn_error *err);
void bn_command_release(char **argv); /* NULL is fine */

#endif
