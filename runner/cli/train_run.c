#include "runner/cli/train_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/sha256.h"
#include "runner/cli/command.h"
#include "runner/cli/manager.h"
#include "runner/cli/progress.h"
#include "runner/cli/train_ranks.h"
#include "runner/fleet/launch_local.h"
#include "runner/sweep_start.h"
#include "store/history.h"

static const char SWEEP_NAME[] = "train";
static const char SWEEP_TEXT[] = "# single runs, by bnexp train\n";
static const double WAIT_S = 0.1, SAY_EVERY_S = 1.0, GRACE_S = 60;
enum { TRIES = 100, EXIT_STOPPED = 75 };

typedef struct single {
    const bn_train_run *job;
    char home[BN_PATH_MAX];
    bn_store *store;
    bn_fleet *fleet;
    bn_run run;
    int signals;
    int64_t said_step;
    double said_s;
} single;

static void hash_text(const char *text, char hex[BN_SHA256_HEX])
{
    bn_sha256 hash;
    bn_sha256_init(&hash);
    bn_sha256_add(&hash, text, strlen(text));
    bn_sha256_end(&hash, hex);
}

static bn_status find_sweep(single *s, int64_t *sweep, size_t *runs, bn_error *err)
{
    bn_sweep row = {.seed = 0};
    bn_run *list = NULL;
    bool found = false;
    (void)snprintf(row.name, sizeof row.name, "%s", SWEEP_NAME);
    (void)snprintf(row.method, sizeof row.method, "single");
    (void)snprintf(row.metric, sizeof row.metric, "val/loss");
    hash_text(SWEEP_TEXT, row.hash);
    bn_status status = bn_sweep_add(s->store, &row, SWEEP_TEXT, &found, err);
    if (status == BN_OK) status = bn_run_list(s->store, row.id, &list, runs, err);
    free(list);
    *sweep = row.id;
    return status;
}

/* Adds the row under the first number that is free; somebody else may take one at the same time. */
static bn_status add_row(single *s, const bn_run_new *fixed, size_t first, bn_error *err)
{
    char name[BN_NAME_MAX], dir[512];
    for (size_t number = first; number < first + TRIES; number++) {
        bn_run_new row = *fixed;
        row.number = (int)number;
        row.name = name;
        row.dir = dir;
        (void)snprintf(name, sizeof name, "%s-%zu", s->job->name, number + 1);
        (void)snprintf(dir, sizeof dir, "%s/%s", SWEEP_NAME, name);
        bn_status status = bn_run_add(s->store, &row, &s->run, err);
        if (status != BN_OK) return status;
        if (s->run.attempt == 0 && strcmp(s->run.name, name) == 0) return BN_OK;
    }
    return bn_fail(err, BN_EAGAIN, "too many runs of '%s' start at once", s->job->name);
}

static size_t fill_params(const bn_config *config, bn_param *out, size_t room)
{
    size_t count = 0;
    char words[4096];
    const bn_knob *table = bn_knob_table(&count);
    for (size_t i = 0; i < count && i < room; i++) {
        bn_text text;
        bn_text_fixed(&text, words, sizeof words);
        bn_json json = {.text = &text};
        bn_config_json_value(config, &table[i], &json);
        (void)snprintf(out[i].name, sizeof out[i].name, "%s", table[i].name);
        (void)snprintf(out[i].value, sizeof out[i].value, "%s", words);
        if (text.length >= sizeof out[i].value) {
            (void)snprintf(out[i].value + sizeof out[i].value - 5, 5, "...\"");
        }
    }
    return count < room ? count : room;
}

static bn_status register_run(single *s, bn_error *err)
{
    enum { PARAMS_MAX = 160 };
    bn_text whole = {0}, identity = {0};
    bn_json whole_json = {.text = &whole}, identity_json = {.text = &identity};
    char variant[32], hash[BN_SHA256_HEX];
    int64_t sweep = 0;
    size_t runs = 0;
    bn_param *params = calloc(PARAMS_MAX, sizeof *params);
    bn_status status = find_sweep(s, &sweep, &runs, err);
    bn_config_json(s->job->config, false, &whole_json);
    bn_config_json(s->job->config, true, &identity_json);
    if (status == BN_OK && (!params || whole.failed || identity.failed)) {
        status = bn_fail(err, BN_ENOMEM, "no memory for a run");
    }
    if (status == BN_OK) {
        hash_text(identity.data, hash);
        bn_run_new row = {.sweep = sweep,
                          .config_json = whole.data,
                          .params = params,
                          .param_count = fill_params(s->job->config, params, PARAMS_MAX),
                          .variant = bn_config_word(s->job->config, "quant.variant", variant),
                          .config_hash = hash};
        status = add_row(s, &row, runs, err);
    }
    bn_text_release(&whole);
    bn_text_release(&identity);
    free(params);
    return status;
}

static double value_of(const bn_latest *latest, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(latest[i].key, key) == 0) return latest[i].last;
    }
    return (double)NAN;
}

/* "tiny-3: step 120/200, train/loss 2.31, val/loss 2.40, 51200 tokens/s" */
static void say(single *s, const bn_member *m, double mono_s)
{
    bn_latest *latest = NULL;
    size_t count = 0;
    bn_error ignored = {0};
    if (m->source.last_step <= s->said_step || mono_s - s->said_s < SAY_EVERY_S) return;
    s->said_step = m->source.last_step;
    s->said_s = mono_s;
    if (bn_history_latest(s->store, s->run.id, &latest, &count, &ignored) != BN_OK) return;
    FILE *out = s->job->json ? stderr : stdout;
    (void)fprintf(out, "%s: step %lld/%lld", s->run.name, (long long)s->said_step,
                  (long long)s->job->config->train.steps);
    static const char *const shown[] = {"train/loss", "val/loss", "tokens_per_s"};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        double number = value_of(latest, count, shown[i]);
        if (isfinite(number)) (void)fprintf(out, ", %s %.5g", shown[i], number);
    }
    (void)fprintf(out, "\n");
    (void)fflush(out);
    free(latest);
}

