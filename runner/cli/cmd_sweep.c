/* bnexp sweep. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/corpus/dataset.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/data_check.h"
#include "runner/cli/detach.h"
#include "runner/cli/gpus.h"
#include "runner/cli/invalid.h"
#include "runner/cli/manager.h"
#include "runner/cli/options.h"
#include "runner/cli/origin.h"
#include "runner/cli/progress.h"
#include "runner/cli/report.h"
#include "runner/cli/sweep_plan_print.h"
#include "runner/fleet/launch_local.h"
#include "runner/sweep.h"

static const double WAIT_S = 0.05;     /* between looks at what runs have written */
static const double REPORT_WAIT_S = 5; /* for a reporter's last lines, once all runs are done */
static const double PATIENCE_S = 30.0; /* with a store that cannot be written, e.g. a full disk */

typedef struct sweep_options {
    const char *file, *home;
    bn_option_list sets;
    int64_t jobs; /* 0: not given */
    bool dry, json, force, fresh, detach;
    const char *report;
} sweep_options;

static bn_status parse(int argc, char **argv, sweep_options *o, bool *help, bn_error *err)
{
    const bn_option table[] = {
        {"--dry-run", 'n', BN_OPTION_FLAG, &o->dry, NULL, "show what would run, and run nothing"},
        {"--jobs", 'j', BN_OPTION_INT, &o->jobs, "N",
         "runs at a time (default: what the cores hold)"},
        {"--set", 0, BN_OPTION_LIST, &o->sets, "KNOB=VALUE", "fix a knob, whatever the file says"},
        {"--home", 0, BN_OPTION_TEXT, &o->home, "DIR",
         "where runs and results live (default: runs)"},
        {"--force", 0, BN_OPTION_FLAG, &o->force, NULL,
         "run what has finished in this home already"},
        {"--new", 0, BN_OPTION_FLAG, &o->fresh, NULL, "a sweep of its own, beside an earlier one"},
        {"--report", 0, BN_OPTION_TEXT, &o->report, "wandb",
         "follow the sweep there, from a process of its own"},
        {"--detach", 0, BN_OPTION_FLAG, &o->detach, NULL,
         "go on in the background; see bnexp watch"},
        {"--json", 0, BN_OPTION_FLAG, &o->json, NULL, "the outcome as JSON on standard output"},
    };
    const bn_option_range ranges[] = {{&o->jobs, 1, 4096, false}};
    const bn_options options = {
        .usage = "bnexp sweep FILE [options]",
        .about =
            "Trains every run that a sweep file asks for, several at a time. The same command\n"
            "continues a sweep that was stopped or killed. Ctrl-C once lets runs keep a\n"
            "checkpoint and stops; twice ends them now.\n"
            "exit: 0 all finished, 6 some failed, 5 another manager has the home, 2 bad input",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, help, err);
    if (status != BN_OK || *help) return status;
    o->file = arguments.items[0];
    bn_error missing = {0};
    if (o->report && bn_report_check(o->report, &missing) == BN_EINVAL) {
        return bn_fail(err, BN_EINVAL, "%s", missing.text);
    }
    return BN_OK;
}

/* How many runs at a time and threads for each: what the file says, the rest from the cores. */
static void share_cores(const bn_spec *spec, int64_t asked, int *jobs, int *threads)
{
    int cores = bn_cores();
    *threads = spec->resources.threads;
    *jobs = asked > 0 ? (int)asked : spec->resources.jobs;
    if (*jobs == 0) *jobs = *threads > 0 ? cores / *threads : cores;
    if (*jobs < 1) *jobs = 1;
    if (*threads == 0) *threads = cores / *jobs;
    if (*threads < 1) *threads = 1;
}

/* What would make every run fail is said before the home is touched. */
static bn_status check_data(const bn_spec *spec, bn_error *err)
{
    const bn_config *config = &spec->config;
    if (!spec->builtin || bn_space_find(&spec->space, "data.path") >= 0 ||
        bn_space_find(&spec->space, "data.tokenizer") >= 0 ||
        bn_space_find(&spec->space, "data.val_fraction") >= 0) {
        return BN_OK; /* each run sees to its own */
    }
    bool varies = bn_space_find(&spec->space, "model.context") >= 0;
    return bn_data_check(config, varies ? 1 : (int)config->model.context, err);
}

