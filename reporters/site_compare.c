#include "reporters/site_compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/insight.h"

static const char VARIANT[] = "quant.variant";

/* What a side is measured by beside its loss: the mean of its best runs' last values. */
static const char *const SIDE_METRICS[] = {"tokens_per_s",
                                           "step_ms",
                                           "tokens",
                                           "mem/engine_bytes",
                                           "mem/weights_bytes",
                                           "mem/grads_bytes",
                                           "mem/optimizer_bytes",
                                           "mem/activations_bytes",
                                           "mem/peak_rss_bytes",
                                           "mem/device_bytes",
                                           "model/params",
                                           "model/ternary_params",
                                           "model/deployed_bytes",
                                           "model/fp16_bytes",
                                           "energy_j",
                                           "energy/estimate_j_per_token"};
enum { SIDE_METRIC_COUNT = sizeof SIDE_METRICS / sizeof SIDE_METRICS[0] };

typedef struct context {
    const bn_site_table *table;
    const bn_comparison *made;
    const bn_insight *insight;
    bn_json *out;
} context;

static void add_text(bn_json *out, const char *key, const char *words)
{
    bn_json_key(out, key);
    bn_json_string(out, words);
}

static void add_real(bn_json *out, const char *key, double number)
{
    bn_json_key(out, key);
    bn_json_real(out, number);
}

static void add_int(bn_json *out, const char *key, int64_t number)
{
    bn_json_key(out, key);
    bn_json_int(out, number);
}

static const bn_run *find_run(const bn_site_table *table, int64_t id, size_t *index)
{
    for (*index = 0; *index < table->run_count; (*index)++) {
        if (table->runs[*index].id == id) return &table->runs[*index];
    }
    return NULL;
}

/* The learning rate among the tuned knobs of a setting; NaN when it is not one of them. */
static double rate_of(const char *setting)
{
    static const char key[] = "optim.lr=";
    const char *at = strstr(setting, key);
    if (!at || (at != setting && at[-1] != ' ')) return (double)NAN;
    return strtod(at + sizeof key - 1, NULL);
}

static bool belongs(const bn_comparison_run *run, const bn_comparison_cell *cell, int setting)
{
    return run->shape == cell->shape && run->side == cell->side && run->setting == setting;
}

/* One setting of a cell: its runs, their values, mean and deviation. */
static void add_group(const context *at, const bn_comparison_cell *cell, int setting)
{
    const bn_comparison *made = at->made;
    bn_json *out = at->out;
    double sum = 0, squares = 0;
    int count = 0;
    bn_json_object(out);
    add_text(out, "setting", made->settings[setting]);
    add_real(out, "rate", rate_of(made->settings[setting]));
    bn_json_key(out, "runs");
    bn_json_array(out);
    for (size_t i = 0; i < made->run_count; i++) {
        size_t index = 0;
        if (!belongs(&made->runs[i], cell, setting)) continue;
        if (!find_run(at->table, made->runs[i].run, &index)) continue; /* finished just now */
        bn_json_int(out, (int64_t)index);
        sum += made->runs[i].value;
        count++;
    }
    bn_json_end_array(out);
    double mean = count ? sum / count : (double)NAN;
    bn_json_key(out, "losses");
    bn_json_array(out);
    for (size_t i = 0; i < made->run_count; i++) {
        size_t index = 0;
        if (!belongs(&made->runs[i], cell, setting)) continue;
        if (!find_run(at->table, made->runs[i].run, &index)) continue;
        bn_json_real(out, made->runs[i].value);
        squares += (made->runs[i].value - mean) * (made->runs[i].value - mean);
    }
    bn_json_end_array(out);
    add_real(out, "mean", mean);
    add_real(out, "sd", count > 1 ? sqrt(squares / (count - 1)) : (double)NAN);
    bn_json_end_object(out);
}

static void add_settings(const context *at, const bn_comparison_cell *cell)
{
    const bn_comparison *made = at->made;
    bn_json_key(at->out, "rates");
    bn_json_array(at->out);
    for (int setting = 0; setting < (int)made->setting_count; setting++) {
        bool tried = false;
        for (size_t i = 0; i < made->run_count && !tried; i++) {
            tried = belongs(&made->runs[i], cell, setting);
        }
        if (tried) add_group(at, cell, setting);
    }
    bn_json_end_array(at->out);
}

