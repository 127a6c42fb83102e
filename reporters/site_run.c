#include "reporters/site_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "reporters/pyramid.h"
#include "reporters/site_number.h"
#include "store/label.h"

void bn_site_history_release(bn_site_history *history)
{
    for (size_t i = 0; history->series && i < history->count; i++) {
        bn_series_release(&history->series[i]);
    }
    free(history->metrics);
    free(history->series);
    free(history->step);
    free(history->wall_s);
    free(history->picks);
    *history = (bn_site_history){0};
}

/* Every record's step and time, from whichever series has it. */
static void gather_records(bn_site_history *history)
{
    for (size_t m = 0; m < history->count; m++) {
        const bn_series *series = &history->series[m];
        for (size_t i = 0; i < series->count; i++) {
            history->step[series->seq[i]] = series->step[i];
            history->wall_s[series->seq[i]] = series->wall_s[i];
        }
    }
}

static bn_status read_series(bn_store *store, bn_site_history *history, bn_error *err)
{
    size_t longest = 0;
    for (size_t m = 0; m < history->count; m++) {
        bn_series *series = &history->series[m];
        if (bn_history_series(store, history->run->id, history->metrics[m].key, series, err)) {
            return err->status;
        }
        if (series->count > longest) longest = series->count;
        int64_t end = series->count ? series->seq[series->count - 1] + 1 : 0;
        if (end > history->records) history->records = end; /* a record came after the run's row */
    }
    size_t records = (size_t)history->records + 1;
    history->step = calloc(records, sizeof *history->step);
    history->wall_s = calloc(records, sizeof *history->wall_s);
    history->picks = calloc(longest + 1, sizeof *history->picks);
    if (!history->step || !history->wall_s || !history->picks) {
        return bn_fail(err, BN_ENOMEM, "run %s: no memory for %zu records", history->run->key,
                       records);
    }
    gather_records(history);
    return BN_OK;
}

bn_status bn_site_history_read(bn_store *store, const bn_run *run, bn_site_history *out,
                               bn_error *err)
{
    *out = (bn_site_history){.run = run, .records = run->next_seq};
    if (bn_history_latest(store, run->id, &out->metrics, &out->count, err) != BN_OK) goto failed;
    out->series = calloc(out->count + 1, sizeof *out->series);
    if (!out->series) {
        (void)bn_fail(err, BN_ENOMEM, "run %s: no memory for its metrics", run->key);
        goto failed;
    }
    if (read_series(store, out, err) != BN_OK) goto failed;
    return BN_OK;
failed:
    bn_site_history_release(out);
    return err->status;
}

/* The events file's begin and end lines: how each attempt started and stopped. */
static void read_attempts(FILE *file, bn_text *out)
{
    char *line = NULL;
    size_t size = 0;
    int count = 0;
    bn_json json = {.text = out};
    bn_json_array(&json);
    ssize_t length;
    while (count < BN_SITE_ATTEMPT_LINES && (length = getline(&line, &size, file)) > 0) {
        bool told = strncmp(line, "{\"type\":\"begin\"", 15) == 0 ||
                    strncmp(line, "{\"type\":\"end\"", 13) == 0;
        if (!told || length > 4096 || line[length - 1] != '\n') continue;
        line[length - 1] = '\0';
        bn_json_string(&json, line);
        count++;
    }
    bn_json_end_array(&json);
    free(line);
}

static FILE *open_in_run(const char *home, const bn_run *run, const char *name)
{
    char dir[BN_PATH_MAX];
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    if (bn_path_join(dir, home, run->dir, &ignored) != BN_OK) return NULL;
    if (bn_path_join(path, dir, name, &ignored) != BN_OK) return NULL;
    return fopen(path, "re");
}

static bn_status read_labels(bn_store *store, const bn_run *run, bn_site_folder *out, bn_error *err)
{
    bn_note *notes = NULL;
    bn_tag *tags = NULL;
    size_t note_count = 0, tag_count = 0;
    bn_json json = {.text = &out->notes};
    if (bn_note_list(store, run->id, &notes, &note_count, err) != BN_OK) goto done;
    bn_json_array(&json);
    for (size_t i = 0; i < note_count; i++) {
        bn_json_object(&json);
        bn_json_key(&json, "at_s");
        bn_json_real(&json, notes[i].at_s);
        bn_json_key(&json, "text");
        bn_json_string(&json, notes[i].text);
        bn_json_end_object(&json);
    }
    bn_json_end_array(&json);
    if (bn_tag_list(store, run->id, &tags, &tag_count, err) != BN_OK) goto done;
    json = (bn_json){.text = &out->tags};
    bn_json_array(&json);
    for (size_t i = 0; i < tag_count; i++) bn_json_string(&json, tags[i].tag);
    bn_json_end_array(&json);
done:
    free(notes);
    free(tags);
    return err->status;
}

