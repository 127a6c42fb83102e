/* cmd_watch.c - bnexp watch: how a sweep that somebody else manages is doing. Only reads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/manager.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"
#include "runner/cli/words.h"
#include "store/history.h"
#include "store/run.h"

static const double EVERY_S = 1.0;

typedef struct watch_flags {
    const char *home;
    bool once, json;
} watch_flags;

typedef struct glance {
    int64_t counts[BN_RUN_SKIPPED + 1], total;
    double best;
    char best_run[BN_NAME_MAX];
} glance;

/* The sweep that was named, or the youngest. */
static bn_status choose(bn_store *store, const char *name, bn_sweep *out, bn_error *err)
{
    bn_sweep *all = NULL;
    size_t count = 0;
    if (name) return bn_sweep_find(store, name, out, err);
    if (bn_sweep_list(store, &all, &count, err) != BN_OK) return err->status;
    if (count > 0) *out = all[count - 1];
    free(all);
    return count > 0 ? BN_OK : bn_fail(err, BN_ENOENT, "the home has no sweep yet");
}

static const bn_run *run_of(const bn_run *runs, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (runs[i].id == id) return &runs[i];
    }
    return NULL;
}

static bn_status read_glance(bn_store *store, const bn_sweep *sweep, glance *out, bn_error *err)
{
    bn_run *runs = NULL;
    bn_latest *latest = NULL;
    size_t count = 0, numbers = 0;
    int64_t best = 0;
    *out = (glance){.best = (double)NAN};
    bn_status status = bn_run_list(store, sweep->id, &runs, &count, err);
    if (status == BN_OK) {
        status = bn_history_latest_of(store, sweep->id, sweep->metric, &latest, &numbers, err);
    }
    for (size_t i = 0; status == BN_OK && i < numbers; i++) {
        double value = sweep->maximize ? latest[i].max : latest[i].min;
        bool better = sweep->maximize ? value > out->best : value < out->best;
        if (!isfinite(value) || !(better || isnan(out->best))) continue;
        out->best = value;
        best = latest[i].run;
    }
    for (size_t i = 0; status == BN_OK && i < count; i++) out->counts[runs[i].state]++;
    const bn_run *run = run_of(runs, count, best);
    if (run) (void)snprintf(out->best_run, sizeof out->best_run, "%s", run->name);
    out->total = (int64_t)count;
    free(runs);
    free(latest);
    return status;
}

static void print_glance(const bn_sweep *sweep, const glance *now, bool managed)
{
    char number[BN_WORDS_MAX];
    bool open = sweep->state == BN_SWEEP_RUNNING || sweep->state == BN_SWEEP_PAUSED;
    const char *comma = "";
    (void)printf("%s (%s%s):", sweep->name, bn_sweep_state_name(sweep->state),
                 managed || !open ? "" : ", nobody manages it");
    for (int state = 0; state <= BN_RUN_SKIPPED; state++) {
        if (now->counts[state] == 0) continue;
        (void)printf("%s %lld %s", comma, (long long)now->counts[state],
                     bn_run_state_name((bn_run_state)state));
        comma = ",";
    }
    if (*now->best_run) {
        (void)printf("; best %s %s (%s)", sweep->metric, bn_words_number(number, now->best),
                     now->best_run);
    }
}

/* The same as one line of JSON, without its newline. */
static bn_status print_json(const bn_sweep *sweep, const glance *now, bool managed, bn_error *err)
{
    bn_text out = {0};
    bn_json json = bn_print_begin(&out);
    bn_json_key(&json, "sweep");
    bn_json_string(&json, sweep->name);
    bn_json_key(&json, "state");
    bn_json_string(&json, bn_sweep_state_name(sweep->state));
    bn_json_key(&json, "managed");
    bn_json_bool(&json, managed);
    bn_json_key(&json, "counts");
    bn_json_object(&json);
    for (int state = 0; state <= BN_RUN_SKIPPED; state++) {
        bn_json_key(&json, bn_run_state_name((bn_run_state)state));
        bn_json_int(&json, now->counts[state]);
    }
    bn_json_end_object(&json);
    bn_json_key(&json, "metric");
    bn_json_string(&json, sweep->metric);
    bn_json_key(&json, "best");
    bn_json_real(&json, now->best);
    bn_json_key(&json, "best_run");
    bn_json_string(&json, *now->best_run ? now->best_run : NULL);
    bn_json_end_object(&json);
    bn_status status = bn_print_text(&out, err);
    bn_text_release(&out);
    return status;
}

static bool is_over(const glance *now, bool managed)
{
    bool waits = now->counts[BN_RUN_PENDING] + now->counts[BN_RUN_PREEMPTED] > 0;
    return now->counts[BN_RUN_RUNNING] == 0 && (!managed || !waits);
}

static bn_status print(const watch_flags *flags, const bn_sweep *sweep, const glance *now,
                       bool managed, bn_error *err)
{
    if (flags->json) return print_json(sweep, now, managed, err);
    print_glance(sweep, now, managed);
    return BN_OK;
}

/* A line whenever something has changed; on a terminal the same line again and again. */
static bn_status watch(bn_store *store, const watch_flags *flags, const char *home, bn_sweep *sweep,
                       bn_error *err)
{
    glance before = {.total = -1}, now;
    char holder[160];
    bool terminal = isatty(STDOUT_FILENO) == 1 && !flags->once && !flags->json;
    while (bn_sweep_get(store, sweep->id, sweep, err) == BN_OK) {
        bool managed = bn_manager_holder(home, holder);
        if (read_glance(store, sweep, &now, err) != BN_OK) break;
        bool news = memcmp(before.counts, now.counts, sizeof now.counts) != 0;
        if (terminal) (void)printf("\r\033[K");
        bool told = terminal || news;
        if (told && print(flags, sweep, &now, managed, err) != BN_OK) break;
        bool over = flags->once || is_over(&now, managed);
        if (terminal ? over : news) (void)printf("\n");
        (void)fflush(stdout);
        if (over) return BN_OK;
        before = now;
        int signo = bn_signals_wait(EVERY_S);
        if (signo) {
            (void)printf("\n");
            return BN_OK;
        }
    }
    return err->status;
}

int bn_cmd_watch(int argc, char **argv)
{
    watch_flags flags = {0};
    bn_error err = {0};
    bn_store *store = NULL;
    bn_sweep sweep = {.id = 0};
    char home[BN_PATH_MAX];
    bool help = false;
    const bn_option table[] = {
        {"--once", 0, BN_OPTION_FLAG, &flags.once, NULL, "one look instead of many"},
        {"--json", 0, BN_OPTION_FLAG, &flags.json, NULL, "JSON, a line whenever something changes"},
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
    };
    const bn_options options = {
        .usage = "bnexp watch [SWEEP] [options]",
        .about =
            "Shows how a sweep is doing until nothing runs any more: by name, else the youngest.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 0,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status != BN_OK || help) return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
    status = bn_path_absolute(home, bn_command_home(flags.home), &err);
    if (status == BN_OK) status = bn_store_open(&store, home, BN_STORE_READ, &err);
    if (status == BN_OK) {
        status = choose(store, arguments.count ? arguments.items[0] : NULL, &sweep, &err);
    }
    if (!flags.once) bn_signals_hold();
    if (status == BN_OK) status = watch(store, &flags, home, &sweep, &err);
    bn_store_close(store);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