/* Text is tokenized once, before the first run, and what is wrong with it is said once. */
static bn_status prepare_data(const bn_spec *spec, const char *home, bn_origin *origin,
                              bn_error *err)
{
    char cache[BN_PATH_MAX];
    bn_dataset *dataset = NULL;
    if (!spec->builtin || bn_space_find(&spec->space, "data.path") >= 0 ||
        bn_space_find(&spec->space, "data.tokenizer") >= 0 ||
        bn_space_find(&spec->space, "model.context") >= 0) {
        return BN_OK; /* it differs from run to run; each run sees to its own */
    }
    const bn_config *config = &spec->config;
    if (bn_path_join(cache, home, "cache", err) != BN_OK) return err->status;
    bn_dataset_spec data = {.path = config->data.path,
                            .tokenizer = config->data.tokenizer,
                            .cache = *config->data.cache ? config->data.cache : cache,
                            .val_fraction = config->data.val_fraction};
    bn_status status = bn_dataset_open(&dataset, &data, (int)config->model.context, err);
    if (status == BN_OK) bn_origin_add(origin, "data.hash", bn_dataset_info_of(dataset)->hash);
    bn_dataset_close(dataset);
    return status;
}

typedef struct session {
    const sweep_options *options;
    bn_origin origin;
    bn_gpus gpus;
    bn_spec *spec;
    bn_store *store;
    bn_sweeper *sweeper;
    bn_progress *progress;
    int signals;   /* that asked us to stop */
    int last_sign; /* the first of them */
    double trouble_s;
    bn_report report;
} session;

/* Ctrl-C once drains, twice kills. */
static bn_status hear(session *s, int signo, bn_error *err)
{
    if (signo == 0) return BN_OK;
    if (s->signals++ == 0) s->last_sign = signo;
    bn_progress_say(s->progress, s->signals == 1
                                     ? "stopping: runs keep a checkpoint; once more ends them now"
                                     : "ending the runs now");
    return bn_sweeper_drain(s->sweeper, s->signals > 1, err);
}

/* A store that cannot be written now may be writable soon; the runs go on meanwhile. */
static bn_status endure(session *s, double mono_s, bn_error *err)
{
    bool passing = err->status == BN_EIO || err->status == BN_EAGAIN || err->status == BN_ENOMEM;
    if (!passing) return err->status;
    if (s->trouble_s < 0) {
        s->trouble_s = mono_s;
        char line[320];
        (void)snprintf(line, sizeof line, "waiting: %s", err->text);
        bn_progress_say(s->progress, line);
    }
    if (mono_s - s->trouble_s > PATIENCE_S) return err->status;
    *err = (bn_error){0};
    return BN_OK;
}