static bn_status start(single *s, bn_error *err)
{
    const char *launcher[BN_TRAIN_RANKS_ENV];
    const bn_train_run *job = s->job;
    bn_start_options options = {.store = s->store,
                                .home = s->home,
                                .gpus = job->gpus ? job->gpus->count : 0,
                                .gpu_ids = job->gpus ? job->gpus->ids : NULL,
                                .gpu_count = job->gpus ? job->gpus->count : 0,
                                .ranks = job->rank_count,
                                .more = bn_train_ranks_environment(job->ranks, launcher),
                                .threads = s->job->config->train.threads > 0
                                               ? (int)s->job->config->train.threads
                                               : bn_cores()};
    bn_status status = bn_fleet_plan(s->fleet, &s->run, err);
    if (status == BN_OK) status = bn_fleet_commit(s->fleet, bn_clock_wall_s(), err);
    if (status != BN_OK) return status;
    if (bn_fleet_count(s->fleet) == 0) return bn_fail(err, BN_ESTALE, "somebody else started it");
    const bn_member *member = bn_fleet_at(s->fleet, 0);
    bn_start_run(s->fleet, member, &options, bn_clock_mono_s());
    return bn_train_ranks_call(job->ranks, s->home, member->dir, err);
}

static bn_status watch(single *s, bn_error *err)
{
    while (bn_fleet_count(s->fleet) > 0) {
        double mono_s = bn_clock_mono_s();
        bn_status status = bn_fleet_tick(s->fleet, bn_clock_wall_s(), mono_s, err);
        if (status == BN_OK && bn_fleet_count(s->fleet) > 0) {
            say(s, bn_fleet_at(s->fleet, 0), mono_s);
        }
        if (status == BN_OK) status = bn_fleet_commit(s->fleet, bn_clock_wall_s(), err);
        if (status != BN_OK) return status;
        if (bn_fleet_count(s->fleet) == 0) break;
        if (bn_signals_wait(WAIT_S) == 0) continue;
        bool force = s->signals++ > 0;
        status = bn_fleet_ask_all(s->fleet, BN_ASK_LATER, "interrupted", force, err);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

static void print_json(const single *s, const bn_run *row)
{
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_latest *latest = NULL;
    size_t count = 0;
    bn_error ignored = {0};
    if (bn_history_latest(s->store, row->id, &latest, &count, &ignored) != BN_OK) count = 0;
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "id");
    bn_json_string(&json, row->key);
    bn_json_key(&json, "name");
    bn_json_string(&json, row->name);
    bn_json_key(&json, "state");
    bn_json_string(&json, bn_run_state_name(row->state));
    bn_json_key(&json, "reason");
    bn_json_string(&json, row->reason);
    bn_json_key(&json, "dir");
    bn_json_string(&json, row->dir);
    bn_json_key(&json, "latest");
    bn_json_object(&json);
    for (size_t i = 0; i < count; i++) {
        bn_json_key(&json, latest[i].key);
        bn_json_real(&json, latest[i].last);
    }
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    (void)printf("%s\n", text.data ? text.data : "");
    bn_text_release(&text);
    free(latest);
}

/* What became of it, in words and as an exit code. */
static int tell(const single *s)
{
    bn_run row;
    bn_error err = {0};
    char time[32];
    if (bn_run_get(s->store, s->run.id, &row, &err) != BN_OK) return bn_command_fail(&err);
    bool went = row.state == BN_RUN_FINISHED || row.state == BN_RUN_PREEMPTED;
    if (s->job->json) print_json(s, &row);
    if (!s->job->json || !went) {
        (void)fprintf(went ? stdout : stderr, "%s%s: %s after %s%s%s; its folder is %s/%s\n",
                      went ? "" : "bnexp: ", row.name, bn_run_state_name(row.state),
                      bn_progress_time(time, row.duration_s), *row.reason ? ": " : "", row.reason,
                      s->home, row.dir);
    }
    if (row.state == BN_RUN_FINISHED) return BN_EXIT_OK;
    if (row.state == BN_RUN_PREEMPTED) return EXIT_STOPPED;
    return row.exit_code == BN_EXIT_USAGE ? BN_EXIT_USAGE : BN_EXIT_ERROR;
}

int bn_train_run_do(const bn_train_run *job)
{
    single s = {.job = job, .said_step = -1, .said_s = -INFINITY};
    bn_error err = {0};
    int code = BN_EXIT_ERROR;
    bn_status status = bn_path_absolute(s.home, job->home, &err);
    if (status == BN_OK) status = bn_store_open(&s.store, s.home, BN_STORE_WRITE, &err);
    if (status == BN_OK) status = register_run(&s, &err);
    if (status == BN_OK) {
        bn_fleet_options fleet = {.store = s.store,
                                  .home = s.home,
                                  .launcher = bn_launch_local(),
                                  .slots = 1,
                                  .grace_s = GRACE_S};
        status = bn_fleet_open(&s.fleet, &fleet, &err);
    }
    bn_signals_hold();
    if (status == BN_OK) status = start(&s, &err);
    if (status == BN_OK) status = watch(&s, &err);
    code = status == BN_OK ? tell(&s) : bn_command_fail(&err);
    bn_train_ranks_hush(job->ranks, s.home);
    bn_fleet_close(s.fleet);
    bn_store_close(s.store);
    return code;
}
