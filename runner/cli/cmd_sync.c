/* bnexp sync: brings a place outside up to date with the store. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/nearest.h"
#include "reporters/drain.h"
#include "reporters/wandb.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"

typedef struct sync {
    /* What was asked for. */
    const char *home_option, *project, *entity;
    bool all, status, retry, watch, quiet, json;
    int64_t parent;
    double patience_s, first_wait_s, timeout_s;
    const char *home;
    bn_option_list names; /* the reporter, then sweeps */
    /* What is open. */
    bn_store *store;
    bn_feed *feed;
    bn_wandb_settings settings;
    int64_t sweeps[BN_OPTION_LIST_MAX];
} sync;

static const char *variable(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): no thread yet, and none writes */
}

static volatile sig_atomic_t told_to_end; /* by SIGTERM, when a sweep is followed */

static void on_term(int signo)
{
    (void)signo;
    told_to_end = 1;
}

static void hear_the_end(void)
{
    struct sigaction term = {.sa_handler = on_term};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGTERM, &term, NULL);
    (void)sigaction(SIGINT, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
}

/* ---- the world of the drain */

static double steady_s(void *self)
{
    (void)self;
    return bn_clock_mono_s();
}

/* Sleeps in short naps, so that the end of the process we follow is soon seen. */
static bool wait_s(void *self, double seconds)
{
    const sync *s = self;
    double end_s = bn_clock_mono_s() + seconds;
    for (;;) {
        if (told_to_end || (s->parent > 0 && getppid() != s->parent)) return false;
        double left_s = end_s - bn_clock_mono_s();
        if (left_s <= 0) return true;
        double nap_s = left_s < 0.25 ? left_s : 0.25;
        struct timespec nap = {.tv_nsec = (long)(nap_s * 1e9)};
        (void)nanosleep(&nap, NULL);
    }
}

static void tell(void *self, const char *line)
{
    const sync *s = self;
    if (!s->quiet) (void)fprintf(stderr, "bnexp: %s\n", line);
}

/* ---- opening and closing */

/* The key must not lie about in a core file. */
static void forbid_core_files(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}

/* Looks before it opens for writing: syncing a home that is not there must not make one. */
static bn_status open_store(sync *s, const char *reader, bn_error *err)
{
    bn_status status = bn_store_open(&s->store, s->home, BN_STORE_READ, err);
    if (status != BN_OK) return status;
    bn_store_close(s->store);
    s->store = NULL;
    status = bn_store_open(&s->store, s->home, BN_STORE_WRITE, err);
    return status == BN_OK ? bn_feed_open(&s->feed, s->store, reader, err) : status;
}

static bn_status find_sweeps(sync *s, bn_drain_options *options, bn_error *err)
{
    for (size_t i = 1; i < s->names.count; i++) {
        bn_sweep sweep;
        if (bn_sweep_find(s->store, s->names.items[i], &sweep, err) != BN_OK) return err->status;
        s->sweeps[i - 1] = sweep.id;
    }
    options->sweeps = s->sweeps;
    options->sweep_count = s->all ? 0 : s->names.count - 1;
    return BN_OK;
}

static void close_all(sync *s)
{
    bn_feed_close(s->feed);
    bn_store_close(s->store);
}

/* ---- status */

static const char *delivery_of(const bn_feed_mark *mark)
{
    if (mark->blocked[0]) return "refused";
    if (mark->behind) return "behind";
    return mark->heard_seq > 0 || bn_run_state_final(mark->state) ? "delivered" : "waiting";
}

static void print_marks_json(const bn_feed_mark *marks, size_t count)
{
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "runs");
    bn_json_array(&json);
    for (size_t i = 0; i < count; i++) {
        bn_json_object(&json);
        bn_json_key(&json, "id");
        bn_json_string(&json, marks[i].key);
        bn_json_key(&json, "name");
        bn_json_string(&json, marks[i].name);
        bn_json_key(&json, "state");
        bn_json_string(&json, bn_run_state_name(marks[i].state));
        bn_json_key(&json, "records");
        bn_json_int(&json, marks[i].next_seq);
        bn_json_key(&json, "delivered");
        bn_json_int(&json, marks[i].heard_seq);
        bn_json_key(&json, "delivery");
        bn_json_string(&json, delivery_of(&marks[i]));
        bn_json_key(&json, "reason");
        bn_json_string(&json, marks[i].blocked[0] ? marks[i].blocked : NULL);
        bn_json_end_object(&json);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    (void)puts(text.failed ? "{}" : text.data);
    bn_text_release(&text);
}

