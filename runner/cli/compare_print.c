#include "runner/cli/compare_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runner/cli/table.h"
#include "runner/cli/words.h"

enum { ANOVA_RUNS_MIN = 8 }; /* fewer, or one knob: the table above says it all */

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

static bn_status print_cells(const bn_compared *at, bn_error *err)
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

static void print_pairs(const bn_compared *at)
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
        if (pairs->p_holm > loss->p) (void)printf(" (Holm %.3g)", pairs->p_holm);
        (void)printf("; %zu pair%s: %zu won, %zu tied, %zu lost%s\n", loss->count,
                     loss->count == 1 ? "" : "s", wins, loss->ties, losses,
                     loss->count < 5 ? "; fewer than 5, no interval" : "");
    }
}

static void print_notes(const bn_compared *at)
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

static void print_anova(const bn_insight *insight)
{
    const bn_anova *anova = &insight->anova;
    char name[160];
    (void)printf("what matters (analysis of variance, a full grid of %zu runs):\n",
                 insight->run_count);
    for (int i = 0; i < anova->effect_count; i++) {
        const bn_anova_effect *effect = &anova->effects[i];
        bn_insight_effect_name(insight, effect, name);
        (void)printf("  %5.1f %%  %s", 100 * effect->share, name);
        if (!isnan(effect->p)) (void)printf(" (p = %.2g)", effect->p);
        (void)printf("\n");
    }
    if (insight->knob_count > 2) {
        (void)printf("  %5.1f %%  interactions of three and more\n", 100 * anova->higher_share);
    }
    if (anova->residual_share > 0) {
        (void)printf("  %5.1f %%  between replicates\n", 100 * anova->residual_share);
    }
}

static void print_importance(const bn_insight *insight)
{
    (void)printf(
        "what matters (PED-ANOVA, the best %zu of %zu runs against all; 95 %% intervals):\n",
        insight->top, insight->run_count);
    for (size_t i = 0; i < insight->knob_count; i++) {
        const bn_importance *knob = &insight->importance[i];
        (void)printf("  %5.1f %%  %s [%.1f, %.1f]", 100 * knob->share, insight->knobs[i],
                     100 * knob->low, 100 * knob->high);
        if (!isnan(knob->spearman)) (void)printf(" (rank correlation %+.2f)", knob->spearman);
        (void)printf("\n");
    }
}

/* Too few runs, or no grid and no search long enough: each knob by itself. */
static void print_effects(const bn_insight *insight)
{
    (void)printf("what matters (variance that each knob explains by itself, %zu runs; 95 %% "
                 "intervals):\n",
                 insight->run_count);
    for (size_t i = 0; i < insight->knob_count; i++) {
        const bn_effect *effect = &insight->effects[i];
        (void)printf("  %5.1f %%  %s [%.1f, %.1f]\n", 100 * effect->share, insight->knobs[i],
                     100 * effect->low, 100 * effect->high);
    }
}

static void print_valleys(const bn_comparison *made)
{
    bool head = false;
    for (size_t i = 0; i < made->cell_count; i++) {
        const bn_comparison_cell *cell = &made->cells[i];
        const bn_valley *valley = &cell->valley;
        const char *shape = made->shapes[cell->shape], *setting = made->settings[cell->setting];
        if (!valley->fitted) continue;
        if (!head) {
            (void)printf("the best %.*s by a parabola, with 95 %% intervals:\n",
                         (int)strcspn(setting, "="), setting);
        }
        head = true;
        (void)printf("  %s%s%s: %.3g", shape, *shape ? ", " : "", made->sides[cell->side],
                     valley->rate);
        if (!isnan(valley->rate_low)) {
            (void)printf(" [%.3g, %.3g]", valley->rate_low, valley->rate_high);
        }
        (void)printf(" with %.4f", valley->loss);
        if (!isnan(valley->loss_low)) {
            (void)printf(" [%.4f, %.4f]", valley->loss_low, valley->loss_high);
        }
        (void)printf("\n");
    }
}

static void print_law(const char *side, const bn_scaling *law)
{
    if (!law->fitted) {
        (void)printf("  %s: no law, its loss does not fall with size\n", side);
        return;
    }
    (void)printf("  %s: %.4f [%.4f, %.4f] + %.4g N^-%.4f [%.4f, %.4f], %zu runs of %zu sizes\n",
                 side, law->e, law->e_low, law->e_high, law->a, law->alpha, law->alpha_low,
                 law->alpha_high, law->points, law->sizes);
}

static void print_meeting(const bn_compared *at, const bn_insight_scaling *scaling)
{
    const bn_scaling_twins *twins = &scaling->twins;
    const char *side = at->made.sides[scaling->side], *base = at->made.sides[at->made.baseline];
    char words[BN_WORDS_MAX];
    switch (twins->meeting) {
    case BN_MEETING_UNKNOWN:
        return;
    case BN_MEETING_REACHED:
        (void)printf("  %s is level with %s, or better, at the largest size\n", side, base);
        return;
    case BN_MEETING_AHEAD:
        (void)printf("  %s would meet %s at %s parameters", side, base,
                     bn_words_count(words, twins->size));
        if (!isnan(scaling->width)) (void)printf(", width %.0f", scaling->width);
        (void)printf(" (extrapolated)\n");
        return;
    case BN_MEETING_BEYOND:
        (void)printf("  %s meets %s: not within reach (4 times the largest size)\n", side, base);
        return;
    }
}

static void print_scaling(const bn_compared *at)
{
    for (size_t i = 0; i < at->insight.scaling_count; i++) {
        const bn_insight_scaling *scaling = &at->insight.scaling[i];
        const bn_scaling_twins *twins = &scaling->twins;
        const char *side = at->made.sides[scaling->side];
        const char *base = at->made.sides[at->made.baseline];
        (void)printf("loss against parameters N, with 95 %% intervals:\n");
        print_law(base, &twins->base);
        print_law(side, &twins->side);
        print_meeting(at, scaling);
        if (isnan(twins->ratio)) continue;
        (void)printf("  the largest %s is as good as %s of %.2f times its size", side, base,
                     twins->ratio);
        if (!isnan(twins->ratio_low)) {
            (void)printf(" [%.2f, %.2f]", twins->ratio_low, twins->ratio_high);
        }
        (void)printf("\n");
    }
}

bn_status bn_compare_print(const bn_compared *at, bn_error *err)
{
    (void)printf("sweep %s: %s, %s over training, mean \xC2\xB1 deviation over replicates\n",
                 at->sweep->name, at->ask.metric, at->ask.maximize ? "largest" : "lowest");
    if (at->made.run_count == 0) {
        (void)printf("no finished run has a finite %s yet\n", at->ask.metric);
        return BN_OK;
    }
    bn_status status = print_cells(at, err);
    print_pairs(at);
    bool worth = at->insight.knob_count > 1 && at->insight.run_count >= ANOVA_RUNS_MIN;
    if (at->insight.full_grid && worth) print_anova(&at->insight);
    if (at->insight.searched) print_importance(&at->insight);
    bool alone = at->insight.effects && !at->insight.searched && !at->insight.full_grid;
    if (alone && worth) print_effects(&at->insight);
    print_valleys(&at->made);
    print_scaling(at);
    print_notes(at);
    return status;
}
