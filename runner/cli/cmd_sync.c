/* bnexp sync: brings a place outside up to date with the store. */
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/sha256.h"
#include "reporters/drain.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/sync.h"

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
    const bn_sync *s = self;
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
    const bn_sync *s = self;
    if (!s->quiet) (void)fprintf(stderr, "bnexp: %s\n", line);
}

static bn_status claim(void *self, int64_t sweep, bn_error *err)
{
    const bn_sync *s = self;
    return bn_claim_take(&s->claim, sweep, err);
}

static void unclaim(void *self, int64_t sweep)
{
    const bn_sync *s = self;
    bn_claim_drop(&s->claim, sweep);
}

/* ---- opening and closing */

/* The key must not lie about in a core file. */
static void forbid_core_files(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}

static bool is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    int others = 0;
    if (!folder) return true;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): this folder is ours alone */
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        others += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    (void)closedir(folder);
    return others == 0;
}

/* A reader's name in the store: each folder that files go to has marks of its own. */
static void name_reader(const bn_sync *s, char *out, size_t size)
{
    char hash[BN_SHA256_HEX];
    if (!s->folder[0]) {
        (void)snprintf(out, size, "%s", s->target->name);
        return;
    }
    bn_sha256 sum;
    bn_sha256_init(&sum);
    bn_sha256_add(&sum, s->folder, strlen(s->folder));
    bn_sha256_end(&sum, hash);
    (void)snprintf(out, size, "%s:%.16s", s->target->name, hash);
}

/* Marks are taken back only while no other process moves them on. */
static bn_status forget_marks(bn_sync *s, int64_t sweep, bn_error *err)
{
    bn_status status = bn_claim_take(&s->claim, sweep, err);
    if (status != BN_OK) return bn_fail_in(err, "send all again");
    status = bn_feed_forget(s->feed, sweep, err);
    bn_claim_drop(&s->claim, sweep);
    return status;
}

/* What is to be said once more, of the sweeps asked for. */
static bn_status change_marks(bn_sync *s, const bn_drain_options *how, bn_error *err)
{
    const int64_t all = 0;
    const int64_t *sweeps = how->sweep_count > 0 ? how->sweeps : &all;
    size_t count = how->sweep_count > 0 ? how->sweep_count : 1;
    /* Files that somebody has removed are to be written again, those of other sweeps too. */
    bool lost = s->folder[0] && is_empty_folder(s->folder);
    bn_status status = lost ? forget_marks(s, all, err) : BN_OK;
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if (s->again) status = forget_marks(s, sweeps[i], err);
        if (status == BN_OK && s->retry) status = bn_feed_retry(s->feed, sweeps[i], err);
    }
    return status;
}

/* Looks before it opens for writing: syncing a home that is not there must not make one. */
static bn_status open_store(bn_sync *s, bn_error *err)
{
    char reader[64];
    name_reader(s, reader, sizeof reader);
    bn_status status = bn_store_open(&s->store, s->home, BN_STORE_READ, err);
    if (status != BN_OK) return status;
    bn_store_close(s->store);
    s->store = NULL;
    status = bn_store_open(&s->store, s->home, BN_STORE_WRITE, err);
    if (status == BN_OK) status = bn_feed_open(&s->feed, s->store, reader, err);
    if (status == BN_OK) status = bn_claim_open(&s->claim, s->home, reader, err);
    return status;
}

static bn_status find_sweeps(bn_sync *s, bn_drain_options *options, bn_error *err)
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

/* ---- delivery */

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_result(const bn_sync *s, const bn_drain_result *result, const char *where)
{
    if (s->quiet) return;
    if (result->runs == 0) {
        if (result->blocked == 0) (void)printf("%s: nothing new\n", s->target->name);
        return;
    }
    (void)printf("%s: %lld run%s, %lld record%s delivered%s%s\n", s->target->name,
                 (long long)result->runs, plural(result->runs), (long long)result->records,
                 plural(result->records), where[0] ? " to " : "", where);
}

static bool is_asked_for(const bn_drain_options *how, int64_t sweep)
{
    for (size_t i = 0; i < how->sweep_count; i++) {
        if (how->sweeps[i] == sweep) return true;
    }
    return how->sweep_count == 0;
}

/* A run that was refused by an earlier call is still missing there: that is no success. */
static bn_status count_refused(const bn_sync *s, const bn_drain_options *how,
                               bn_drain_result *result, bn_error *err)
{
    bn_feed_mark *marks = NULL;
    size_t count = 0;
    if (bn_feed_marks(s->feed, &marks, &count, err) != BN_OK) return err->status;
    result->blocked = 0;
    for (size_t i = 0; i < count; i++) {
        if (!marks[i].blocked[0] || !is_asked_for(how, marks[i].sweep)) continue;
        result->blocked++;
        (void)snprintf(result->why, sizeof result->why, "%s", marks[i].blocked);
    }
    free(marks);
    return BN_OK;
}

static int judge_result(const bn_sync *s, bn_status status, const bn_drain_result *result,
                        const bn_error *err)
{
    const char *name = s->target->name;
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
                  name, (long long)result->blocked, plural(result->blocked), result->why, name);
    return BN_EXIT_PARTIAL;
}

