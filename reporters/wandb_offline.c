#include "reporters/wandb_offline.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "reporters/protobuf.h"
#include "reporters/tail_file.h"
#include "reporters/wandb_frame.h"
#include "reporters/wandb_inside.h"
#include "reporters/wandb_log.h"

enum { FILE_HEAD_BYTES = 7, FLUSH_BYTES = 1 << 20 };

/* Fields of wandb's Record and of the messages in it. */
enum {
    RECORD_NUM = 1,
    RECORD_HISTORY = 2,
    RECORD_SUMMARY = 3,
    RECORD_STATS = 7,
    RECORD_METRIC = 12,
    RECORD_OUTPUT = 13,
    RECORD_RUN = 17,
    RECORD_EXIT = 18,
    RECORD_FINAL = 20,
    RECORD_HEADER = 21,
    RECORD_FOOTER = 22,
};
enum { ITEM_KEY = 1, ITEM_NESTED_KEY = 2, ITEM_VALUE = 16, UPDATE = 1 };
enum { HISTORY_ITEM = 1, HISTORY_STEP = 2, STEP_NUM = 1 };
enum {
    RUN_ID = 1,
    RUN_ENTITY = 2,
    RUN_PROJECT = 3,
    RUN_CONFIG = 4,
    RUN_GROUP = 6,
    RUN_JOB_TYPE = 7,
    RUN_DISPLAY_NAME = 8,
    RUN_NOTES = 9,
    RUN_TAGS = 10,
    RUN_HOST = 13,
    RUN_START_TIME = 17,
    RUN_GIT = 21,
};

/* What is remembered between two pushes of a run. */
typedef struct memo {
    int64_t bytes;  /* of the file, without what ends it */
    int64_t number; /* of the last record in them */
    bn_wandb_clock clock;
    bn_wandb_log_mark log; /* console lines in them */
} memo;

typedef struct offline {
    bn_store *store;
    const char *dir;
    bn_wandb_options options;
    memo memo;
    char path[BN_PATH_MAX];              /* of the run's file */
    bn_wandb_memo console;               /* the plan of console lines, and when they were read */
    bn_text file, record, message, item; /* what is added; scratch */
} offline;

/* The message as the next Record. */
static void add_record(offline *o, int field)
{
    bn_text_clear(&o->record);
    bn_pb_int(&o->record, RECORD_NUM, ++o->memo.number);
    bn_pb_message(&o->record, field, &o->message);
    bn_wandb_frame_add(&o->file, o->memo.bytes, &o->record);
    bn_text_clear(&o->message);
}

static void add_item(offline *o, int field, const char *key, const char *value_json)
{
    bn_text_clear(&o->item);
    bn_pb_text(&o->item, ITEM_KEY, key);
    bn_pb_text(&o->item, ITEM_VALUE, value_json);
    bn_pb_message(&o->message, field, &o->item);
}

static void add_number(offline *o, int field, const char *key, double number)
{
    char buffer[40];
    bn_text text;
    bn_text_fixed(&text, buffer, sizeof buffer);
    bn_text_number(&text, number, BN_NONFINITE_BARE);
    add_item(o, field, key, buffer);
}

/* ---- the begin */

typedef struct config_place {
    offline *o;
    bn_text *config;
} config_place;

static void see_value(void *self, const char *quoted_name, const char *value_json)
{
    const config_place *at = self;
    if (!quoted_name) {
        at->config->failed = true;
        return;
    }
    json_t *name = json_loads(quoted_name, JSON_DECODE_ANY, NULL);
    bn_text_clear(&at->o->item);
    bn_pb_text(&at->o->item, ITEM_KEY, name ? json_string_value(name) : "");
    bn_pb_text(&at->o->item, ITEM_VALUE, value_json);
    bn_pb_message(at->config, UPDATE, &at->o->item);
    json_decref(name);
}

