/* cmd_compare.c - bnexp compare: what each side of a sweep reaches, and how sure one may be. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/comparison.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"
#include "runner/cli/table.h"
#include "runner/cli/words.h"

typedef struct compare_flags {
    const char *home, *sweep, *by, *baseline, *metric;
    bool json;
} compare_flags;

typedef struct context {
    const compare_flags *flags;
    const bn_sweep *sweep;
    bn_comparison_ask ask;
    bn_comparison made;
} context;

/* What follows only when there is something to be compared with. */
static void cell_ratio(bn_table *table, const char *words, double number, double base)
{
    bool known = isfinite(number) && isfinite(base) && base != 0 && number != base;
    if (!isfinite(number)) {
        bn_table_cell(table, "-");
    } else if (known) {
        bn_table_cellf(table, "%s (%.2fx)", words, number / base);
    } else {
        bn_table_cell(table, words);
    }
}

static void cell_gap(bn_table *table, const bn_comparison_cell *cell,
                     const bn_comparison_cell *base)
{
    if (!base || base == cell) {
        bn_table_cell(table, base ? "baseline" : "-");
        return;
    }
    double gap = cell->value - base->value;
    bn_table_cellf(table, "%+.4f (%+.1f %%)", gap, 100 * gap / fabs(base->value));
}

static void add_cell(bn_table *table, const bn_comparison *made, const bn_comparison_cell *cell,
                     const bn_comparison_cell *base)
{
    const double nan = (double)NAN;
    char words[BN_WORDS_MAX];
    const char *shape = made->shapes[cell->shape], *setting = made->settings[cell->setting];
    if (made->shape_count > 1) bn_table_cell(table, *shape ? shape : "-");
    bn_table_cell(table, made->sides[cell->side]);
    bn_table_cellf(table, "%s%s", *setting ? setting : "-", cell->edge ? " (edge)" : "");
    bn_table_cellf(table, "%d", cell->runs);
    if (isnan(cell->deviation)) bn_table_cellf(table, "%.4f", cell->value);
    if (!isnan(cell->deviation)) {
        bn_table_cellf(table, "%.4f \xC2\xB1 %.4f", cell->value, cell->deviation);
    }
    cell_gap(table, cell, base);
    cell_ratio(table, bn_words_count(words, cell->tokens_per_s), cell->tokens_per_s,
               base ? base->tokens_per_s : nan);
    cell_ratio(table, bn_words_bytes(words, cell->memory_bytes), cell->memory_bytes,
               base ? base->memory_bytes : nan);
    cell_ratio(table, bn_words_bytes(words, cell->deployed_bytes), cell->deployed_bytes,
               base ? base->deployed_bytes : nan);
}

static bn_status print_cells(const context *at, bn_error *err)
{
    const bn_comparison *made = &at->made;
    bn_table table = {0};
    if (made->shape_count > 1) bn_table_column(&table, "shape", false);
    bn_table_column(&table, at->ask.by, false);
    bn_table_column(&table, "at its best", false);
    bn_table_column(&table, "runs", true);
    bn_table_column(&table, at->ask.metric, true);
    bn_table_column(&table, "gap", true);
    bn_table_column(&table, "tokens/s", true);
    bn_table_column(&table, "memory", true);
    bn_table_column(&table, "deployed", true);
    for (size_t i = 0; i < made->cell_count; i++) {
        const bn_comparison_cell *cell = &made->cells[i];
        add_cell(&table, made, cell, bn_comparison_at(made, cell->shape, made->baseline));
    }
    bn_status status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    return status;
}

static void print_pairs(const context *at)
{
    const bn_comparison *made = &at->made;
    for (size_t i = 0; i < made->pair_count; i++) {
        const bn_comparison_pairs *pairs = &made->pairs[i];
        const bn_paired *loss = &pairs->loss;
        size_t wins = at->ask.maximize ? loss->above : loss->below;
        size_t losses = at->ask.maximize ? loss->below : loss->above;
        (void)printf("%s - %s, %s: %+.4f", made->sides[pairs->side], made->sides[made->baseline],
                     pairs->own_best ? "each at its own best" : "at the same setting", loss->mean);
        if (loss->interval != BN_INTERVAL_NONE) {
            (void)printf(", 95 %% CI [%+.4f, %+.4f] (%s), p = %.3g", loss->low, loss->high,
                         loss->interval == BN_INTERVAL_BCA ? "BCa" : "t", loss->p);
        }
        (void)printf("; %zu pair%s: %zu won, %zu tied, %zu lost%s\n", loss->count,
                     loss->count == 1 ? "" : "s", wins, loss->ties, losses,
                     loss->count < 5 ? "; fewer than 5, no interval" : "");
    }
}

