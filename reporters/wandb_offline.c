#include "reporters/wandb_offline.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "engine/base/file.h"
#include "reporters/protobuf.h"
#include "reporters/tail_file.h"
#include "reporters/wandb_body.h"

enum { BLOCK_BYTES = 32768, CHUNK_HEAD_BYTES = 7, FILE_HEAD_BYTES = 7 };

/* Fields of wandb's Record and of the messages in it. */
enum {
    RECORD_NUM = 1,
    RECORD_HISTORY = 2,
    RECORD_SUMMARY = 3,
    RECORD_METRIC = 16,
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
};

/* What is remembered between two pushes of a run. */
typedef struct memo {
    int64_t bytes;  /* of the file, without what ends it */
    int64_t number; /* of the last record in them */
    bn_wandb_clock clock;
} memo;

typedef struct offline {
    bn_store *store;
    const char *dir;
    const bn_wandb_settings *settings;
    memo memo;
    bn_text file, record, message, item; /* what is added; scratch */
} offline;

static void add_chunk(bn_text *out, const char *data, size_t size, char kind)
{
    uLong crc = crc32(crc32(0, NULL, 0), (const Bytef *)&kind, 1);
    crc = crc32(crc, (const Bytef *)data, (uInt)size);
    bn_le_add(out, crc, 4);
    bn_le_add(out, size, 2);
    bn_text_add_bytes(out, &kind, 1);
    bn_text_add_bytes(out, data, size);
}

void bn_wandb_offline_frame(bn_text *out, int64_t place, const bn_text *entry)
{
    enum { FULL = 1, FIRST, MIDDLE, LAST };
    static const char zeros[CHUNK_HEAD_BYTES];
    size_t done = 0;
    bool first = true;
    if (entry->failed) out->failed = true;
    do {
        size_t room = BLOCK_BYTES - (size_t)((place + (int64_t)out->length) % BLOCK_BYTES);
        if (room < CHUNK_HEAD_BYTES) {
            bn_text_add_bytes(out, zeros, room);
            room = BLOCK_BYTES;
        }
        size_t size = entry->length - done;
        bool last = size <= room - CHUNK_HEAD_BYTES;
        if (!last) size = room - CHUNK_HEAD_BYTES;
        char kind = (char)(first ? (last ? FULL : FIRST) : (last ? LAST : MIDDLE));
        add_chunk(out, entry->data ? entry->data + done : "", size, kind);
        done += size;
        first = false;
    } while (done < entry->length && !out->failed);
}

/* The message as the next Record. */
static void add_record(offline *o, int field)
{
    bn_text_clear(&o->record);
    bn_pb_int(&o->record, RECORD_NUM, ++o->memo.number);
    bn_pb_message(&o->record, field, &o->message);
    bn_wandb_offline_frame(&o->file, o->memo.bytes, &o->record);
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

static void write_tags(offline *o, const bn_run *run)
{
    char tags[sizeof o->settings->tags];
    (void)snprintf(tags, sizeof tags, "%s", o->settings->tags);
    bn_pb_text(&o->message, RUN_TAGS, run->variant);
    bn_pb_text(&o->message, RUN_TAGS, run->sweep_name);
    for (char *tag = tags; tag;) {
        char *comma = strchr(tag, ',');
        if (comma) *comma++ = '\0';
        bn_pb_text(&o->message, RUN_TAGS, tag + strspn(tag, " "));
        tag = comma;
    }
}

static void write_time(offline *o, double wall_s)
{
    enum { SECONDS = 1, NANOS = 2 };
    bn_text_clear(&o->item);
    bn_pb_int(&o->item, SECONDS, (int64_t)wall_s);
    bn_pb_int(&o->item, NANOS, (int64_t)((wall_s - floor(wall_s)) * 1e9));
    bn_pb_message(&o->message, RUN_START_TIME, &o->item);
}

static void write_head(offline *o)
{
    static const char head[FILE_HEAD_BYTES] = {':', 'W', '&', 'B', (char)0xE1, (char)0xBE, 0};
    bn_text_add_bytes(&o->file, head, sizeof head);
    add_record(o, RECORD_HEADER);
}

static bn_status begin(offline *o, const bn_run *run, bn_error *err)
{
    const bn_wandb_settings *settings = o->settings;
    bn_text config = {0};
    double start_s = isfinite(run->started_s) ? run->started_s : run->created_s;
    o->memo = (memo){.clock = {.start_s = start_s, .wall_s = NAN, .step = -1}};
    write_head(o);
    bn_status status = write_config(o, run->id, &config, err);
    bn_pb_text(&o->message, RUN_ID, run->key);
    bn_pb_text(&o->message, RUN_ENTITY, settings->entity);
    bn_pb_text(&o->message, RUN_PROJECT, settings->project);
    bn_pb_message(&o->message, RUN_CONFIG, &config);
    bn_pb_text(&o->message, RUN_GROUP, settings->group[0] ? settings->group : run->sweep_name);
    bn_pb_text(&o->message, RUN_JOB_TYPE, settings->job_type);
    bn_pb_text(&o->message, RUN_DISPLAY_NAME, run->name);
    bn_pb_text(&o->message, RUN_NOTES, settings->notes);
    write_tags(o, run);
    bn_pb_text(&o->message, RUN_HOST, run->host);
    write_time(o, start_s);
    add_record(o, RECORD_RUN);
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

/* ---- the end: behind the mark, so that a run that goes on can take it back */

static bn_status add_summary(offline *o, const bn_run *run, bn_error *err)
{
    bn_latest *latest = NULL;
    size_t count = 0;
    bn_status status = bn_history_latest(o->store, run->id, &latest, &count, err);
    if (status != BN_OK) return status;
    for (size_t i = 0; i < count; i++) add_number(o, UPDATE, latest[i].key, latest[i].last);
    free(latest);
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
    return BN_OK;
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
    char path[BN_PATH_MAX];
    bn_status status = path_of(o, run, path, err);
    if (run->state == BN_RUN_SKIPPED && !batch->memo[0]) return status;
    bn_text_clear(&o->file);
    bn_text_clear(&o->message);
    o->memo = read_memo(batch->memo);
    if (status == BN_OK && o->memo.bytes == 0) status = begin(o, run, err);
    if (status != BN_OK) return status;
    const int64_t mark_bytes = o->memo.bytes;
    for (size_t i = 0; i < batch->count; i++) add_history(o, &batch->records[i]);
    memo middle = o->memo;
    middle.bytes = mark_bytes + (int64_t)o->file.length;
    if (batch->last) status = add_end(o, run, err);
    if (status == BN_OK) status = bn_tail_file_add(path, mark_bytes, &o->file, err);
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
                                const bn_wandb_settings *settings, bn_error *err)
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
    o->settings = settings;
    *out = (bn_reporter){&ops, o};
    return BN_OK;
}