/* The Python `wandb sync` fills in its own block only where there is one already. */
static bn_status write_config(offline *o, int64_t run, bn_text *config, bn_error *err)
{
    char *flat = NULL;
    config_place at = {o, config};
    bn_status status = bn_run_config(o->store, run, &flat, err);
    if (status == BN_OK) status = bn_wandb_config_each(flat, see_value, &at, err);
    see_value(&at, "\"_wandb\"", "{}");
    free(flat);
    return status;
}

/* protobuf's text is UTF-8, and readers refuse a record with other bytes. */
static void add_clean(bn_text *message, int field, const char *words)
{
    bn_text quoted = {0};
    bn_text_quoted(&quoted, words);
    json_t *clean = quoted.failed ? NULL : json_loads(quoted.data, JSON_DECODE_ANY, NULL);
    if (clean) bn_pb_text(message, field, json_string_value(clean));
    if (!clean) message->failed = true;
    json_decref(clean);
    bn_text_release(&quoted);
}

/* What people and the trainer said: notes, tags, commit. */
static bn_status write_words(offline *o, const bn_run *run, bn_error *err)
{
    enum { GIT_COMMIT = 2 };
    bn_wandb_words about;
    const char *tags[BN_WANDB_TAGS_MAX];
    bn_status status = bn_wandb_words_read(&about, o->store, o->options.settings, run->id, err);
    add_clean(&o->message, RUN_NOTES, about.notes.data ? about.notes.data : "");
    size_t count = bn_wandb_words_tags(&about, run, tags);
    for (size_t i = 0; i < count; i++) add_clean(&o->message, RUN_TAGS, tags[i]);
    if (about.commit[0]) {
        bn_text_clear(&o->item);
        bn_pb_text(&o->item, GIT_COMMIT, about.commit);
        bn_pb_message(&o->message, RUN_GIT, &o->item);
    }
    bn_wandb_words_release(&about);
    return status;
}

static void write_time(offline *o, int field, double wall_s)
{
    enum { SECONDS = 1, NANOS = 2 };
    bn_text_clear(&o->item);
    bn_pb_int(&o->item, SECONDS, (int64_t)wall_s);
    bn_pb_int(&o->item, NANOS, (int64_t)((wall_s - floor(wall_s)) * 1e9));
    bn_pb_message(&o->message, field, &o->item);
}

static void write_head(offline *o)
{
    static const char head[FILE_HEAD_BYTES] = {':', 'W', '&', 'B', (char)0xE1, (char)0xBE, 0};
    bn_text_add_bytes(&o->file, head, sizeof head);
    add_record(o, RECORD_HEADER);
}

static bn_status begin(offline *o, const bn_run *run, bn_error *err)
{
    const bn_wandb_settings *settings = o->options.settings;
    bn_wandb_want want;
    bn_text config = {0};
    double start_s = isfinite(run->started_s) ? run->started_s : run->created_s;
    o->memo = (memo){.clock = {.start_s = start_s, .wall_s = NAN, .step = -1}};
    write_head(o);
    bn_status status = write_config(o, run->id, &config, err);
    if (status == BN_OK) {
        status = bn_wandb_want_read(&want, o->store, &o->options, run->sweep, err);
    }
    if (status != BN_OK) goto done;
    bn_pb_text(&o->message, RUN_ID, run->key);
    bn_pb_text(&o->message, RUN_ENTITY, want.entity);
    bn_pb_text(&o->message, RUN_PROJECT, want.project);
    bn_pb_message(&o->message, RUN_CONFIG, &config);
    bn_pb_text(&o->message, RUN_GROUP, settings->group[0] ? settings->group : run->sweep_name);
    bn_pb_text(&o->message, RUN_JOB_TYPE, settings->job_type);
    bn_pb_text(&o->message, RUN_DISPLAY_NAME, run->name);
    status = write_words(o, run, err);
    bn_pb_text(&o->message, RUN_HOST, run->host);
    write_time(o, RUN_START_TIME, start_s);
    add_record(o, RECORD_RUN);
done:
    bn_text_release(&config);
    return status;
}

/* ---- the middle */

