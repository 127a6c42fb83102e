#include "reporters/site_compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One finished run of the sweep with a finite metric. */
typedef struct trial {
    size_t run;  /* index in the table */
    size_t cell; /* number of its cell */
    double rate; /* optim.lr; NaN: it has none */
    double seed; /* train.seed; NaN: it has none */
    double loss; /* the sweep's metric at its best */
    const char *variant;
} trial;

typedef struct comparison {
    const bn_site_table *table;
    size_t sweep;
    trial *trials; /* sorted by cell, variant, rate, seed */
    size_t count;
    size_t *cell_runs; /* [cells] a run that shows the cell's knobs */
    size_t cells;
} comparison;

/* What a side is measured by beside its loss: the mean of each run's last value. */
static const char *const SIDE_METRICS[] = {
    "tokens_per_s",         "step_ms",          "mem/engine_bytes", "mem/rss_bytes",
    "mem/peak_rss_bytes",   "mem/device_bytes", "model/params",     "model/ternary_params",
    "model/deployed_bytes", "model/fp16_bytes", "energy_j",         "tokens"};
enum { SIDE_METRIC_COUNT = sizeof SIDE_METRICS / sizeof SIDE_METRICS[0] };

static double number_or_nan(const char *json)
{
    if (!json) return NAN;
    char *end = NULL;
    double number = strtod(json, &end);
    return end != json && *end == '\0' ? number : (double)NAN;
}

static bool stays_in_cell(const char *name)
{
    return strcmp(name, "quant.variant") == 0 || strcmp(name, "optim.lr") == 0 ||
           strcmp(name, "train.seed") == 0;
}

static bool same_cell(const comparison *all, size_t a, size_t b)
{
    const bn_site_table *table = all->table;
    for (size_t c = 0; c < table->column_count; c++) {
        const bn_site_column *column = &table->columns[c];
        if (!table->varied[all->sweep * table->column_count + c]) continue;
        if (stays_in_cell(column->name) || column->at[a] == column->at[b]) continue;
        if (column->at[a] < 0 || column->at[b] < 0) return false;
        if (strcmp(column->distinct[column->at[a]], column->distinct[column->at[b]]) != 0) {
            return false;
        }
    }
    return true;
}

static size_t cell_of(comparison *all, size_t run)
{
    for (size_t c = 0; c < all->cells; c++) {
        if (same_cell(all, all->cell_runs[c], run)) return c;
    }
    all->cell_runs[all->cells] = run;
    return all->cells++;
}

static int by_number(double a, double b)
{
    if (isnan(a) || isnan(b)) return (int)isnan(a) - (int)isnan(b);
    return (a > b) - (a < b);
}

static int by_place(const void *left, const void *right)
{
    const trial *a = left;
    const trial *b = right;
    if (a->cell != b->cell) return a->cell < b->cell ? -1 : 1;
    int order = strcmp(a->variant, b->variant);
    if (!order) order = by_number(a->rate, b->rate);
    if (!order) order = by_number(a->seed, b->seed);
    if (!order) order = (a->run > b->run) - (a->run < b->run);
    return order;
}

static bn_status gather(comparison *all, bn_error *err)
{
    const bn_site_table *table = all->table;
    const bn_sweep *sweep = &table->sweeps[all->sweep];
    const bn_site_metric *metric = bn_site_table_metric(table, sweep->metric);
    all->trials = calloc(table->run_count + 1, sizeof *all->trials);
    all->cell_runs = calloc(table->run_count + 1, sizeof *all->cell_runs);
    if (!all->trials || !all->cell_runs) {
        return bn_fail(err, BN_ENOMEM, "no memory to compare %s", sweep->name);
    }
    for (size_t r = 0; metric && r < table->run_count; r++) {
        const bn_run *run = &table->runs[r];
        if (table->sweep_of[r] != all->sweep || run->state != BN_RUN_FINISHED) continue;
        double loss = sweep->maximize ? metric->max[r] : metric->min[r];
        if (!metric->measured[r] || !isfinite(loss) || !*run->variant) continue;
        all->trials[all->count++] =
            (trial){.run = r,
                    .cell = cell_of(all, r),
                    .rate = number_or_nan(bn_site_table_knob(table, r, "optim.lr")),
                    .seed = number_or_nan(bn_site_table_knob(table, r, "train.seed")),
                    .loss = loss,
                    .variant = run->variant};
    }
    qsort(all->trials, all->count, sizeof *all->trials, by_place);
    return BN_OK;
}

/* A run of neighbouring trials. */
typedef struct span {
    size_t first, end;
} span;

static span same_rate(const comparison *all, size_t first, size_t end)
{
    size_t at = first + 1;
    while (at < end && by_number(all->trials[at].rate, all->trials[first].rate) == 0) at++;
    return (span){first, at};
}

static span same_variant(const comparison *all, size_t first, size_t end)
{
    size_t at = first + 1;
    while (at < end && strcmp(all->trials[at].variant, all->trials[first].variant) == 0) at++;
    return (span){first, at};
}