static void print_marks(const bn_feed_mark *marks, size_t count)
{
    (void)printf("%-8s  %-32s  %-9s  %17s  %s\n", "ID", "RUN", "STATE", "DELIVERED", "DELIVERY");
    for (size_t i = 0; i < count; i++) {
        const bn_feed_mark *mark = &marks[i];
        (void)printf("%-8s  %-32.32s  %-9s  %8lld/%-8lld  %s%s%s\n", mark->key, mark->name,
                     bn_run_state_name(mark->state), (long long)mark->heard_seq,
                     (long long)mark->next_seq, delivery_of(mark), mark->blocked[0] ? ": " : "",
                     mark->blocked);
    }
}

static bn_status print_status(sync *s, bn_error *err)
{
    bn_feed_mark *marks = NULL;
    size_t count = 0;
    if (bn_feed_marks(s->feed, &marks, &count, err) != BN_OK) return err->status;
    if (s->json) {
        print_marks_json(marks, count);
    } else {
        print_marks(marks, count);
    }
    free(marks);
    return BN_OK;
}

/* ---- wandb */

static void print_result(const sync *s, const bn_drain_result *result, const char *page)
{
    if (s->quiet) return;
    if (result->runs == 0 && result->blocked == 0) {
        (void)printf("%s: nothing new\n", s->names.items[0]);
        return;
    }
    (void)printf("%s: %lld run%s, %lld record%s delivered%s%s\n", s->names.items[0],
                 (long long)result->runs, result->runs == 1 ? "" : "s", (long long)result->records,
                 result->records == 1 ? "" : "s", page[0] ? " to " : "", page);
}

static int judge_result(const sync *s, bn_status status, const bn_drain_result *result,
                        const bn_error *err)
{
    const char *name = s->names.items[0];
    if (status == BN_EAGAIN) {
        (void)fprintf(stderr, "bnexp: %s: %s; what is missing is kept, run 'bnexp sync %s' again\n",
                      name, err->text, name);
        return BN_EXIT_ERROR;
    }
    if (status != BN_OK) return bn_command_fail(err);
    if (result->blocked == 0) return BN_EXIT_OK;
    (void)fprintf(stderr,
                  "bnexp: %s refused %lld run%s (%s); 'bnexp sync %s --status' lists them, "
                  "--retry tries again\n",
                  name, (long long)result->blocked, result->blocked == 1 ? "" : "s", result->why,
                  name);
    return BN_EXIT_PARTIAL;
}

static int drain_wandb(sync *s, const bn_wandb_options *options, bn_error *err)
{
    bn_reporter reporter = {0};
    bn_drain_result result = {0};
    bn_drain_options how = bn_drain_defaults();
    bn_drain_world world = {.self = s, .now_s = steady_s, .wait = wait_s, .tell = tell};
    char page[800] = "";
    how.watch = s->watch;
    how.patience_s = s->patience_s;
    bn_status status = find_sweeps(s, &how, err);
    if (status == BN_OK) status = bn_wandb_open(&reporter, s->store, s->feed, options, err);
    if (status == BN_OK) {
        status = bn_drain(s->feed, &reporter, &how, &world, &result, err);
        bn_error ignored = {0}; /* the runs are there; their sweep's state is an ornament */
        if (status == BN_OK) (void)!bn_wandb_end(&reporter, &ignored);
        bn_wandb_page(&reporter, page, sizeof page);
        reporter.ops->close(reporter.self);
        if (status == BN_OK || result.runs > 0) print_result(s, &result, page);
    }
    return judge_result(s, status, &result, err);
}