static void add_history(offline *o, const bn_record *record)
{
    bn_wandb_clock *clock = &o->memo.clock;
    clock->wall_s = isfinite(record->wall_s) ? record->wall_s : clock->start_s;
    clock->step = record->step > clock->step ? record->step : clock->step + 1;
    for (size_t i = 0; i < record->count; i++) {
        if (record->values[i].key[0] == '_') continue; /* wandb's own */
        add_number(o, HISTORY_ITEM, record->values[i].key, record->values[i].number);
    }
    add_number(o, HISTORY_ITEM, "_step", (double)clock->step);
    add_number(o, HISTORY_ITEM, "_runtime", fmax(0, clock->wall_s - clock->start_s));
    add_number(o, HISTORY_ITEM, "_timestamp", clock->wall_s);
    bn_text_clear(&o->item);
    bn_pb_int(&o->item, STEP_NUM, clock->step);
    bn_pb_message(&o->message, HISTORY_STEP, &o->item);
    add_record(o, RECORD_HISTORY);
}

/* What the record says of the machine. */
static void add_stats(offline *o, const bn_record *record)
{
    enum { STATS_TYPE = 1, STATS_TIME = 2, STATS_ITEM = 3, SYSTEM = 0 };
    static const char prefix[] = "system."; /* the reader puts it in front again */
    for (size_t i = 0; i < record->count; i++) {
        double factor = 1;
        const char *name = bn_wandb_system_name(record->values[i].key, &factor);
        if (!name) continue;
        if (o->message.length == 0) {
            bn_pb_int(&o->message, STATS_TYPE, SYSTEM);
            write_time(o, STATS_TIME, o->memo.clock.wall_s);
        }
        add_number(o, STATS_ITEM, name + strlen(prefix), record->values[i].number * factor);
    }
    if (o->message.length > 0) add_record(o, RECORD_STATS);
}

static void add_output(void *self, const char *words, size_t length, bool from_stderr)
{
    enum { OUTPUT_TYPE = 1, OUTPUT_TIME = 2, OUTPUT_LINE = 3, STDERR = 0, STDOUT = 1 };
    offline *o = self;
    bn_text line = {0};
    bn_wandb_log_words(&line, words,
                       length < BN_WANDB_LOG_LINE_MAX ? length : BN_WANDB_LOG_LINE_MAX);
    bn_text_add(&line, "\n");
    bn_pb_int(&o->message, OUTPUT_TYPE, from_stderr ? STDERR : STDOUT);
    write_time(o, OUTPUT_TIME, o->console.plan_read_s);
    add_clean(&o->message, OUTPUT_LINE, line.data ? line.data : "");
    if (line.failed) o->message.failed = true;
    bn_text_release(&line);
    add_record(o, RECORD_OUTPUT);
}

/* Writes what is gathered. It lies behind the mark until the push is acked. */
static bn_status flush(offline *o, bn_error *err)
{
    if (bn_tail_file_add(o->path, o->memo.bytes, &o->file, err) != BN_OK) return err->status;
    o->memo.bytes += (int64_t)o->file.length;
    bn_text_clear(&o->file);
    return BN_OK;
}

/* A console may be larger than memory: it is read and written stretch by stretch. */
static bn_status add_console(offline *o, const bn_run *run, bn_error *err)
{
    char dir[BN_PATH_MAX];
    bool whole = bn_run_state_final(run->state);
    if (!o->options.settings->console) return BN_OK;
    if (bn_path_join(dir, o->options.home, run->dir, err) != BN_OK) return err->status;
    o->console = (bn_wandb_memo){.log = o->memo.log};
    while (bn_wandb_log_plan(&o->console, dir, whole, bn_clock_wall_s())) {
        bn_wandb_log_each(&o->console, dir, add_output, o);
        bn_wandb_log_done(&o->console);
        if (o->file.length >= FLUSH_BYTES && flush(o, err) != BN_OK) return err->status;
    }
    o->memo.log = o->console.log;
    return BN_OK;
}

/* ---- the end: behind the mark, so that a run that goes on can take it back */