static double mean_loss(const comparison *all, span group)
{
    double sum = 0;
    for (size_t i = group.first; i < group.end; i++) sum += all->trials[i].loss;
    return sum / (double)(group.end - group.first);
}

static double deviation(const comparison *all, span group, double mean)
{
    if (group.end - group.first < 2) return NAN;
    double sum = 0;
    for (size_t i = group.first; i < group.end; i++) {
        sum += (all->trials[i].loss - mean) * (all->trials[i].loss - mean);
    }
    return sqrt(sum / (double)(group.end - group.first - 1));
}

static span best_rate(const comparison *all, span side)
{
    bool maximize = all->table->sweeps[all->sweep].maximize;
    span best = same_rate(all, side.first, side.end);
    for (size_t at = best.end; at < side.end;) {
        span group = same_rate(all, at, side.end);
        double gain = mean_loss(all, best) - mean_loss(all, group);
        if (maximize ? gain < 0 : gain > 0) best = group;
        at = group.end;
    }
    return best;
}

static double side_metric(const comparison *all, span runs, const char *name)
{
    const bn_site_metric *metric = bn_site_table_metric(all->table, name);
    double sum = 0;
    size_t count = 0;
    for (size_t i = runs.first; metric && i < runs.end; i++) {
        size_t run = all->trials[i].run;
        if (!metric->measured[run] || !isfinite(metric->last[run])) continue;
        sum += metric->last[run];
        count++;
    }
    return count ? sum / (double)count : (double)NAN;
}

static void add_group(const comparison *all, span group, bn_json *out)
{
    double mean = mean_loss(all, group);
    bn_json_object(out);
    bn_json_key(out, "rate");
    bn_json_real(out, all->trials[group.first].rate);
    bn_json_key(out, "mean");
    bn_json_real(out, mean);
    bn_json_key(out, "sd");
    bn_json_real(out, deviation(all, group, mean));
    bn_json_key(out, "runs");
    bn_json_array(out);
    for (size_t i = group.first; i < group.end; i++) bn_json_int(out, (int64_t)all->trials[i].run);
    bn_json_end_array(out);
    bn_json_key(out, "losses");
    bn_json_array(out);
    for (size_t i = group.first; i < group.end; i++) bn_json_real(out, all->trials[i].loss);
    bn_json_end_array(out);
    bn_json_end_object(out);
}

static void add_side(const comparison *all, span side, bn_json *out)
{
    span best = best_rate(all, side);
    bn_json_object(out);
    bn_json_key(out, "variant");
    bn_json_string(out, all->trials[side.first].variant);
    bn_json_key(out, "best");
    add_group(all, best, out);
    bn_json_key(out, "rates");
    bn_json_array(out);
    for (size_t at = side.first; at < side.end;) {
        span group = same_rate(all, at, side.end);
        add_group(all, group, out);
        at = group.end;
    }
    bn_json_end_array(out);
    bn_json_key(out, "metrics");
    bn_json_array(out);
    for (size_t m = 0; m < SIDE_METRIC_COUNT; m++) {
        double value = side_metric(all, best, SIDE_METRICS[m]);
        if (!isfinite(value)) continue;
        bn_json_object(out);
        bn_json_key(out, "name");
        bn_json_string(out, SIDE_METRICS[m]);
        bn_json_key(out, "mean");
        bn_json_real(out, value);
        bn_json_end_object(out);
    }
    bn_json_end_array(out);
    bn_json_end_object(out);
}

static void add_cell(const comparison *all, size_t first, size_t end, bn_json *out)
{
    const bn_site_table *table = all->table;
    size_t run = all->trials[first].run;
    bn_json_object(out);
    bn_json_key(out, "where");
    bn_json_array(out);
    for (size_t c = 0; c < table->column_count; c++) {
        const bn_site_column *column = &table->columns[c];
        bool told = table->varied[all->sweep * table->column_count + c] &&
                    !stays_in_cell(column->name) && column->at[run] >= 0;
        if (!told) continue;
        bn_json_object(out);
        bn_json_key(out, "name");
        bn_json_string(out, column->name);
        bn_json_key(out, "value");
        bn_json_raw(out, column->distinct[column->at[run]]);
        bn_json_end_object(out);
    }
    bn_json_end_array(out);
    bn_json_key(out, "sides");
    bn_json_array(out);
    for (size_t at = first; at < end;) {
        span side = same_variant(all, at, end);
        add_side(all, side, out);
        at = side.end;
    }
    bn_json_end_array(out);
    bn_json_end_object(out);
}

bn_status bn_site_compare(const bn_site_table *table, size_t sweep, bn_json *out, bn_error *err)
{
    comparison all = {.table = table, .sweep = sweep};
    if (gather(&all, err) != BN_OK) goto done;
    bn_json_array(out);
    for (size_t at = 0; at < all.count;) {
        size_t end = at + 1;
        while (end < all.count && all.trials[end].cell == all.trials[at].cell) end++;
        add_cell(&all, at, end, out);
        at = end;
    }
    bn_json_end_array(out);
done:
    free(all.trials);
    free(all.cell_runs);
    return err->status;
}
