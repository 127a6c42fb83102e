#include "reporters/site_index.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "reporters/pyramid.h"
#include "reporters/site_compare.h"
#include "reporters/site_number.h"
#include "reporters/site_run.h"

/* A text or a number of one run's row. */
typedef const char *(*run_text)(const bn_run *run);

static const char *key_of(const bn_run *run)
{
    return run->key;
}
static const char *name_of(const bn_run *run)
{
    return run->name;
}
static const char *state_of(const bn_run *run)
{
    return bn_run_state_name(run->state);
}
static const char *reason_of(const bn_run *run)
{
    return run->reason;
}
static const char *variant_of(const bn_run *run)
{
    return run->variant;
}
static const char *host_of(const bn_run *run)
{
    return run->host;
}
static const char *device_of(const bn_run *run)
{
    return run->device;
}
static const char *dir_of(const bn_run *run)
{
    return run->dir;
}

static const struct {
    const char *name;
    run_text get;
} TEXTS[] = {{"key", key_of},       {"name", name_of},       {"state", state_of},
             {"reason", reason_of}, {"variant", variant_of}, {"host", host_of},
             {"device", device_of}, {"dir", dir_of}};

static const struct {
    const char *name;
    size_t offset;
    enum { REAL, WHOLE, SMALL } kind;
} NUMBERS[] = {{"number", offsetof(bn_run, number), SMALL},
               {"attempt", offsetof(bn_run, attempt), SMALL},
               {"exit_code", offsetof(bn_run, exit_code), SMALL},
               {"records", offsetof(bn_run, next_seq), WHOLE},
               {"created_s", offsetof(bn_run, created_s), REAL},
               {"started_s", offsetof(bn_run, started_s), REAL},
               {"ended_s", offsetof(bn_run, ended_s), REAL},
               {"duration_s", offsetof(bn_run, duration_s), REAL}};

static void add_number(bn_text *out, const bn_run *run, size_t n)
{
    const char *field = (const char *)run + NUMBERS[n].offset;
    double real = 0;
    int64_t whole = 0;
    int small = 0;
    switch (NUMBERS[n].kind) {
    case REAL:
        memcpy(&real, field, sizeof real);
        bn_site_number(out, real, false);
        return;
    case WHOLE:
        memcpy(&whole, field, sizeof whole);
        bn_site_integer(out, whole);
        return;
    case SMALL:
        memcpy(&small, field, sizeof small);
        bn_site_integer(out, small);
        return;
    }
}

/* The columns of the run rows: {"key":[...],"name":[...],...}. */
static void add_runs(const bn_site_table *table, bn_json *json)
{
    bn_text *out = json->text;
    bn_json_object(json);
    bn_json_key(json, "count");
    bn_json_int(json, (int64_t)table->run_count);
    for (size_t t = 0; t < sizeof TEXTS / sizeof TEXTS[0]; t++) {
        bn_json_key(json, TEXTS[t].name);
        bn_json_array(json);
        for (size_t r = 0; r < table->run_count; r++) {
            bn_json_string(json, TEXTS[t].get(&table->runs[r]));
        }
        bn_json_end_array(json);
    }
    for (size_t n = 0; n < sizeof NUMBERS / sizeof NUMBERS[0]; n++) {
        bn_json_key(json, NUMBERS[n].name);
        bn_json_raw(json, "[");
        for (size_t r = 0; r < table->run_count; r++) {
            if (r) bn_text_add_bytes(out, ",", 1);
            add_number(out, &table->runs[r], n);
        }
        bn_text_add(out, "]");
    }
    bn_json_key(json, "sweep");
    bn_json_array(json);
    for (size_t r = 0; r < table->run_count; r++) bn_json_int(json, (int64_t)table->sweep_of[r]);
    bn_json_end_array(json);
    bn_json_end_object(json);
}

static const bn_site_knob *find_knob(const bn_site_about *about, const char *name)
{
    for (size_t k = 0; k < about->knob_count; k++) {
        if (strcmp(about->knobs[k].name, name) == 0) return &about->knobs[k];
    }
    return NULL;
}

/* {"name","unit","help","identity","values":[distinct...],"at":[...]}; no "at": all the same. */
static void add_column(const bn_site_table *table, const bn_site_about *about, size_t c,
                       bn_json *json)
{
    const bn_site_column *column = &table->columns[c];
    const bn_site_knob *knob = find_knob(about, column->name);
    bool same = column->distinct_count == 1;
    for (size_t r = 0; r < table->run_count && same; r++) same = column->at[r] == 0;
    bn_json_object(json);
    bn_json_key(json, "name");
    bn_json_string(json, column->name);
    bn_json_key(json, "unit");
    bn_json_string(json, knob ? knob->unit : "");
    bn_json_key(json, "help");
    bn_json_string(json, knob ? knob->help : "");
    bn_json_key(json, "identity");
    bn_json_bool(json, !knob || knob->identity);
    bn_json_key(json, "values");
    bn_json_array(json);
    for (size_t i = 0; i < column->distinct_count; i++) bn_json_raw(json, column->distinct[i]);
    bn_json_end_array(json);
    if (!same) {
        bn_json_key(json, "at");
        bn_json_raw(json, "[");
        for (size_t r = 0; r < table->run_count; r++) {
            if (r) bn_text_add_bytes(json->text, ",", 1);
            bn_site_integer(json->text, column->at[r]);
        }
        bn_text_add(json->text, "]");
    }
    bn_json_end_object(json);
}