/* Mean of a metric's last value over the runs behind the cell; NaN when none measured it. */
static double side_metric(const context *at, const bn_comparison_cell *cell, const char *name)
{
    const bn_site_metric *metric = bn_site_table_metric(at->table, name);
    double sum = 0;
    int count = 0;
    for (size_t i = 0; metric && i < at->made->run_count; i++) {
        size_t index = 0;
        if (!belongs(&at->made->runs[i], cell, cell->setting)) continue;
        if (!find_run(at->table, at->made->runs[i].run, &index)) continue;
        if (!metric->measured[index] || !isfinite(metric->last[index])) continue;
        sum += metric->last[index];
        count++;
    }
    return count ? sum / count : (double)NAN;
}

static void add_metrics(const context *at, const bn_comparison_cell *cell)
{
    bn_json_key(at->out, "metrics");
    bn_json_array(at->out);
    for (size_t m = 0; m < SIDE_METRIC_COUNT; m++) {
        double value = side_metric(at, cell, SIDE_METRICS[m]);
        if (strcmp(SIDE_METRICS[m], "tokens_per_s") == 0 && isfinite(cell->tokens_per_s)) {
            value = cell->tokens_per_s; /* the comparison knows which part of the run counts */
        }
        if (!isfinite(value)) continue;
        bn_json_object(at->out);
        add_text(at->out, "name", SIDE_METRICS[m]);
        add_real(at->out, "mean", value);
        bn_json_end_object(at->out);
    }
    bn_json_end_array(at->out);
}

static void add_side(const context *at, const bn_comparison_cell *cell)
{
    bn_json_object(at->out);
    add_text(at->out, "variant", at->made->sides[cell->side]);
    bn_json_key(at->out, "edge");
    bn_json_bool(at->out, cell->edge);
    bn_json_key(at->out, "best");
    add_group(at, cell, cell->setting);
    add_settings(at, cell);
    bn_insight_valley_json(at->made, cell, at->out);
    add_metrics(at, cell);
    bn_json_end_object(at->out);
}

static void add_paired(const context *at, const char *side, const bn_paired *loss)
{
    static const char *const intervals[] = {"none", "student", "bca"};
    bn_json *out = at->out;
    add_text(out, "a", side);
    add_text(out, "b", at->made->sides[at->made->baseline]);
    add_int(out, "count", (int64_t)loss->count);
    add_real(out, "mean", loss->mean);
    add_text(out, "interval", intervals[loss->interval]);
    add_real(out, "low", loss->low);
    add_real(out, "high", loss->high);
    add_real(out, "p", loss->p);
    add_int(out, "above", (int64_t)loss->above);
    add_int(out, "ties", (int64_t)loss->ties);
    add_int(out, "below", (int64_t)loss->below);
}

/* The baseline's run with the same seed in the same shape, at the baseline's own best. */
static const bn_comparison_run *twin_of(const bn_comparison *made, const bn_comparison_run *run,
                                        const bn_comparison_cell *base)
{
    for (size_t i = 0; i < made->run_count; i++) {
        const bn_comparison_run *other = &made->runs[i];
        bool twin = belongs(other, base, base->setting) && strcmp(other->seed, run->seed) == 0;
        if (twin) return other;
    }
    return NULL;
}

/* Side minus baseline within one shape, each at its own best: the pairs by seed and their mean. */
static bn_status add_shape_pairs(const context *at, const bn_comparison_cell *cell,
                                 const bn_comparison_cell *base, bn_error *err)
{
    const bn_comparison *made = at->made;
    bn_pair_difference *differences = calloc(made->run_count + 1, sizeof *differences);
    if (!differences) return bn_fail(err, BN_ENOMEM, "no memory to compare twins");
    bn_json_object(at->out);
    bn_json_key(at->out, "differences");
    bn_json_array(at->out);
    size_t count = 0;
    for (size_t i = 0; i < made->run_count; i++) {
        const bn_comparison_run *run = &made->runs[i];
        if (!belongs(run, cell, cell->setting)) continue;
        const bn_comparison_run *twin = twin_of(made, run, base);
        if (!twin) continue;
        /* Within one shape every seed is its own: nothing is nested. */
        differences[count] = (bn_pair_difference){run->value - twin->value, (int)count};
        bn_json_object(at->out);
        add_text(at->out, "seed", run->seed);
        add_real(at->out, "value", differences[count].value);
        add_text(at->out, "a", run->key);
        add_text(at->out, "b", twin->key);
        bn_json_end_object(at->out);
        count++;
    }
    bn_json_end_array(at->out);
    bn_paired loss = {0};
    bn_status status = bn_paired_compare(differences, count, (uint64_t)cell->shape, &loss, err);
    add_paired(at, made->sides[cell->side], &loss);
    bn_json_end_object(at->out);
    free(differences);
    return status;
}