static void add_metric(void *self, const bn_wandb_metric *metric)
{
    enum { NAME = 1, STEP_METRIC = 4, OPTIONS = 6, SUMMARY = 7, GOAL = 8 };
    enum { STEP_SYNC = 1, DEFINED = 3, SUMMARY_NONE = 6, SUMMARY_COPY = 7 };
    offline *o = self;
    bn_pb_text(&o->message, NAME, metric->key);
    if (metric->axis) bn_pb_text(&o->message, STEP_METRIC, metric->axis);
    bn_text_clear(&o->item);
    if (metric->synced) bn_pb_int(&o->item, STEP_SYNC, 1);
    bn_pb_int(&o->item, DEFINED, 1);
    bn_pb_message(&o->message, OPTIONS, &o->item);
    bn_text_clear(&o->item);
    bn_pb_int(&o->item, metric->copied ? SUMMARY_COPY : SUMMARY_NONE, 1);
    bn_pb_message(&o->message, SUMMARY, &o->item);
    if (metric->goal) bn_pb_int(&o->message, GOAL, metric->goal);
    add_record(o, RECORD_METRIC);
}

/* Which metrics there are is known last, so that is where they are defined. */
static bn_status add_metrics(offline *o, const bn_run *run, const bn_latest *latest, size_t count,
                             bn_error *err)
{
    bn_sweep sweep;
    if (bn_sweep_get(o->store, run->sweep, &sweep, err) != BN_OK) return err->status;
    bn_wandb_config config = {.metrics = latest,
                              .metric_count = count,
                              .objective = sweep.metric,
                              .maximize = sweep.maximize};
    bn_wandb_metrics_each(&config, add_metric, o);
    return BN_OK;
}

static bn_status add_summary(offline *o, const bn_run *run, bn_error *err)
{
    bn_latest *latest = NULL;
    size_t count = 0;
    bn_status status = bn_history_latest(o->store, run->id, &latest, &count, err);
    if (status == BN_OK) status = add_metrics(o, run, latest, count, err);
    if (status != BN_OK) goto done;
    for (size_t i = 0; i < count; i++) add_number(o, UPDATE, latest[i].key, latest[i].last);
    double runtime_s = fmax(run->duration_s, 0);
    if (o->memo.clock.step >= 0) {
        add_number(o, UPDATE, "_step", (double)o->memo.clock.step);
        add_number(o, UPDATE, "_timestamp", o->memo.clock.wall_s);
    }
    add_number(o, UPDATE, "_runtime", runtime_s);
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%lld", (long long)runtime_s);
    bn_text_clear(&o->item);
    bn_pb_text(&o->item, ITEM_NESTED_KEY, "_wandb");
    bn_pb_text(&o->item, ITEM_NESTED_KEY, "runtime");
    bn_pb_text(&o->item, ITEM_VALUE, seconds);
    bn_pb_message(&o->message, UPDATE, &o->item);
    add_record(o, RECORD_SUMMARY);
done:
    free(latest);
    return status;
}

static bn_status add_end(offline *o, const bn_run *run, bn_error *err)
{
    enum { EXIT_CODE = 1, EXIT_RUNTIME = 2 };
    if (add_summary(o, run, err) != BN_OK) return err->status;
    if (!bn_run_state_final(run->state)) return BN_OK;
    bn_pb_int(&o->message, EXIT_CODE, bn_wandb_exit_code(run));
    bn_pb_int(&o->message, EXIT_RUNTIME, (int64_t)fmax(run->duration_s, 0));
    add_record(o, RECORD_EXIT);
    add_record(o, RECORD_FINAL);
    add_record(o, RECORD_FOOTER);
    return BN_OK;
}

/* ---- one push */

static memo read_memo(const char *text)
{
    memo out = {.clock = {.wall_s = NAN, .step = -1}};
    json_t *root = json_loads(text, 0, NULL);
    if (json_is_integer(json_object_get(root, "bytes"))) {
        out.bytes = json_integer_value(json_object_get(root, "bytes"));
        out.number = json_integer_value(json_object_get(root, "number"));
        out.clock.step = json_integer_value(json_object_get(root, "step"));
        out.clock.start_s = json_number_value(json_object_get(root, "start_s"));
        const json_t *log = json_object_get(root, "log");
        out.log = (bn_wandb_log_mark){.out_bytes = json_integer_value(json_array_get(log, 0)),
                                      .err_bytes = json_integer_value(json_array_get(log, 1)),
                                      .line = json_integer_value(json_array_get(log, 2))};
        const json_t *wall = json_object_get(root, "wall_s");
        out.clock.wall_s = json_is_number(wall) ? json_number_value(wall) : (double)NAN;
    }
    json_decref(root);
    return out;
}

