#include "reporters/stats/anova.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "reporters/stats/special.h"

typedef struct grid {
    const bn_anova_data *data;
    size_t cells;
    double *means;  /* by cell; the last factor varies fastest */
    double *counts; /* values in each */
    double grand;
    double harmonic; /* mean of counts: what one cell mean weighs */
    double within;   /* sum of squares between replicates */
} grid;

static size_t cell_of(const bn_anova_data *data, size_t row)
{
    size_t cell = 0;
    for (int f = 0; f < data->factors; f++) {
        int level = data->levels[row * (size_t)data->factors + (size_t)f];
        assert(level >= 0 && level < data->level_counts[f]);
        cell = cell * (size_t)data->level_counts[f] + (size_t)level;
    }
    return cell;
}

static int level_of(const bn_anova_data *data, size_t cell, int factor)
{
    for (int f = data->factors - 1; f > factor; f--) cell /= (size_t)data->level_counts[f];
    return (int)(cell % (size_t)data->level_counts[factor]);
}

static bn_status check(const bn_anova_data *data, size_t *cells, bn_error *err)
{
    *cells = 1;
    if (data->factors < 1 || data->factors > BN_ANOVA_FACTORS_MAX) {
        return bn_fail(err, BN_EINVAL, "analysis of variance takes 1 to %d knobs, not %d",
                       BN_ANOVA_FACTORS_MAX, data->factors);
    }
    for (int f = 0; f < data->factors; f++) {
        *cells *= (size_t)data->level_counts[f];
        if (*cells == 0 || *cells > BN_ANOVA_CELLS_MAX) {
            return bn_fail(err, BN_EINVAL, "a grid of more than %d cells", BN_ANOVA_CELLS_MAX);
        }
    }
    return BN_OK;
}

/* False when a cell is empty. */
static bool fill(grid *g)
{
    const bn_anova_data *data = g->data;
    double inverse = 0;
    for (size_t i = 0; i < data->count; i++) {
        size_t cell = cell_of(data, i);
        g->means[cell] += data->values[i];
        g->counts[cell]++;
    }
    for (size_t c = 0; c < g->cells; c++) {
        if (g->counts[c] == 0) return false;
        g->means[c] /= g->counts[c];
        g->grand += g->means[c] / (double)g->cells;
        inverse += 1 / g->counts[c];
    }
    for (size_t i = 0; i < data->count; i++) {
        double off = data->values[i] - g->means[cell_of(data, i)];
        g->within += off * off;
    }
    g->harmonic = (double)g->cells / inverse;
    return true;
}

/* Mean of the cells at one level of one factor (or of two; second -1: of one). */
static double marginal(const grid *g, int first, int a, int second, int b)
{
    double sum = 0;
    size_t count = 0;
    for (size_t c = 0; c < g->cells; c++) {
        if (level_of(g->data, c, first) != a) continue;
        if (second >= 0 && level_of(g->data, c, second) != b) continue;
        sum += g->means[c];
        count++;
    }
    return sum / (double)count;
}

static double squares_alone(const grid *g, int factor)
{
    int levels = g->data->level_counts[factor];
    double sum = 0;
    for (int a = 0; a < levels; a++) {
        double off = marginal(g, factor, a, -1, 0) - g->grand;
        sum += off * off;
    }
    return sum * g->harmonic * (double)g->cells / levels;
}

static double squares_pair(const grid *g, int first, int second)
{
    int m = g->data->level_counts[first], n = g->data->level_counts[second];
    double sum = 0;
    for (int a = 0; a < m; a++) {
        double mean_a = marginal(g, first, a, -1, 0);
        for (int b = 0; b < n; b++) {
            double off = marginal(g, first, a, second, b) - mean_a - marginal(g, second, b, -1, 0) +
                         g->grand;
            sum += off * off;
        }
    }
    return sum * g->harmonic * (double)g->cells / (m * n);
}

static void add_effect(const grid *g, bn_anova *out, int first, int second)
{
    bn_anova_effect *effect = &out->effects[out->effect_count++];
    double df = g->data->level_counts[first] - 1;
    if (second >= 0) df *= g->data->level_counts[second] - 1;
    *effect = (bn_anova_effect){.first = first, .second = second, .df = df};
    effect->share = second < 0 ? squares_alone(g, first) : squares_pair(g, first, second);
}

/* Turns sums of squares into shares, and holds them against the error there is: replicates, or
 * interactions of three and more, which are noise more often than not. */
static void weigh(const grid *g, bn_anova *out)
{
    double between = 0, explained = 0, explained_df = 0;
    for (size_t c = 0; c < g->cells; c++) {
        between += g->harmonic * (g->means[c] - g->grand) * (g->means[c] - g->grand);
    }
    for (int i = 0; i < out->effect_count; i++) {
        explained += out->effects[i].share;
        explained_df += out->effects[i].df;
    }
    double higher = fmax(0, between - explained), total = between + g->within;
    double within_df = (double)g->data->count - (double)g->cells;
    double higher_df = (double)g->cells - 1 - explained_df;
    bool replicated = within_df > 0;
    out->error_df = replicated ? within_df : fmax(0, higher_df);
    double error = (replicated ? g->within : higher) / out->error_df;
    for (int i = 0; i < out->effect_count; i++) {
        bn_anova_effect *effect = &out->effects[i];
        effect->f =
            effect->df > 0 && out->error_df > 0 ? effect->share / effect->df / error : (double)NAN;
        effect->p = bn_fisher_tail(effect->f, effect->df, out->error_df);
        effect->share = total > 0 ? effect->share / total : 0;
    }
    out->higher_share = total > 0 ? higher / total : 0;
    out->residual_share = total > 0 ? g->within / total : 0;
}

bn_status bn_anova_make(const bn_anova_data *data, bn_anova *out, bool *full, bn_error *err)
{
    grid g = {.data = data};
    *out = (bn_anova){0};
    *full = false;
    if (check(data, &g.cells, err) != BN_OK) return err->status;
    g.means = calloc(g.cells, sizeof *g.means);
    g.counts = calloc(g.cells, sizeof *g.counts);
    bn_status status = BN_OK;
    if (!g.means || !g.counts) {
        status = bn_fail(err, BN_ENOMEM, "analysis of variance: out of memory");
    } else if (fill(&g)) {
        *full = true;
        for (int f = 0; f < data->factors; f++) add_effect(&g, out, f, -1);
        for (int f = 0; f < data->factors; f++) {
            for (int h = f + 1; h < data->factors; h++) add_effect(&g, out, f, h);
        }
        weigh(&g, out);
    }
    free(g.means);
    free(g.counts);
    return status;
}