static void add_values(const bn_site_table *table, const bn_site_metric *metric,
                       const double *values, bn_json *json)
{
    bool narrow = bn_site_numbers_are_floats(values, table->run_count);
    bn_text *out = json->text;
    bn_json_object(json);
    bn_json_key(json, "float");
    bn_json_bool(json, narrow);
    bn_json_key(json, "v");
    bn_json_raw(json, "[");
    for (size_t r = 0; r < table->run_count; r++) {
        if (r) bn_text_add_bytes(out, ",", 1);
        if (metric->measured[r]) {
            bn_site_number(out, values[r], narrow);
        } else {
            bn_text_add_bytes(out, "null", 4);
        }
    }
    bn_text_add(out, "]");
    bn_json_end_object(json);
}

static void add_metric(const bn_site_table *table, const bn_site_metric *metric, bn_json *json)
{
    bn_json_object(json);
    bn_json_key(json, "id");
    bn_json_int(json, metric->id);
    bn_json_key(json, "name");
    bn_json_string(json, metric->name);
    bn_json_key(json, "last");
    add_values(table, metric, metric->last, json);
    bn_json_key(json, "min");
    add_values(table, metric, metric->min, json);
    bn_json_key(json, "max");
    add_values(table, metric, metric->max, json);
    bn_json_end_object(json);
}

static void add_sweep_words(const bn_sweep *sweep, const char *spec, bn_json *json)
{
    const struct {
        const char *name, *words;
    } told[] = {{"name", sweep->name},     {"method", sweep->method},
                {"metric", sweep->metric}, {"state", bn_sweep_state_name(sweep->state)},
                {"hash", sweep->hash},     {"spec", spec}};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        bn_json_key(json, told[i].name);
        bn_json_string(json, told[i].words);
    }
    bn_json_key(json, "id");
    bn_json_int(json, sweep->id);
    bn_json_key(json, "maximize");
    bn_json_bool(json, sweep->maximize);
    bn_json_key(json, "created_s");
    bn_json_real(json, sweep->created_s);
    bn_json_key(json, "planned");
    bn_json_int(json, sweep->planned);
}

static bn_status add_sweep(bn_store *store, const bn_site_table *table, size_t s, bn_json *json,
                           bn_error *err)
{
    char *spec = NULL;
    if (bn_sweep_spec(store, table->sweeps[s].id, &spec, err) != BN_OK) return err->status;
    bn_json_object(json);
    add_sweep_words(&table->sweeps[s], spec, json);
    free(spec);
    bn_json_key(json, "varied");
    bn_json_array(json);
    for (size_t c = 0; c < table->column_count; c++) {
        if (table->varied[s * table->column_count + c]) {
            bn_json_string(json, table->columns[c].name);
        }
    }
    bn_json_end_array(json);
    if (bn_site_compare(store, table, s, json, err) != BN_OK) return err->status;
    bn_json_end_object(json);
    return BN_OK;
}

static void add_about(const bn_site_about *about, bn_json *json)
{
    char now[BN_CLOCK_TEXT_MAX];
    bn_json_key(json, "version");
    bn_json_int(json, BN_SITE_VERSION);
    bn_json_key(json, "kind");
    bn_json_string(json, "index");
    bn_json_key(json, "written");
    bn_json_string(json, bn_clock_text(now, about->now_s));
    bn_json_key(json, "live");
    bn_json_bool(json, about->live);
    bn_json_key(json, "files");
    bn_json_string(json, about->files);
    bn_json_key(json, "top");
    bn_json_int(json, BN_PYRAMID_TOP);
    bn_json_key(json, "chunk");
    bn_json_int(json, BN_PYRAMID_CHUNK);
}

bn_status bn_site_index_text(bn_store *store, const bn_site_table *table,
                             const bn_site_about *about, bn_text *out, bn_error *err)
{
    bn_json json = {.text = out};
    bn_text_add(out, "bnexp.put(");
    bn_json_object(&json);
    add_about(about, &json);
    bn_json_key(&json, "sweeps");
    bn_json_array(&json);
    for (size_t s = 0; s < table->sweep_count; s++) {
        if (add_sweep(store, table, s, &json, err) != BN_OK) return err->status;
    }
    bn_json_end_array(&json);
    bn_json_key(&json, "runs");
    add_runs(table, &json);
    bn_json_key(&json, "knobs");
    bn_json_array(&json);
    for (size_t c = 0; c < table->column_count; c++) add_column(table, about, c, &json);
    bn_json_end_array(&json);
    bn_json_key(&json, "metrics");
    bn_json_array(&json);
    for (size_t m = 0; m < table->metric_count; m++) add_metric(table, &table->metrics[m], &json);
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(out, ")\n");
    if (out->failed) return bn_fail(err, BN_ENOMEM, "no memory for the page's index");
    return BN_OK;
}
