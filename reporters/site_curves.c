#include "reporters/site_curves.h"

#include <stdlib.h>
#include <string.h>

#include "reporters/pyramid.h"
#include "reporters/site_number.h"
#include "reporters/site_run.h"

/* Beyond it products of steps and records are not tried: they might not fit. */
static const int64_t STEPS_EVEN = INT64_C(1) << 31;

int64_t bn_site_curve_width(int64_t records, size_t runs)
{
    int64_t buckets = runs ? BN_SITE_CURVES_BUCKETS / (int64_t)runs : BN_PYRAMID_TOP;
    if (buckets > BN_PYRAMID_TOP) buckets = BN_PYRAMID_TOP;
    if (buckets < BN_SITE_CURVES_LEAST) buckets = BN_SITE_CURVES_LEAST;
    int64_t width = 1;
    while ((records - 1) / width >= buckets) width *= 2;
    return width;
}

/* Steps are mostly a fixed number a record: then two numbers say them all. */
static void add_steps(const bn_series *series, const size_t *picks, size_t count, int64_t *column,
                      bn_json *json)
{
    bn_json_key(json, "step");
    int64_t per = 0, from = 0;
    bool even = count > 1;
    for (size_t i = 0; i < count; i++) {
        column[i] = series->step[picks[i]];
        even &= column[i] >= 0 && column[i] < STEPS_EVEN && series->seq[picks[i]] < STEPS_EVEN;
    }
    if (even) {
        per = (column[1] - column[0]) / (series->seq[picks[1]] - series->seq[picks[0]]);
        from = column[0] - per * series->seq[picks[0]];
    }
    for (size_t i = 0; i < count && even; i++) {
        even = from + per * series->seq[picks[i]] == column[i];
    }
    bn_json_raw(json, "");
    if (!even) {
        bn_site_integers(json->text, column, count);
        return;
    }
    bn_text_add(json->text, "{\"from\":");
    bn_site_integer(json->text, from);
    bn_text_add(json->text, ",\"per\":");
    bn_site_integer(json->text, per);
    bn_text_add(json->text, "}");
}

static void add_values(const bn_series *series, const size_t *picks, size_t count, bn_json *json)
{
    bool narrow = bn_site_numbers_are_floats(series->number, series->count);
    if (narrow) {
        bn_json_key(json, "float");
        bn_json_bool(json, true);
    }
    bn_json_key(json, "v");
    bn_json_raw(json, "[");
    for (size_t i = 0; i < count; i++) {
        if (i) bn_text_add_bytes(json->text, ",", 1);
        bn_site_number(json->text, series->number[picks[i]], narrow);
    }
    bn_text_add(json->text, "]");
}

static void add_int(bn_json *json, const char *key, int64_t number)
{
    bn_json_key(json, key);
    bn_json_int(json, number);
}

void bn_site_curve_text(const bn_site_curve *curve, bn_text *out)
{
    const bn_series *series = curve->series;
    size_t count = bn_pyramid_pick_wide(series, curve->width, curve->picks);
    int64_t *column = calloc(count + 1, sizeof *column);
    if (!column) {
        out->failed = true;
        return;
    }
    bn_json json = {.text = out};
    bn_json_object(&json);
    bn_json_key(&json, "run");
    bn_json_string(&json, curve->run->key);
    add_int(&json, "total", curve->records);
    add_int(&json, "width", curve->width);
    add_int(&json, "count", (int64_t)series->count);
    for (size_t i = 0; i < count; i++) column[i] = series->seq[curve->picks[i]];
    bn_json_key(&json, "seq");
    bn_json_raw(&json, "");
    bn_site_integers(out, column, count);
    add_steps(series, curve->picks, count, column, &json);
    for (size_t i = 0; i < count; i++) {
        column[i] = bn_site_milliseconds(series->wall_s[curve->picks[i]]);
    }
    bn_json_key(&json, "wall_ms");
    bn_json_raw(&json, "");
    bn_site_integers(out, column, count);
    add_values(series, curve->picks, count, &json);
    bn_json_end_object(&json);
    free(column);
}

void bn_site_curves_begin(int64_t sweep, const bn_site_metric *metric, bn_text *out)
{
    bn_json json = {.text = out};
    bn_text_add(out, "bnexp.put(");
    bn_json_object(&json);
    add_int(&json, "version", BN_SITE_VERSION);
    bn_json_key(&json, "kind");
    bn_json_string(&json, "curves");
    add_int(&json, "sweep", sweep);
    add_int(&json, "metric", metric->id);
    bn_json_key(&json, "name");
    bn_json_string(&json, metric->name);
    bn_json_key(&json, "curves");
    bn_json_raw(&json, "[");
}

void bn_site_curves_end(bn_text *out)
{
    bn_text_add(out, "]})\n");
}

/* One run's curve from the store; nothing when the run did not measure it. */
static bn_status add_run(bn_store *store, const bn_run *run, const char *metric, size_t runs,
                         bn_text *out, bn_error *err)
{
    bn_series series = {0};
    if (bn_history_series(store, run->id, metric, &series, err) != BN_OK) return err->status;
    if (series.count == 0) return BN_OK;
    size_t *picks = calloc(series.count, sizeof *picks);
    if (!picks) (void)bn_fail(err, BN_ENOMEM, "run %s: no memory for its curve", run->key);
    if (picks) {
        int64_t end = series.seq[series.count - 1] + 1;
        int64_t records = end > run->next_seq ? end : run->next_seq;
        bool first = out->length > 0 && out->data[out->length - 1] == '[';
        if (!first) bn_text_add_bytes(out, ",", 1);
        bn_site_curve curve = {run, &series, records, bn_site_curve_width(records, runs), picks};
        bn_site_curve_text(&curve, out);
    }
    free(picks);
    bn_series_release(&series);
    return err->status;
}

static bn_status find_metric(bn_store *store, int64_t sweep, int64_t id, bn_site_metric *out,
                             bn_error *err)
{
    bn_metric_use *uses = NULL;
    size_t count = 0;
    if (bn_history_keys(store, sweep, &uses, &count, err) != BN_OK) return err->status;
    *out = (bn_site_metric){0};
    for (size_t i = 0; i < count; i++) {
        if (uses[i].id != id) continue;
        out->id = id;
        memcpy(out->name, uses[i].key, sizeof out->name);
    }
    free(uses);
    if (out->id) return BN_OK;
    return bn_fail(err, BN_ENOENT, "no sweep %lld with a metric %lld", (long long)sweep,
                   (long long)id);
}

bn_status bn_site_curves_text(bn_store *store, int64_t sweep, int64_t metric, bn_text *out,
                              bn_error *err)
{
    bn_site_metric of = {0};
    bn_run *runs = NULL;
    size_t count = 0;
    if (find_metric(store, sweep, metric, &of, err) != BN_OK) return err->status;
    if (bn_run_list(store, sweep, &runs, &count, err) != BN_OK) return err->status;
    bn_site_curves_begin(sweep, &of, out);
    for (size_t i = 0; i < count && err->status == BN_OK; i++) {
        (void)add_run(store, &runs[i], of.name, count, out, err);
    }
    bn_site_curves_end(out);
    free(runs);
    if (out->failed) return bn_fail(err, BN_ENOMEM, "no memory for the curves of a sweep");
    return err->status;
}