static void write_memo(bn_text *out, const memo *what)
{
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "bytes");
    bn_json_int(&json, what->bytes);
    bn_json_key(&json, "number");
    bn_json_int(&json, what->number);
    bn_json_key(&json, "step");
    bn_json_int(&json, what->clock.step);
    bn_json_key(&json, "start_s");
    bn_json_real(&json, what->clock.start_s);
    bn_json_key(&json, "wall_s");
    bn_json_real(&json, what->clock.wall_s);
    bn_json_key(&json, "log");
    bn_json_array(&json);
    bn_json_int(&json, what->log.out_bytes);
    bn_json_int(&json, what->log.err_bytes);
    bn_json_int(&json, what->log.line);
    bn_json_end_array(&json);
    bn_json_end_object(&json);
}

/* The folder bears the time of the run's begin, which wandb reads as UTC or local alike. */
static bn_status path_of(const offline *o, const bn_run *run, char out[BN_PATH_MAX], bn_error *err)
{
    char part[128];
    char stamp[32] = "19700101_000000";
    time_t begin_s = (time_t)run->created_s;
    struct tm parts;
    if (gmtime_r(&begin_s, &parts)) (void)strftime(stamp, sizeof stamp, "%Y%m%d_%H%M%S", &parts);
    (void)snprintf(part, sizeof part, "offline-run-%s-%s/run-%s.wandb", stamp, run->key, run->key);
    return bn_path_join(out, o->dir, part, err);
}

static bn_status push(void *self, const bn_feed_batch *batch, bn_text *kept, bn_error *err)
{
    offline *o = self;
    const bn_run *run = &batch->run;
    bn_status status = path_of(o, run, o->path, err);
    if (run->state == BN_RUN_SKIPPED && !batch->memo[0]) return status;
    bn_text_clear(&o->file);
    bn_text_clear(&o->message);
    o->memo = read_memo(batch->memo);
    if (status == BN_OK && o->memo.bytes == 0) status = begin(o, run, err);
    if (status != BN_OK) return status;
    for (size_t i = 0; i < batch->count; i++) {
        add_history(o, &batch->records[i]);
        add_stats(o, &batch->records[i]);
    }
    if (batch->last) status = add_console(o, run, err);
    if (status == BN_OK) status = flush(o, err);
    if (status != BN_OK) return status;
    const memo middle = o->memo;
    if (batch->last) status = add_end(o, run, err);
    if (status == BN_OK && batch->last) status = flush(o, err);
    if (status == BN_OK) write_memo(kept, &middle);
    return status;
}

static bn_status greet(void *self, bn_error *err)
{
    const offline *o = self;
    return bn_dir_make(o->dir, 0755, err);
}

static double pause_s(void *self)
{
    (void)self;
    return 0;
}

static void close_offline(void *self)
{
    offline *o = self;
    bn_text_release(&o->file);
    bn_text_release(&o->record);
    bn_text_release(&o->message);
    bn_text_release(&o->item);
    free(o);
}

bn_status bn_wandb_offline_open(bn_reporter *out, bn_store *store, const char *dir,
                                const bn_wandb_options *options, bn_error *err)
{
    static const struct bn_reporter_ops ops = {.name = "wandb-offline",
                                               .greet = greet,
                                               .push = push,
                                               .pause_s = pause_s,
                                               .close = close_offline};
    offline *o = calloc(1, sizeof *o);
    if (!o) return bn_fail(err, BN_ENOMEM, "no memory for the offline reporter");
    o->store = store;
    o->dir = dir;
    o->options = *options;
    *out = (bn_reporter){&ops, o};
    return BN_OK;
}