static void print_notes(const context *at)
{
    const bn_comparison *made = &at->made;
    bool edge = false;
    for (size_t i = 0; i < made->cell_count; i++) edge |= made->cells[i].edge;
    if (made->baseline < 0) {
        (void)printf("no finished run has %s = %s: nothing to measure a gap against\n", at->ask.by,
                     at->ask.baseline);
    }
    if (edge) (void)printf("(edge): the best was the least or largest tried; try beyond it\n");
    if (made->unfinished || made->without_value) {
        (void)printf("left out: %zu run%s not finished, %zu without a finite %s\n",
                     made->unfinished, made->unfinished == 1 ? "" : "s", made->without_value,
                     at->ask.metric);
    }
}

static bn_status print_people(const context *at, bn_error *err)
{
    (void)printf("sweep %s: %s, %s over training, mean \xC2\xB1 deviation over replicates\n",
                 at->sweep->name, at->ask.metric, at->ask.maximize ? "largest" : "lowest");
    if (at->made.run_count == 0) {
        (void)printf("no finished run has a finite %s yet\n", at->ask.metric);
        return BN_OK;
    }
    bn_status status = print_cells(at, err);
    print_pairs(at);
    print_notes(at);
    return status;
}

static void json_real(bn_json *json, const char *key, double number)
{
    bn_json_key(json, key);
    bn_json_real(json, number);
}

static void json_cell(bn_json *json, const context *at, const bn_comparison_cell *cell)
{
    const bn_comparison *made = &at->made;
    const bn_comparison_cell *base = bn_comparison_at(made, cell->shape, made->baseline);
    bn_json_object(json);
    bn_json_key(json, "shape");
    bn_json_string(json, made->shapes[cell->shape]);
    bn_json_key(json, "side");
    bn_json_string(json, made->sides[cell->side]);
    bn_json_key(json, "setting");
    bn_json_string(json, made->settings[cell->setting]);
    bn_json_key(json, "settings_tried");
    bn_json_int(json, cell->settings);
    bn_json_key(json, "edge");
    bn_json_bool(json, cell->edge);
    bn_json_key(json, "runs");
    bn_json_int(json, cell->runs);
    json_real(json, "value", cell->value);
    json_real(json, "deviation", cell->deviation);
    json_real(json, "gap", base ? cell->value - base->value : (double)NAN);
    json_real(json, "tokens_per_s", cell->tokens_per_s);
    json_real(json, "memory_bytes", cell->memory_bytes);
    json_real(json, "deployed_bytes", cell->deployed_bytes);
    json_real(json, "params", cell->params);
    bn_json_end_object(json);
}

static void json_pairs(bn_json *json, const context *at, const bn_comparison_pairs *pairs)
{
    static const char *const intervals[] = {NULL, "student", "bca"};
    const bn_paired *loss = &pairs->loss;
    bn_json_object(json);
    bn_json_key(json, "side");
    bn_json_string(json, at->made.sides[pairs->side]);
    bn_json_key(json, "each_at_its_own_best");
    bn_json_bool(json, pairs->own_best);
    bn_json_key(json, "pairs");
    bn_json_int(json, (int64_t)loss->count);
    json_real(json, "mean", loss->mean);
    bn_json_key(json, "interval");
    bn_json_string(json, intervals[loss->interval]);
    json_real(json, "low", loss->low);
    json_real(json, "high", loss->high);
    json_real(json, "p", loss->p);
    bn_json_key(json, "above");
    bn_json_int(json, (int64_t)loss->above);
    bn_json_key(json, "ties");
    bn_json_int(json, (int64_t)loss->ties);
    bn_json_key(json, "below");
    bn_json_int(json, (int64_t)loss->below);
    bn_json_end_object(json);
}