static int sync_wandb(sync *s)
{
    bn_error err = {0};
    bn_wandb_flags flags = {.entity = s->entity, .project = s->project};
    if (bn_wandb_settings_read(&s->settings, &flags, variable, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    s->quiet = s->quiet || s->settings.quiet;
    if (s->settings.mode != BN_WANDB_ONLINE) {
        if (!s->quiet) (void)printf("wandb: WANDB_MODE=%s: nothing sent\n", variable("WANDB_MODE"));
        return BN_EXIT_OK;
    }
    bn_secret key;
    if (bn_credentials_find(&key, s->settings.base_url, variable, &err) != BN_OK) {
        (void)bn_command_fail(&err);
        return BN_EXIT_USAGE;
    }
    bn_wandb_options options = {
        .link = {.user_agent = "bnexp/" BN_VERSION,
                 .base_url = s->settings.base_url,
                 .key = &key,
                 .username = s->settings.username,
                 .email = s->settings.email,
                 .first_wait_s = s->first_wait_s,
                 .timeout_s = s->timeout_s},
        .home = s->home,
        .settings = &s->settings,
        .sweeps = true,
    };
    int code = drain_wandb(s, &options, &err);
    bn_secret_forget(&key);
    return code;
}

/* ---- the command */

typedef struct target {
    const char *name;
    int (*run)(sync *s);
} target;

static const target TARGETS[] = {
    {"wandb", sync_wandb},
};
enum { TARGET_COUNT = sizeof TARGETS / sizeof TARGETS[0] };

static const target *find_target(const char *name, bn_error *err)
{
    for (size_t i = 0; i < TARGET_COUNT; i++) {
        if (strcmp(TARGETS[i].name, name) == 0) return &TARGETS[i];
    }
    const char *near = bn_nearest(name, &TARGETS[0].name, TARGET_COUNT, sizeof TARGETS[0]);
    (void)bn_fail(err, BN_EINVAL, "there is no reporter '%.40s'; did you mean '%s'?", name,
                  near ? near : TARGETS[0].name);
    return NULL;
}

static int run_target(sync *s, const target *to)
{
    bn_error err = {0};
    int code = BN_EXIT_OK;
    s->home = bn_command_home(s->home_option);
    bn_status status = open_store(s, to->name, &err);
    if (status == BN_OK && s->retry) status = bn_feed_retry(s->feed, &err);
    if (status == BN_OK && s->status) {
        status = print_status(s, &err);
    } else if (status == BN_OK) {
        code = to->run(s);
    }
    close_all(s);
    return status == BN_OK ? code : bn_command_fail(&err);
}

int bn_cmd_sync(int argc, char **argv)
{
    sync s = {.patience_s = bn_drain_defaults().patience_s, .first_wait_s = 2};
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &s.home_option, "DIR", "the home (default BNEXP_HOME, runs)"},
        {"--project", 'p', BN_OPTION_TEXT, &s.project, "NAME", "wandb project (default bnexp)"},
        {"--entity", 'e', BN_OPTION_TEXT, &s.entity, "NAME", "wandb user or team"},
        {"--all", 0, BN_OPTION_FLAG, &s.all, NULL, "every sweep of the home (the default)"},
        {"--status", 0, BN_OPTION_FLAG, &s.status, NULL, "show how far each run is, send nothing"},
        {"--json", 0, BN_OPTION_FLAG, &s.json, NULL, "the status as JSON"},
        {"--retry", 0, BN_OPTION_FLAG, &s.retry, NULL, "also runs that were refused before"},
        {"--watch", 'w', BN_OPTION_FLAG, &s.watch, NULL, "stay and follow live runs"},
        {"--parent", 0, BN_OPTION_INT, &s.parent, "PID", "watch until this parent process ends"},
        {"--patience", 0, BN_OPTION_REAL, &s.patience_s, "S", "give up after so long in vain"},
        {"--wait", 0, BN_OPTION_REAL, &s.first_wait_s, "S", "first pause after a failure"},
        {"--timeout", 0, BN_OPTION_REAL, &s.timeout_s, "S", "time for one request"},
        {"--quiet", 'q', BN_OPTION_FLAG, &s.quiet, NULL, "say nothing but errors"},
    };
    const bn_options options = {
        .usage = "bnexp sync wandb [SWEEP...] [options]",
        .about = "Sends what a reporter has not heard yet; a second call sends only what is new.\n"
                 "The key comes from WANDB_API_KEY or ~/.netrc; WANDB_BASE_URL, WANDB_ENTITY,\n"
                 "WANDB_PROJECT, WANDB_TAGS and WANDB_MODE mean what they mean at wandb.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 1,
        .arguments_max = BN_OPTION_LIST_MAX,
    };
    bn_error err = {0};
    bool help = false;
    if (bn_options_parse(&options, argc, argv, &s.names, &help, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    if (help) return BN_EXIT_OK;
    const target *to = find_target(s.names.items[0], &err);
    if (!to) return bn_command_fail(&err);
    forbid_core_files();
    /* A reporter that follows a sweep stays for the last lines, and is told when they have come. */
    if (s.parent > 0) hear_the_end();
    return run_target(&s, to);
}
