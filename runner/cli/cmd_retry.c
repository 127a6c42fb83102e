/* cmd_retry.c - bnexp retry: failed runs wait for another attempt; the same runs, the next number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/manager.h"
#include "runner/cli/options.h"
#include "store/run.h"

typedef struct retry_flags {
    const char *home;
    bool failed, crashed, killed, pruned;
} retry_flags;

static bool wanted(const retry_flags *flags, bn_run_state state)
{
    bool any = flags->failed || flags->crashed || flags->killed || flags->pruned;
    switch (state) {
    case BN_RUN_FAILED:
        return flags->failed || !any;
    case BN_RUN_CRASHED:
        return flags->crashed || !any;
    case BN_RUN_KILLED:
        return flags->killed;
    case BN_RUN_PRUNED:
        return flags->pruned;
    case BN_RUN_PENDING:
    case BN_RUN_RUNNING:
    case BN_RUN_FINISHED:
    case BN_RUN_PREEMPTED:
    case BN_RUN_SKIPPED:
        return false;
    }
    return false;
}

static bn_status requeue(bn_store *store, const bn_run *run, bn_error *err)
{
    bn_run_change change = {.from = run->state,
                            .to = BN_RUN_PENDING,
                            .reason = "to be retried",
                            .exit_code = -1,
                            .now_s = bn_clock_wall_s()};
    return bn_run_move(store, run->id, &change, err);
}

/* Who takes up what waits again. */
static const char *next_step(const bn_store *store)
{
    char holder[160];
    return bn_manager_holder(bn_store_home(store), holder)
               ? "; the sweep that runs takes them up at its end"
               : "; go on with: bnexp sweep FILE";
}

static bn_status retry_sweep(bn_store *store, const bn_sweep *sweep, const retry_flags *flags,
                             bn_error *err)
{
    bn_run *runs = NULL;
    size_t count = 0, moved = 0;
    bn_status status = bn_run_list(store, sweep->id, &runs, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if (!wanted(flags, runs[i].state)) continue;
        status = requeue(store, &runs[i], err);
        moved += status == BN_OK;
    }
    free(runs);
    if (status != BN_OK) return status;
    (void)printf("%zu run%s of sweep '%s' will be tried again", moved, moved == 1 ? "" : "s",
                 sweep->name);
    (void)printf("%s\n", moved ? next_step(store) : "");
    return BN_OK;
}

static bn_status retry_run(bn_store *store, const char *name, bn_error *err)
{
    bn_run run;
    if (bn_run_find(store, name, &run, err) != BN_OK) return err->status;
    const retry_flags all = {.failed = true, .crashed = true, .killed = true, .pruned = true};
    if (!wanted(&all, run.state)) {
        return bn_fail(err, BN_ESTALE,
                       "run %s is %s; only failed, crashed, killed and pruned runs "
                       "can be retried",
                       run.key, bn_run_state_name(run.state));
    }
    if (requeue(store, &run, err) != BN_OK) return err->status;
    (void)printf("run %s (%s) will be tried again%s\n", run.key, run.name, next_step(store));
    return BN_OK;
}

static bn_status do_retry(const char *name, const retry_flags *flags, bn_error *err)
{
    char home[BN_PATH_MAX];
    bn_store *store = NULL;
    bn_sweep sweep;
    bn_error missing = {0};
    if (bn_path_absolute(home, bn_command_home(flags->home), err) != BN_OK) return err->status;
    if (!bn_file_exists(home)) return bn_fail(err, BN_ENOENT, "there is no home %s", home);
    if (bn_store_open(&store, home, BN_STORE_WRITE, err) != BN_OK) return err->status;
    bn_status status = bn_sweep_find(store, name, &sweep, &missing);
    if (status == BN_OK) {
        status = retry_sweep(store, &sweep, flags, err);
    } else if (status == BN_ENOENT) {
        status = retry_run(store, name, err);
    } else {
        status = bn_fail(err, status, "%s", missing.text);
    }
    bn_store_close(store);
    return status;
}

int bn_cmd_retry(int argc, char **argv)
{
    retry_flags flags = {0};
    bn_error err = {0};
    bool help = false;
    const bn_option table[] = {
        {"--failed", 0, BN_OPTION_FLAG, &flags.failed, NULL, "runs that ended with an error"},
        {"--crashed", 0, BN_OPTION_FLAG, &flags.crashed, NULL, "runs that a signal ended"},
        {"--killed", 0, BN_OPTION_FLAG, &flags.killed, NULL, "runs that were canceled"},
        {"--pruned", 0, BN_OPTION_FLAG, &flags.pruned, NULL, "runs that were ended early"},
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
    };
    const bn_options options = {
        .usage = "bnexp retry SWEEP|RUN [options]",
        .about =
            "Puts runs back into the queue: of a sweep the failed and the crashed ones, or those\n"
            "that are named. They go on from their checkpoints where they have one.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) status = do_retry(arguments.items[0], &flags, &err);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