static void json_sweep(bn_json *json, const context *at)
{
    const bn_comparison *made = &at->made;
    bn_json_object(json);
    bn_json_key(json, "sweep");
    bn_json_string(json, at->sweep->name);
    bn_json_key(json, "by");
    bn_json_string(json, at->ask.by);
    bn_json_key(json, "baseline");
    bn_json_string(json, at->ask.baseline);
    bn_json_key(json, "metric");
    bn_json_string(json, at->ask.metric);
    bn_json_key(json, "goal");
    bn_json_string(json, at->ask.maximize ? "maximize" : "minimize");
    bn_json_key(json, "unfinished");
    bn_json_int(json, (int64_t)made->unfinished);
    bn_json_key(json, "without_value");
    bn_json_int(json, (int64_t)made->without_value);
    bn_json_key(json, "cells");
    bn_json_array(json);
    for (size_t i = 0; i < made->cell_count; i++) json_cell(json, at, &made->cells[i]);
    bn_json_end_array(json);
    bn_json_key(json, "differences");
    bn_json_array(json);
    for (size_t i = 0; i < made->pair_count; i++) json_pairs(json, at, &made->pairs[i]);
    bn_json_end_array(json);
    bn_json_end_object(json);
}

static bn_status compare_sweep(const compare_flags *flags, bn_store *store, const bn_sweep *sweep,
                               bn_json *json, bn_error *err)
{
    context at = {.flags = flags, .sweep = sweep};
    const char *metric = flags->metric ? flags->metric : sweep->metric;
    at.ask = (bn_comparison_ask){.sweep = sweep->id,
                                 .by = flags->by,
                                 .baseline = flags->baseline,
                                 .metric = *metric ? metric : "val/loss"};
    at.ask.maximize = bn_print_goal(sweep, at.ask.metric) == BN_GOAL_MAXIMIZE;
    bn_status status = bn_comparison_make(&at.made, store, &at.ask, err);
    if (status != BN_OK) return bn_fail_in(err, "sweep %s", sweep->name);
    if (json) json_sweep(json, &at);
    if (!json) status = print_people(&at, err);
    bn_comparison_release(&at.made);
    return status;
}

static bn_status compare_all(const compare_flags *flags, bn_store *store, bn_json *json,
                             bn_error *err)
{
    bn_sweep *sweeps = NULL;
    size_t count = 0;
    bn_status status = bn_sweep_list(store, &sweeps, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if (!json && i > 0) (void)printf("\n");
        status = compare_sweep(flags, store, &sweeps[i], json, err);
        /* Of many sweeps one may well lack the knob: that is no mistake of who asks. */
        if (status != BN_EINVAL || count == 1) continue;
        if (!json) (void)printf("%s\n", err->text);
        *err = (bn_error){0};
        status = BN_OK;
    }
    free(sweeps);
    return status;
}

static bn_status compare(const compare_flags *flags, bn_error *err)
{
    bn_store *store = NULL;
    bn_sweep sweep;
    bn_text out = {0};
    bn_status status = bn_store_open(&store, bn_command_home(flags->home), BN_STORE_READ, err);
    if (status != BN_OK) return status;
    bn_json json = bn_print_begin(&out), *into = flags->json ? &json : NULL;
    bn_json_key(&json, "sweeps");
    bn_json_array(&json);
    if (flags->sweep) {
        status = bn_sweep_find(store, flags->sweep, &sweep, err);
        if (status == BN_OK) status = compare_sweep(flags, store, &sweep, into, err);
    } else {
        status = compare_all(flags, store, into, err);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(&out, "\n");
    if (status == BN_OK && flags->json) status = bn_print_text(&out, err);
    bn_text_release(&out);
    bn_store_close(store);
    return status;
}

int bn_cmd_compare(int argc, char **argv)
{
    compare_flags flags = {.by = "quant.variant", .baseline = "fp16"};
    bool help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--json", 0, BN_OPTION_FLAG, &flags.json, NULL, "JSON instead of tables"},
        {"--sweep", 0, BN_OPTION_TEXT, &flags.sweep, "NAME", "only this sweep"},
        {"--by", 0, BN_OPTION_TEXT, &flags.by, "KNOB",
         "whose values are the sides (quant.variant)"},
        {"--baseline", 0, BN_OPTION_TEXT, &flags.baseline, "VALUE",
         "the side to measure against (fp16)"},
        {"--metric", 0, BN_OPTION_TEXT, &flags.metric, "KEY", "instead of the sweep's own"},
    };
    const bn_options options = {
        .usage = "bnexp compare [options]",
        .about =
            "Puts the sides of a sweep next to each other: each at its own best optimizer\n"
            "setting (mean over replicates), its gap to the baseline, speed and size, and the\n"
            "differences of twins: runs that agree in everything but the side.",
        .table = table,
        .count = sizeof table / sizeof table[0],
    };
    bn_option_list arguments;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) status = compare(&flags, &err);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