/* The last lines of a log; what was cut begins with a whole one. */
static void read_tail(FILE *log, const char *name, bn_json *json)
{
    char tail[BN_SITE_LOG_TAIL + 1];
    long end = fseek(log, 0, SEEK_END) == 0 ? ftell(log) : -1;
    long start = end > BN_SITE_LOG_TAIL ? end - BN_SITE_LOG_TAIL : 0;
    if (end < 0 || fseek(log, start, SEEK_SET) != 0) return;
    size_t got = fread(tail, 1, BN_SITE_LOG_TAIL, log);
    tail[got] = '\0';
    for (size_t i = 0; i < got; i++) {
        if (tail[i] == '\0') tail[i] = ' '; /* the text would end there */
    }
    const char *line = start > 0 ? strchr(tail, '\n') : NULL;
    bn_json_object(json);
    bn_json_key(json, "name");
    bn_json_string(json, name);
    bn_json_key(json, "bytes");
    bn_json_int(json, end);
    bn_json_key(json, "tail");
    bn_json_string(json, line && line[1] ? line + 1 : tail);
    bn_json_end_object(json);
}

static void read_files(const char *home, const bn_run *run, bn_site_folder *out)
{
    static const char *const logs[] = {"stderr.log", "stdout.log"};
    FILE *events = open_in_run(home, run, "events.jsonl");
    if (events) {
        read_attempts(events, &out->attempts);
        (void)fclose(events);
    }
    bn_json json = {.text = &out->logs};
    bn_json_array(&json);
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        FILE *log = open_in_run(home, run, logs[i]);
        if (!log) continue;
        read_tail(log, logs[i], &json);
        (void)fclose(log);
    }
    bn_json_end_array(&json);
}

bn_status bn_site_folder_read(bn_store *store, const char *home, const bn_run *run,
                              bn_site_folder *out, bn_error *err)
{
    *out = (bn_site_folder){0};
    read_files(home, run, out);
    return read_labels(store, run, out, err);
}

void bn_site_folder_release(bn_site_folder *folder)
{
    bn_text_release(&folder->notes);
    bn_text_release(&folder->tags);
    bn_text_release(&folder->attempts);
    bn_text_release(&folder->logs);
}

/* The picks of every series side by side, and the records that any of them needs. */
typedef struct part_plan {
    size_t *picks;  /* all series' picks, one after another */
    size_t *starts; /* [count + 1] where each series' begin */
    int64_t *seq;   /* the records, ascending */
    int64_t *index; /* [range] of a record in seq[], by seq - range.first; -1: not needed */
    size_t records;
    bn_pyramid_range range;
} part_plan;

static void plan_release(part_plan *plan)
{
    free(plan->picks);
    free(plan->starts);
    free(plan->seq);
    free(plan->index);
}

static bn_status plan_part(const bn_site_history *history, bn_site_part part, part_plan *plan,
                           bn_error *err)
{
    bool top = part.level == bn_pyramid_top(history->records);
    plan->range = top ? (bn_pyramid_range){0, history->records}
                      : bn_pyramid_chunk(history->records, part.level, part.chunk);
    size_t span = (size_t)(plan->range.end - plan->range.first);
    size_t room = 0;
    for (size_t m = 0; m < history->count; m++) {
        size_t count = history->series[m].count;
        room += count < span ? count : span;
    }
    plan->picks = calloc(room + 1, sizeof *plan->picks);
    plan->starts = calloc(history->count + 1, sizeof *plan->starts);
    plan->index = calloc(span + 1, sizeof *plan->index);
    plan->seq = calloc(span + 1, sizeof *plan->seq);
    if (!plan->picks || !plan->starts || !plan->index || !plan->seq) {
        return bn_fail(err, BN_ENOMEM, "run %s: no memory to draw %zu records", history->run->key,
                       span);
    }
    for (size_t m = 0; m < history->count; m++) {
        const bn_series *series = &history->series[m];
        size_t count = bn_pyramid_pick(series, part.level, plan->range, history->picks);
        memcpy(plan->picks + plan->starts[m], history->picks, count * sizeof *plan->picks);
        plan->starts[m + 1] = plan->starts[m] + count;
        for (size_t i = 0; i < count; i++) {
            plan->index[series->seq[history->picks[i]] - plan->range.first] = 1;
        }
    }
    for (size_t at = 0; at < span; at++) {
        bool needed = plan->index[at] != 0;
        plan->index[at] = needed ? (int64_t)plan->records : -1;
        if (needed) plan->seq[plan->records++] = plan->range.first + (int64_t)at;
    }
    return BN_OK;
}

int64_t bn_site_milliseconds(double wall_s)
{
    return isfinite(wall_s) && fabs(wall_s) < 1e14 ? llround(wall_s * 1000) : 0;
}

