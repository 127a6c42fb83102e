#include "reporters/site_table.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/text.h"

/* Beyond this many distinct values a column is not searched for a repeat any more. */
enum { DISTINCT_SEARCH_MAX = 256 };

void bn_site_table_release(bn_site_table *table)
{
    for (size_t c = 0; c < table->column_count; c++) {
        bn_site_column *column = &table->columns[c];
        for (size_t i = 0; i < column->distinct_count; i++) free(column->distinct[i]);
        free(column->distinct);
        free(column->at);
    }
    for (size_t m = 0; m < table->metric_count; m++) {
        free(table->metrics[m].measured);
        free(table->metrics[m].last);
        free(table->metrics[m].min);
        free(table->metrics[m].max);
    }
    free(table->sweeps);
    free(table->varied);
    free(table->runs);
    free(table->sweep_of);
    free(table->sizes);
    free(table->columns);
    free(table->metrics);
    *table = (bn_site_table){0};
}

static bn_status no_memory(bn_error *err)
{
    return bn_fail(err, BN_ENOMEM, "no memory for the table of runs");
}

/* One more element at the end of an array that doubles when its count is a power of two. */
static void *grown(void *array, size_t count, size_t size)
{
    if (count & (count - 1)) return array;
    return realloc(array, (count ? count * 2 : 1) * size);
}

static bn_site_column *find_column(const bn_site_table *table, const char *name, size_t hint)
{
    size_t count = table->column_count;
    if (hint < count && strcmp(table->columns[hint].name, name) == 0) return &table->columns[hint];
    for (size_t c = 0; c < count; c++) {
        if (strcmp(table->columns[c].name, name) == 0) return &table->columns[c];
    }
    return NULL;
}

static bn_site_column *add_column(bn_site_table *table, const char *name)
{
    bn_site_column *columns = grown(table->columns, table->column_count, sizeof *columns);
    if (!columns) return NULL;
    table->columns = columns;
    bn_site_column *column = &columns[table->column_count];
    *column = (bn_site_column){.at = malloc((table->run_count + 1) * sizeof *column->at)};
    if (!column->at) return NULL;
    for (size_t r = 0; r < table->run_count; r++) column->at[r] = -1;
    size_t length = strnlen(name, sizeof column->name - 1);
    memcpy(column->name, name, length);
    table->column_count++;
    return column;
}

static bn_status set_value(bn_site_column *column, size_t run, const char *json, bn_error *err)
{
    size_t search = column->distinct_count < DISTINCT_SEARCH_MAX ? column->distinct_count : 0;
    for (size_t i = 0; i < search; i++) {
        if (strcmp(column->distinct[i], json) == 0) {
            column->at[run] = (int32_t)i;
            return BN_OK;
        }
    }
    char **distinct = grown(column->distinct, column->distinct_count, sizeof *distinct);
    if (!distinct) return no_memory(err);
    column->distinct = distinct;
    char *copy = strdup(json);
    if (!copy) return no_memory(err);
    column->at[run] = (int32_t)column->distinct_count;
    distinct[column->distinct_count++] = copy;
    return BN_OK;
}

/* A scalar as our JSON; an array or object as its text in a string. */
static void scalar_text(const json_t *value, bn_text *out)
{
    bn_json json = {.text = out};
    if (json_is_string(value)) {
        bn_json_string(&json, json_string_value(value));
    } else if (json_is_integer(value)) {
        bn_json_int(&json, json_integer_value(value));
    } else if (json_is_real(value)) {
        bn_json_real(&json, json_real_value(value));
    } else if (json_is_boolean(value)) {
        bn_json_bool(&json, json_is_true(value));
    } else if (json_is_null(value)) {
        bn_json_raw(&json, "null");
    } else {
        char *dump = json_dumps(value, JSON_COMPACT);
        bn_json_string(&json, dump ? dump : "");
        free(dump);
    }
}

static bn_status read_config(bn_store *store, bn_site_table *table, size_t run, bn_error *err)
{
    char *text = NULL;
    if (bn_run_config(store, table->runs[run].id, &text, err) != BN_OK) return err->status;
    json_t *config = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    bn_text value = {0};
    const char *name;
    json_t *item;
    size_t hint = 0;
    json_object_foreach(config, name, item)
    {
        bn_text_clear(&value);
        scalar_text(item, &value);
        bn_site_column *column = find_column(table, name, hint++);
        if (!column) column = add_column(table, name);
        if (!column || value.failed) {
            (void)no_memory(err);
        } else {
            (void)set_value(column, run, value.data, err);
        }
        if (err->status != BN_OK) break;
    }
    bn_text_release(&value);
    json_decref(config);
    return err->status;
}

/* Parameters of external programs that the configuration does not repeat. */
static bn_status read_params(bn_store *store, bn_site_table *table, size_t run, bn_error *err)
{
    bn_param *params = NULL;
    size_t count = 0;
    if (bn_run_params(store, table->runs[run].id, &params, &count, err)) return err->status;
    for (size_t i = 0; i < count && err->status == BN_OK; i++) {
        bn_site_column *column = find_column(table, params[i].name, 0);
        if (!column) column = add_column(table, params[i].name);
        if (!column) {
            (void)no_memory(err);
        } else if (column->at[run] < 0) {
            (void)set_value(column, run, params[i].value, err);
        }
    }
    free(params);
    return err->status;
}