static bn_status drive(session *s, bn_error *err)
{
    bool done = false;
    while (!done) {
        double mono_s = bn_clock_mono_s();
        if (bn_sweeper_tick(s->sweeper, bn_clock_wall_s(), mono_s, &done, err) == BN_OK) {
            s->trouble_s = -1;
        } else if (endure(s, mono_s, err) != BN_OK) {
            return err->status;
        }
        bn_progress_show(s->progress, s->sweeper, mono_s, done);
        if (done) break;
        bn_status status = hear(s, bn_signals_wait(WAIT_S), err);
        if (status != BN_OK && endure(s, mono_s, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

static int exit_code(const session *s)
{
    bn_sweep_look look;
    bn_sweeper_look(s->sweeper, &look);
    if (s->signals) return 128 + s->last_sign;
    int64_t bad =
        look.counts[BN_RUN_FAILED] + look.counts[BN_RUN_CRASHED] + look.counts[BN_RUN_KILLED];
    return bad > 0 || look.gave_up ? BN_EXIT_PARTIAL : BN_EXIT_OK;
}

static void print_json(const session *s, const bn_sweep_look *look)
{
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "sweep");
    bn_json_string(&json, s->spec->name);
    bn_json_key(&json, "state");
    bn_json_string(&json, bn_sweep_state_name(look->state));
    bn_json_key(&json, "planned");
    bn_json_int(&json, look->planned);
    bn_json_key(&json, "target_reached");
    bn_json_bool(&json, look->reached);
    bn_json_key(&json, "counts");
    bn_json_object(&json);
    for (int state = 0; state <= BN_RUN_SKIPPED; state++) {
        bn_json_key(&json, bn_run_state_name((bn_run_state)state));
        bn_json_int(&json, look->counts[state]);
    }
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    (void)printf("%s\n", text.data ? text.data : "");
    bn_text_release(&text);
}

/* Whether there is something to hold against something else. */
static bool has_sides(const session *s)
{
    size_t count = 0, first = 0;
    const bn_run *runs = bn_sweeper_runs(s->sweeper, &count);
    for (size_t i = 0; i < count; i++) {
        bool counts = runs[i].state == BN_RUN_FINISHED || runs[i].state == BN_RUN_SKIPPED;
        if (!counts || !*runs[i].variant) continue;
        if (first == 0) first = i + 1;
        if (strcmp(runs[i].variant, runs[first - 1].variant) != 0) return true;
    }
    return false;
}

/* What bnexp compare says. */
static void print_comparison(const session *s, const char *home)
{
    char command[] = "compare", at[] = "--home", of[] = "--sweep";
    char place[BN_PATH_MAX], name[BN_NAME_MAX];
    (void)snprintf(place, sizeof place, "%s", home);
    (void)snprintf(name, sizeof name, "%s", s->spec->name);
    char *argv[] = {command, at, place, of, name, NULL};
    (void)printf("\n");
    (void)bn_cmd_compare(5, argv);
}

static void print_outcome(const session *s, const char *home)
{
    bn_sweep_look look;
    bn_sweeper_look(s->sweeper, &look);
    size_t count = 0;
    const bn_run *runs = bn_sweeper_runs(s->sweeper, &count);
    if (count > 0) bn_invalid_print(s->store, runs[0].sweep, stderr);
    if (s->options->json) {
        print_json(s, &look);
        return;
    }
    (void)printf("sweep '%s': ", s->spec->name);
    const char *comma = "";
    for (int state = 0; state <= BN_RUN_SKIPPED; state++) {
        if (look.counts[state] == 0) continue;
        (void)printf("%s%lld %s", comma, (long long)look.counts[state],
                     bn_run_state_name((bn_run_state)state));
        comma = ", ";
    }
    (void)printf("\n");
    if (look.gave_up) {
        (void)printf("gave up: every run failed so far; see 'bnexp ls' for the reasons\n");
    }
    if (look.reached) {
        (void)printf("a run has %s %s %.12g, the target: nothing more was started\n",
                     s->spec->metric, s->spec->maximize ? ">=" : "<=", s->spec->target);
    }
    if (s->signals) {
        (void)printf("go on with: bnexp sweep %s\n", s->options->file);
    } else if (has_sides(s)) {
        print_comparison(s, home);
    }
}

/* --new: the first of NAME-2, NAME-3, ... that the home does not have. */
static bn_status rename_fresh(bn_spec *spec, bn_store *store, bn_error *err)
{
    char name[sizeof spec->name];
    bn_sweep known;
    for (int number = 1; number < 100000; number++) {
        bn_error missing = {0};
        if (number == 1) {
            (void)snprintf(name, sizeof name, "%s", spec->name);
        } else {
            (void)snprintf(name, sizeof name, "%.80s-%d", spec->name, number);
        }
        bn_status status = bn_sweep_find(store, name, &known, &missing);
        if (status == BN_ENOENT) {
            (void)snprintf(spec->name, sizeof spec->name, "%s", name);
            return BN_OK;
        }
        if (status != BN_OK) return bn_fail(err, status, "%s", missing.text);
    }
    return bn_fail(err, BN_EINVAL, "the home has too many sweeps called '%s'", spec->name);
}

static bn_status open_store(session *s, const char *home, bn_error *err)
{
    if (bn_store_open(&s->store, home, BN_STORE_WRITE, err) != BN_OK) return err->status;
    if (s->options->fresh && rename_fresh(s->spec, s->store, err) != BN_OK) return err->status;
    return bn_progress_open(&s->progress, s->options->json ? stderr : stdout, s->store, s->spec,
                            err);
}

static bn_status open_session(session *s, const char *home, int jobs, int threads, bn_error *err)
{
    bn_launcher launcher = bn_launch_local_many(); /* before anything large is in memory */
    if (open_store(s, home, err) != BN_OK) {
        launcher.ops->close(launcher.self);
        return err->status;
    }
    bn_sweeper_options options = {.store = s->store,
                                  .home = home,
                                  .spec = s->spec,
                                  .launcher = launcher,
                                  .jobs = jobs,
                                  .threads = threads,
                                  .gpu_ids = s->gpus.ids,
                                  .gpu_count = s->gpus.count,
                                  .origin = s->origin.facts,
                                  .origin_count = s->origin.count,
                                  .force = s->options->force};
    return bn_sweeper_open(&s->sweeper, &options, err);
}

/* Without a key, say, the sweep goes on all the same: what it finds is kept and can be sent later.
 */
static void start_report(session *s, const char *home)
{
    bn_error err = {0};
    const char *name = s->options->report;
    if (!name) return;
    if (bn_report_check(name, &err) != BN_OK ||
        bn_report_start(&s->report, name, home, s->spec->name, &err) != BN_OK) {
        char line[320];
        (void)snprintf(line, sizeof line, "%s; 'bnexp sync %s' sends it later", err.text, name);
        bn_progress_say(s->progress, line);
    }
}

static void end_report(session *s)
{
    const char *how = bn_report_end(&s->report, REPORT_WAIT_S);
    if (!how[0]) return;
    (void)fprintf(stderr, "%s: %s; its log is %s\n", s->report.name, how, s->report.log);
}

/* The file by which a home's manager speaks when nobody looks. */
static bn_status into_background(const char *home, int begun, bn_error *err)
{
    char log[BN_PATH_MAX];
    if (begun < 0) return BN_OK;
    if (bn_path_join(log, home, "manager.log", err) != BN_OK) return err->status;
    return bn_detach_begun(begun, log, err);
}

static bn_status check_gpus(const session *s, int jobs, bn_error *err)
{
    int gpus = s->spec->resources.gpus;
    if (gpus == 0 || gpus * jobs <= s->gpus.count) return BN_OK;
    return bn_fail(err, BN_EINVAL,
                   "%s: %d runs at a time with %d GPU%s each need %d, there %s %d; lower 'jobs'",
                   s->options->file, jobs, gpus, gpus == 1 ? "" : "s", gpus * jobs,
                   s->gpus.count == 1 ? "is" : "are", s->gpus.count);
}

/* begun: of bn_detach, or -1 in the foreground. */
static int run_sweep(session *s, int jobs, int threads, int begun)
{
    bn_error err = {0};
    char home[BN_PATH_MAX], what[160];
    int lock = -1, code = BN_EXIT_ERROR;
    (void)snprintf(what, sizeof what, "sweep %s", s->options->file);
    bn_status status = bn_path_absolute(home, bn_command_home(s->options->home), &err);
    if (status == BN_OK && s->spec->resources.gpus > 0) bn_gpus_find(&s->gpus);
    if (status == BN_OK) status = check_gpus(s, jobs, &err);
    if (status == BN_OK) status = check_data(s->spec, &err);
    if (status == BN_OK) status = bn_manager_lock(home, what, &lock, &err);
    if (status == BN_OK) bn_origin_gather(&s->origin);
    if (status == BN_OK) status = prepare_data(s->spec, home, &s->origin, &err);
    if (status == BN_OK) bn_signals_hold();
    if (status == BN_OK) status = open_session(s, home, jobs, threads, &err);
    if (status == BN_OK) status = into_background(home, begun, &err);
    if (status == BN_OK) start_report(s, home);
    if (status == BN_OK) status = drive(s, &err);
    if (s->progress) bn_progress_clear(s->progress);
    if (status == BN_OK) {
        print_outcome(s, home);
        code = exit_code(s);
    } else {
        code = bn_command_fail(&err);
    }
    bn_sweeper_close(s->sweeper);
    bn_progress_close(s->progress);
    bn_store_close(s->store);
    end_report(s);
    if (lock >= 0) (void)close(lock);
    return code;
}

/* In the foreground, or in a child that goes on when we return. */
static int run_or_detach(const sweep_options *o, bn_spec *spec)
{
    session *s = calloc(1, sizeof *s);
    bn_error err = {0};
    bool parent = false;
    int jobs = 1, threads = 1, code = BN_EXIT_ERROR, begun = -1;
    if (!s) return BN_EXIT_ERROR;
    s->options = o;
    s->spec = spec;
    s->trouble_s = -1;
    share_cores(spec, o->jobs, &jobs, &threads);
    if (o->detach && bn_detach(&parent, &code, &begun, &err) != BN_OK) {
        code = bn_command_fail(&err);
    } else if (parent) {
        if (code == 0) {
            (void)printf("sweep '%s' goes on in the background; see: bnexp watch\n", spec->name);
        }
    } else {
        code = run_sweep(s, jobs, threads, begun);
    }
    free(s);
    return code;
}

int bn_cmd_sweep(int argc, char **argv)
{
    sweep_options o = {0};
    bn_error err = {0};
    bn_spec *spec = calloc(1, sizeof *spec);
    bool help = false;
    int jobs = 1, threads = 1, code = BN_EXIT_OK;
    if (!spec) return BN_EXIT_ERROR;
    bn_status status = parse(argc, argv, &o, &help, &err);
    if (status != BN_OK || help) goto done;
    status = bn_spec_read(spec, o.file, o.sets.items, o.sets.count, &err);
    /* A sweep file that is not there is a wrong argument, not a run that was not found. */
    if (status == BN_ENOENT) err.status = status = BN_EINVAL;
    if (status != BN_OK) goto done;
    if (o.dry) {
        share_cores(spec, o.jobs, &jobs, &threads);
        bn_plan_print how = {
            .home = bn_command_home(o.home), .jobs = jobs, .threads = threads, .json = o.json};
        status = bn_plan_print_to(stdout, spec, &how, &err);
    } else {
        code = run_or_detach(&o, spec);
    }
done:
    bn_spec_release(spec);
    free(spec);
    return status == BN_OK ? code : bn_command_fail(&err);
}