/* {"seq":..,"step":..,"wall_ms":..}: columns of the records that the series point into. */
static bn_status add_records(const bn_site_history *history, const part_plan *plan, bn_json *json,
                             bn_error *err)
{
    int64_t *column = calloc(plan->records + 1, sizeof *column);
    if (!column) return bn_fail(err, BN_ENOMEM, "run %s: no memory", history->run->key);
    bn_text *out = json->text;
    bn_json_key(json, "records");
    bn_json_raw(json, "{\"seq\":");
    bn_site_integers(out, plan->seq, plan->records);
    for (size_t i = 0; i < plan->records; i++) column[i] = history->step[plan->seq[i]];
    bn_text_add(out, ",\"step\":");
    bn_site_integers(out, column, plan->records);
    for (size_t i = 0; i < plan->records; i++) {
        column[i] = bn_site_milliseconds(history->wall_s[plan->seq[i]]);
    }
    bn_text_add(out, ",\"wall_ms\":");
    bn_site_integers(out, column, plan->records);
    bn_text_add(out, "}");
    free(column);
    return BN_OK;
}

/* One metric: {"name","count","float"?,"at"?:integers,"v":[...]}; no "at": all records in order. */
static void add_series(const bn_site_history *history, const part_plan *plan, size_t m, int64_t *at,
                       bn_json *json)
{
    const bn_series *series = &history->series[m];
    const size_t *picks = plan->picks + plan->starts[m];
    size_t count = plan->starts[m + 1] - plan->starts[m];
    bool narrow = bn_site_numbers_are_floats(series->number, series->count);
    bn_text *out = json->text;
    bn_json_object(json);
    bn_json_key(json, "name");
    bn_json_string(json, history->metrics[m].key);
    bn_json_key(json, "count");
    bn_json_int(json, (int64_t)series->count);
    if (narrow) {
        bn_json_key(json, "float");
        bn_json_bool(json, true);
    }
    if (count != plan->records) {
        for (size_t i = 0; i < count; i++) {
            at[i] = plan->index[series->seq[picks[i]] - plan->range.first];
        }
        bn_json_key(json, "at");
        bn_json_raw(json, "");
        bn_site_integers(out, at, count);
    }
    bn_json_key(json, "v");
    bn_json_raw(json, "[");
    for (size_t i = 0; i < count; i++) {
        if (i) bn_text_add_bytes(out, ",", 1);
        bn_site_number(out, series->number[picks[i]], narrow);
    }
    bn_text_add(out, "]");
    bn_json_end_object(json);
}

static void add_folder(const bn_site_folder *folder, bn_json *json)
{
    bn_json_key(json, "attempts");
    bn_json_raw(json, folder->attempts.length ? folder->attempts.data : "[]");
    bn_json_key(json, "notes");
    bn_json_raw(json, folder->notes.length ? folder->notes.data : "[]");
    bn_json_key(json, "tags");
    bn_json_raw(json, folder->tags.length ? folder->tags.data : "[]");
    bn_json_key(json, "logs");
    bn_json_raw(json, folder->logs.length ? folder->logs.data : "[]");
}

bn_status bn_site_run_text(const bn_site_history *history, bn_site_part part,
                           const bn_site_folder *folder, bn_text *out, bn_error *err)
{
    part_plan plan = {0};
    int64_t *at = NULL;
    if (plan_part(history, part, &plan, err) != BN_OK) goto done;
    at = calloc(plan.records + 1, sizeof *at);
    if (!at) {
        (void)bn_fail(err, BN_ENOMEM, "run %s: no memory", history->run->key);
        goto done;
    }
    bn_json json = {.text = out};
    bn_text_add(out, "bnexp.put(");
    bn_json_object(&json);
    bn_json_key(&json, "version");
    bn_json_int(&json, BN_SITE_VERSION);
    bn_json_key(&json, "kind");
    bn_json_string(&json, "run");
    bn_json_key(&json, "run");
    bn_json_string(&json, history->run->key);
    bn_json_key(&json, "level");
    bn_json_int(&json, part.level);
    bn_json_key(&json, "chunk");
    bn_json_int(&json, part.chunk);
    bn_json_key(&json, "total");
    bn_json_int(&json, history->records);
    if (folder) add_folder(folder, &json);
    if (add_records(history, &plan, &json, err) != BN_OK) goto done;
    bn_json_key(&json, "series");
    bn_json_array(&json);
    for (size_t m = 0; m < history->count; m++) {
        if (plan.starts[m + 1] > plan.starts[m]) add_series(history, &plan, m, at, &json);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(out, ")\n");
    if (out->failed) (void)bn_fail(err, BN_ENOMEM, "run %s: no memory", history->run->key);
done:
    free(at);
    plan_release(&plan);
    return err->status;
}