/* Which columns each sweep's search chose; needs the columns complete. */
static bn_status read_varied(bn_store *store, bn_site_table *table, bn_error *err)
{
    size_t columns = table->column_count;
    table->varied = calloc(table->sweep_count * columns + 1, sizeof *table->varied);
    if (!table->varied) return no_memory(err);
    for (size_t r = 0; r < table->run_count; r++) {
        bn_param *params = NULL;
        size_t count = 0;
        if (bn_run_params(store, table->runs[r].id, &params, &count, err) != BN_OK) break;
        for (size_t i = 0; i < count; i++) {
            const bn_site_column *column = find_column(table, params[i].name, 0);
            if (!params[i].varied || !column) continue;
            table->varied[table->sweep_of[r] * columns + (size_t)(column - table->columns)] = true;
        }
        free(params);
    }
    return err->status;
}

static bn_site_metric *find_metric(const bn_site_table *table, const char *name, size_t hint)
{
    size_t count = table->metric_count;
    if (hint < count && strcmp(table->metrics[hint].name, name) == 0) return &table->metrics[hint];
    for (size_t m = 0; m < count; m++) {
        if (strcmp(table->metrics[m].name, name) == 0) return &table->metrics[m];
    }
    return NULL;
}

static bn_site_metric *add_metric(bn_site_table *table, int64_t id, const char *name)
{
    bn_site_metric *metrics = grown(table->metrics, table->metric_count, sizeof *metrics);
    if (!metrics) return NULL;
    table->metrics = metrics;
    size_t runs = table->run_count + 1;
    bn_site_metric *metric = &metrics[table->metric_count++];
    *metric = (bn_site_metric){.id = id,
                               .measured = calloc(runs, sizeof *metric->measured),
                               .last = calloc(runs, sizeof *metric->last),
                               .min = calloc(runs, sizeof *metric->min),
                               .max = calloc(runs, sizeof *metric->max)};
    if (!metric->measured || !metric->last || !metric->min || !metric->max) return NULL;
    memcpy(metric->name, name, strnlen(name, sizeof metric->name - 1));
    return metric;
}

static bn_status read_metrics(bn_store *store, bn_site_table *table, size_t run, bn_error *err)
{
    bn_latest *latest = NULL;
    size_t count = 0;
    if (bn_history_latest(store, table->runs[run].id, &latest, &count, err) != BN_OK) {
        return err->status;
    }
    for (size_t i = 0; i < count; i++) {
        bn_site_metric *metric = find_metric(table, latest[i].key, i);
        if (!metric) metric = add_metric(table, latest[i].key_id, latest[i].key);
        if (!metric) {
            (void)no_memory(err);
            break;
        }
        metric->measured[run] = true;
        metric->last[run] = latest[i].last;
        metric->min[run] = latest[i].min;
        metric->max[run] = latest[i].max;
    }
    free(latest);
    return err->status;
}

static bn_status place_in_sweeps(bn_site_table *table, bn_error *err)
{
    table->sweep_of = calloc(table->run_count + 1, sizeof *table->sweep_of);
    table->sizes = calloc(table->sweep_count + 1, sizeof *table->sizes);
    if (!table->sweep_of || !table->sizes) return no_memory(err);
    size_t sweep = 0;
    for (size_t r = 0; r < table->run_count; r++) {
        int64_t id = table->runs[r].sweep;
        if (sweep >= table->sweep_count || table->sweeps[sweep].id != id) {
            for (sweep = 0; sweep < table->sweep_count; sweep++) {
                if (table->sweeps[sweep].id == id) break;
            }
        }
        if (sweep == table->sweep_count) {
            return bn_fail(err, BN_EAGAIN, "run %s is of a sweep added just now; try again",
                           table->runs[r].key);
        }
        table->sweep_of[r] = sweep;
        table->sizes[sweep]++;
    }
    return BN_OK;
}

bn_status bn_site_table_read(bn_store *store, bn_site_table *out, bn_error *err)
{
    *out = (bn_site_table){0};
    if (bn_run_list(store, 0, &out->runs, &out->run_count, err) != BN_OK) goto failed;
    /* Sweeps after runs: a sweep is there before its runs are. */
    if (bn_sweep_list(store, &out->sweeps, &out->sweep_count, err) != BN_OK) goto failed;
    if (place_in_sweeps(out, err) != BN_OK) goto failed;
    for (size_t r = 0; r < out->run_count; r++) {
        if (read_config(store, out, r, err) != BN_OK) goto failed;
        if (read_params(store, out, r, err) != BN_OK) goto failed;
        if (read_metrics(store, out, r, err) != BN_OK) goto failed;
    }
    if (read_varied(store, out, err) != BN_OK) goto failed;
    return BN_OK;
failed:
    bn_site_table_release(out);
    return err->status;
}

const char *bn_site_table_knob(const bn_site_table *table, size_t run, const char *name)
{
    const bn_site_column *column = find_column(table, name, 0);
    return column && column->at[run] >= 0 ? column->distinct[column->at[run]] : NULL;
}

const bn_site_metric *bn_site_table_metric(const bn_site_table *table, const char *name)
{
    return find_metric(table, name, 0);
}