static int deliver(bn_sync *s, bn_error *err)
{
    bn_drain_result result = {0};
    bn_drain_options how = bn_drain_defaults();
    bn_drain_world world = {.self = s,
                            .now_s = steady_s,
                            .wait = wait_s,
                            .tell = tell,
                            .claim = claim,
                            .unclaim = unclaim};
    char where[BN_PATH_MAX] = "";
    how.watch = s->watch;
    how.patience_s = s->patience_s;
    bn_status status = find_sweeps(s, &how, err);
    if (status == BN_OK) status = change_marks(s, &how, err);
    if (status == BN_OK) status = s->target->open(s, err);
    if (status == BN_OK) {
        status = bn_drain(s->feed, &s->reporter, &how, &world, &result, err);
        if (result.runs > 0) s->target->end(s, where, sizeof where);
        if (status == BN_OK || result.runs > 0) print_result(s, &result, where);
        s->reporter.ops->close(s->reporter.self);
    }
    if (status == BN_OK) status = count_refused(s, &how, &result, err);
    return judge_result(s, status, &result, err);
}

/* ---- the command */

static int run(bn_sync *s)
{
    bn_error err = {0};
    int code = BN_EXIT_OK;
    s->home = bn_command_home(s->home_option);
    bn_status status = bn_sync_find_target(&s->target, s->names.items[0], &err);
    if (status == BN_OK && s->target->folder && !s->out) {
        status = bn_fail(&err, BN_EINVAL, "%s needs --out DIR", s->target->name);
    }
    if (status == BN_OK && s->artifacts && strcmp(s->target->name, "wandb") != 0) {
        status = bn_fail(&err, BN_EINVAL, "--artifacts goes with wandb only, not with %s",
                         s->target->name);
    }
    if (status == BN_OK && s->out) status = bn_path_absolute(s->folder, s->out, &err);
    if (status == BN_OK && !s->target->folder) s->folder[0] = '\0';
    if (status == BN_OK) status = s->target->prepare(s, &err);
    if (status == BN_OK && s->settings.mode == BN_WANDB_DISABLED) {
        if (!s->quiet) (void)printf("wandb: WANDB_MODE=disabled, nothing sent\n");
        return BN_EXIT_OK;
    }
    if (status == BN_OK) status = open_store(s, &err);
    if (status == BN_OK && s->status) {
        status = bn_sync_print_status(s, &err);
    } else if (status == BN_OK) {
        code = deliver(s, &err);
    }
    bn_claim_close(&s->claim);
    bn_feed_close(s->feed);
    bn_store_close(s->store);
    bn_secret_forget(&s->key);
    return status == BN_OK ? code : bn_command_fail(&err);
}

static const double SECONDS_MAX = 1e9; /* thirty years */

int bn_cmd_sync(int argc, char **argv)
{
    bn_sync s = {
        .claim = {.fd = -1}, .patience_s = bn_drain_defaults().patience_s, .first_wait_s = 2};
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &s.home_option, "DIR", "the home (default BNEXP_HOME, runs)"},
        {"--project", 'p', BN_OPTION_TEXT, &s.project, "NAME", "wandb project (default bnexp)"},
        {"--entity", 'e', BN_OPTION_TEXT, &s.entity, "NAME", "wandb user or team"},
        {"--all", 0, BN_OPTION_FLAG, &s.all, NULL, "every sweep of the home (the default)"},
        {"--artifacts", 0, BN_OPTION_FLAG, &s.artifacts, NULL,
         "finished runs' newest checkpoints, too (wandb)"},
        {"--status", 0, BN_OPTION_FLAG, &s.status, NULL, "show how far each run is, send nothing"},
        {"--json", 0, BN_OPTION_FLAG, &s.json, NULL, "the status as JSON"},
        {"--out", 'o', BN_OPTION_TEXT, &s.out, "DIR",
         "where files go (tensorboard, wandb-offline)"},
        {"--again", 0, BN_OPTION_FLAG, &s.again, NULL, "as if nothing had been sent before"},
        {"--retry", 0, BN_OPTION_FLAG, &s.retry, NULL, "also runs that were refused before"},
        {"--watch", 'w', BN_OPTION_FLAG, &s.watch, NULL, "stay and follow live runs"},
        {"--parent", 0, BN_OPTION_INT, &s.parent, "PID", "watch until this parent process ends"},
        {"--patience", 0, BN_OPTION_REAL, &s.patience_s, "S", "give up after so long in vain"},
        {"--wait", 0, BN_OPTION_REAL, &s.first_wait_s, "S", "first pause after a failure"},
        {"--timeout", 0, BN_OPTION_REAL, &s.timeout_s, "S", "time for one request"},
        {"--quiet", 'q', BN_OPTION_FLAG, &s.quiet, NULL, "say nothing but errors"},
    };
    const bn_option_range ranges[] = {
        {&s.parent, 1, INT_MAX, false},
        {&s.patience_s, 0, SECONDS_MAX, false},
        {&s.first_wait_s, 0, SECONDS_MAX, true},
        {&s.timeout_s, 0, SECONDS_MAX, true},
    };
    const bn_options options = {
        .usage = "bnexp sync wandb|mlflow|tensorboard|wandb-offline [SWEEP...] [options]",
        .about = "Sends what a reporter has not heard yet; a second call sends only what is new.\n"
                 "The key comes from WANDB_API_KEY or ~/.netrc; WANDB_BASE_URL, WANDB_ENTITY,\n"
                 "WANDB_PROJECT, WANDB_TAGS and WANDB_MODE mean what they mean at wandb.\n"
                 "mlflow goes to MLFLOW_TRACKING_URI, the other two write files to --out.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = BN_OPTION_LIST_MAX,
    };
    bn_error err = {0};
    bool help = false;
    if (bn_options_parse(&options, argc, argv, &s.names, &help, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    if (help) return BN_EXIT_OK;
    forbid_core_files();
    /* A reporter that follows a sweep stays for the last lines, and is told when they have come. */
    if (s.parent > 0) hear_the_end();
    return run(&s);
}