/* "model.width=64 model.layers=2" -> [{"name":"model.width","value":"64"},...]. */
static void add_where(const context *at, const char *shape)
{
    bn_json_key(at->out, "where");
    bn_json_array(at->out);
    while (*shape) {
        char name[BN_SETTING_MAX], value[BN_SETTING_MAX];
        size_t length = strcspn(shape, " ");
        size_t equals = strcspn(shape, "=");
        if (equals > length) equals = length;
        (void)snprintf(name, sizeof name, "%.*s", (int)equals, shape);
        size_t rest = equals < length ? equals + 1 : length;
        (void)snprintf(value, sizeof value, "%.*s", (int)(length - rest), shape + rest);
        bn_json_object(at->out);
        add_text(at->out, "name", name);
        add_text(at->out, "value", value);
        bn_json_end_object(at->out);
        shape += length + strspn(shape + length, " ");
    }
    bn_json_end_array(at->out);
}

static bn_status add_shape(const context *at, int shape, bn_error *err)
{
    const bn_comparison *made = at->made;
    bn_json_object(at->out);
    add_where(at, made->shapes[shape]);
    bn_json_key(at->out, "sides");
    bn_json_array(at->out);
    for (int side = 0; side < (int)made->side_count; side++) {
        const bn_comparison_cell *cell = bn_comparison_at(made, shape, side);
        if (cell) add_side(at, cell);
    }
    bn_json_end_array(at->out);
    bn_json_key(at->out, "pairs");
    bn_json_array(at->out);
    const bn_comparison_cell *base =
        made->baseline >= 0 ? bn_comparison_at(made, shape, made->baseline) : NULL;
    for (int side = 0; base && side < (int)made->side_count; side++) {
        const bn_comparison_cell *cell = bn_comparison_at(made, shape, side);
        if (!cell || cell == base) continue;
        if (add_shape_pairs(at, cell, base, err) != BN_OK) return err->status;
    }
    bn_json_end_array(at->out);
    bn_json_end_object(at->out);
    return BN_OK;
}

static const char *const SIZE_NAMES[BN_SIZE_KINDS] = {"parameters", "deployed bytes"};

static void add_law(const context *at, const bn_insight_law *fitted)
{
    bn_json *out = at->out;
    const bn_scaling *law = &fitted->law;
    bn_json_object(out);
    add_text(out, "variant", at->made->sides[fitted->side]);
    add_text(out, "size", SIZE_NAMES[fitted->kind]);
    add_real(out, "floor", law->e);
    add_real(out, "scale", law->a);
    add_real(out, "exponent", law->alpha);
    add_real(out, "exponent_low", law->alpha_low);
    add_real(out, "exponent_high", law->alpha_high);
    bn_json_end_object(out);
}

static void add_worth(const context *at, const bn_insight_scaling *scaling)
{
    const bn_scaling_twins *twins = &scaling->twins;
    static const char *const meetings[] = {"unknown", "reached", "ahead", "beyond"};
    bn_json *out = at->out;
    bn_json_object(out);
    add_text(out, "a", at->made->sides[scaling->side]);
    add_text(out, "b", at->made->sides[at->made->baseline]);
    add_real(out, "size", twins->side.size_max);
    add_real(out, "ratio", twins->ratio);
    add_real(out, "ratio_low", twins->ratio_low);
    add_real(out, "ratio_high", twins->ratio_high);
    add_text(out, "meeting", meetings[twins->meeting]);
    add_real(out, "meets_at", twins->size);
    add_real(out, "meets_at_width", scaling->width);
    bn_json_end_object(out);
}

