/* cmd_steer.c - bnexp pause, resume, stop, cancel: wandb's words, with wandb's meanings.
 *
 * Each writes what is wanted into the store; the sweep's manager reads it there. What a run is
 * asked is written before it is signalled, so whoever judges its end knows why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/manager.h"
#include "runner/cli/options.h"
#include "runner/fleet/judge.h"
#include "runner/fleet/launch_local.h"
#include "store/run.h"

typedef struct verb {
    const char *name;
    bn_sweep_state state; /* that the sweep gets */
    bool runs;            /* may be said of one run */
    bool ends;            /* of a sweep: ends its runs and those that wait */
    const char *about;
} verb;

static const verb PAUSE = {"pause", BN_SWEEP_PAUSED, false, false,
                           "Starts no new runs of a sweep; those that run go on to their end."};
static const verb RESUME = {"resume", BN_SWEEP_RUNNING, false, false,
                            "Lets a paused sweep start runs again."};
static const verb STOP = {"stop", BN_SWEEP_STOPPED, true, false,
                          "Ends a sweep when the runs that are active have finished; or asks one\n"
                          "run to keep a checkpoint and end."};
static const verb CANCEL = {"cancel", BN_SWEEP_CANCELED, true, true,
                            "Ends a sweep and its active runs now (SIGTERM); or one run."};

typedef struct steer {
    const verb *verb;
    const char *name; /* of a sweep or run */
    char home[BN_PATH_MAX];
    bn_store *store;
} steer;

static bn_status signal_run(const steer *s, const bn_run *run, bn_error *err)
{
    bn_launcher launcher = bn_launch_local();
    char dir[BN_PATH_MAX];
    bn_token token = {0};
    bool found = false;
    if (bn_path_join(dir, s->home, run->dir, err) != BN_OK) return err->status;
    bn_status status = launcher.ops->find(launcher.self, dir, run->attempt, &token, &found, err);
    if (status != BN_OK || !found) return status;
    return launcher.ops->stop(launcher.self, dir, &token, false, err);
}

/* A run that waits is over; one that runs is asked to end. */
static bn_status end_run(const steer *s, const bn_run *run, const char *why, bool *done,
                         bn_error *err)
{
    char intent[240];
    bn_run_change change = {
        .from = run->state, .to = BN_RUN_KILLED, .exit_code = -1, .now_s = bn_clock_wall_s()};
    *done = true;
    if (run->state == BN_RUN_PENDING || run->state == BN_RUN_PREEMPTED) {
        change.reason = why;
        return bn_run_move(s->store, run->id, &change, err);
    }
    *done = run->state == BN_RUN_RUNNING;
    if (!*done) return BN_OK;
    bn_ask_text(BN_ASK_CANCEL, why, intent);
    change.to = BN_RUN_RUNNING;
    change.reason = intent;
    if (bn_run_move(s->store, run->id, &change, err) != BN_OK) return err->status;
    return signal_run(s, run, err);
}

static bn_status steer_run(const steer *s, bn_error *err)
{
    bn_run run;
    bool done = false;
    if (bn_run_find(s->store, s->name, &run, err) != BN_OK) return err->status;
    if (end_run(s, &run, "by hand", &done, err) != BN_OK) return err->status;
    if (!done) {
        return bn_fail(err, BN_ESTALE, "run %s is %s already", run.key,
                       bn_run_state_name(run.state));
    }
    (void)printf("run %s (%s) is asked to end\n", run.key, run.name);
    return BN_OK;
}

/* Runs that change while we look are the manager's to end: it reads the same wish. */
static bn_status end_runs(const steer *s, int64_t sweep, bn_error *err)
{
    bn_run *runs = NULL;
    size_t count = 0;
    bool done = false;
    bn_status status = bn_run_list(s->store, sweep, &runs, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        bn_error why = {0};
        status = end_run(s, &runs[i], "the sweep was canceled", &done, &why);
        if (status == BN_ESTALE) status = BN_OK;
        if (status != BN_OK) (void)bn_fail(err, status, "%s", why.text);
    }
    free(runs);
    return status;
}

static bn_status steer_sweep(const steer *s, const bn_sweep *sweep, bn_error *err)
{
    char holder[160];
    bool over = sweep->state == BN_SWEEP_FINISHED || sweep->state == BN_SWEEP_CANCELED;
    if (over) {
        return bn_fail(err, BN_ESTALE, "sweep '%s' is %s already", sweep->name,
                       bn_sweep_state_name(sweep->state));
    }
    bn_status status = bn_sweep_set_state(s->store, sweep->id, s->verb->state, err);
    if (status == BN_OK && s->verb->ends) status = end_runs(s, sweep->id, err);
    if (status != BN_OK) return status;
    (void)printf("sweep '%s' is %s\n", sweep->name, bn_sweep_state_name(s->verb->state));
    if (s->verb->state == BN_SWEEP_RUNNING && !bn_manager_holder(s->home, holder)) {
        (void)printf("nothing manages this home now; go on with: bnexp sweep FILE\n");
    }
    return BN_OK;
}

static bn_status do_steer(steer *s, const char *home, bn_error *err)
{
    bn_sweep sweep;
    bn_error missing = {0};
    if (bn_path_absolute(s->home, bn_command_home(home), err) != BN_OK) return err->status;
    if (!bn_file_exists(s->home)) return bn_fail(err, BN_ENOENT, "there is no home %s", s->home);
    if (bn_store_open(&s->store, s->home, BN_STORE_WRITE, err) != BN_OK) return err->status;
    bn_status status = bn_sweep_find(s->store, s->name, &sweep, &missing);
    if (status == BN_OK) return steer_sweep(s, &sweep, err);
    if (status == BN_ENOENT && s->verb->runs) return steer_run(s, err);
    return bn_fail(err, status, "%s", missing.text);
}

static int run_verb(const verb *what, int argc, char **argv)
{
    steer s = {.verb = what};
    const char *home = NULL;
    char usage[80];
    bn_error err = {0};
    bool help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
    };
    (void)snprintf(usage, sizeof usage, "bnexp %s %s", what->name,
                   what->runs ? "SWEEP|RUN" : "SWEEP");
    const bn_options options = {.usage = usage,
                                .about = what->about,
                                .table = table,
                                .count = 1,
                                .arguments_min = 1,
                                .arguments_max = 1};
    bn_option_list arguments;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) {
        s.name = arguments.items[0];
        status = do_steer(&s, home, &err);
    }
    bn_store_close(s.store);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}

int bn_cmd_pause(int argc, char **argv)
{
    return run_verb(&PAUSE, argc, argv);
}

int bn_cmd_resume(int argc, char **argv)
{
    return run_verb(&RESUME, argc, argv);
}

int bn_cmd_stop(int argc, char **argv)
{
    return run_verb(&STOP, argc, argv);
}

int bn_cmd_cancel(int argc, char **argv)
{
    return run_verb(&CANCEL, argc, argv);
}