/* The laws of loss against size: of every side that was fitted, and each beside the baseline. */
static void add_laws(const context *at)
{
    const bn_insight *insight = at->insight;
    bn_json_key(at->out, "laws");
    bn_json_array(at->out);
    for (size_t i = 0; i < insight->law_count; i++) add_law(at, &insight->laws[i]);
    bn_json_end_array(at->out);
    bn_json_key(at->out, "worth");
    bn_json_array(at->out);
    for (size_t i = 0; i < insight->scaling_count; i++) {
        const bn_insight_scaling *scaling = &insight->scaling[i];
        if (scaling->twins.meeting == BN_MEETING_UNKNOWN) continue;
        add_worth(at, scaling);
    }
    bn_json_end_array(at->out);
}

static bn_status add_all(const context *at, bn_error *err)
{
    const bn_comparison *made = at->made;
    bn_json *out = at->out;
    bn_json_object(out);
    add_text(out, "baseline", made->baseline >= 0 ? made->sides[made->baseline] : "");
    add_int(out, "unfinished", (int64_t)made->unfinished);
    add_int(out, "without_value", (int64_t)made->without_value);
    bn_json_key(out, "cells");
    bn_json_array(out);
    for (int shape = 0; shape < (int)made->shape_count; shape++) {
        if (add_shape(at, shape, err) != BN_OK) return err->status;
    }
    bn_json_end_array(out);
    bn_json_key(out, "pairs");
    bn_json_array(out);
    for (size_t i = 0; i < made->pair_count; i++) {
        bn_json_object(out);
        bn_json_key(out, "own_best");
        bn_json_bool(out, made->pairs[i].own_best);
        add_paired(at, made->sides[made->pairs[i].side], &made->pairs[i].loss);
        add_real(out, "p_holm", made->pairs[i].p_holm);
        bn_json_end_object(out);
    }
    bn_json_end_array(out);
    add_laws(at);
    bn_json_end_object(out);
    return BN_OK;
}

/* The float variant that the others stand against: the paper's first, then what is nearest. */
static const char *baseline_of(const bn_site_table *table, size_t sweep)
{
    static const char *const floats[] = {"fp16", "bf16", "fp32"};
    for (size_t f = 0; f < sizeof floats / sizeof floats[0]; f++) {
        for (size_t r = 0; r < table->run_count; r++) {
            bool has = table->sweep_of[r] == sweep && table->runs[r].state == BN_RUN_FINISHED;
            if (has && strcmp(table->runs[r].variant, floats[f]) == 0) return floats[f];
        }
    }
    return floats[0];
}

/* Whether any run of the sweep has a variant at all. */
static bool has_variants(const bn_site_table *table, size_t sweep)
{
    for (size_t r = 0; r < table->run_count; r++) {
        if (table->sweep_of[r] == sweep && bn_site_table_knob(table, r, VARIANT)) return true;
    }
    return false;
}

static void add_insight(const bn_insight *insight, bn_json *out)
{
    bn_json_key(out, "insight");
    bn_json_object(out);
    add_int(out, "runs", (int64_t)insight->run_count);
    add_int(out, "top", (int64_t)insight->top);
    bn_insight_json(insight, out);
    bn_json_end_object(out);
}

bn_status bn_site_compare(bn_store *store, const bn_site_table *table, size_t sweep, bn_json *out,
                          bn_error *err)
{
    const bn_sweep *of = &table->sweeps[sweep];
    bool sides = has_variants(table, sweep);
    bn_comparison made = {0};
    bn_insight insight = {0};
    const bn_comparison_ask ask = {.sweep = of->id,
                                   .by = sides ? VARIANT : NULL,
                                   .baseline = baseline_of(table, sweep),
                                   .metric = of->metric,
                                   .maximize = of->maximize};
    bn_status status = BN_OK;
    if (*of->metric) status = bn_comparison_make(&made, store, &ask, err);
    if (*of->metric && status == BN_OK) status = bn_insight_make(&insight, store, &ask, &made, err);
    if (status != BN_OK) goto done;
    const context at = {table, &made, &insight, out};
    bn_json_key(out, "comparison");
    if (*of->metric && sides) {
        status = add_all(&at, err);
    } else {
        bn_json_raw(out, "null");
    }
    add_insight(&insight, out);
done:
    bn_insight_release(&insight);
    bn_comparison_release(&made);
    return status;
}
