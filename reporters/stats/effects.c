#include "reporters/stats/effects.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/rng.h"

enum { RESAMPLES = 400, BINS = 6 };

/* A knob as levels of the runs, and the scratch that a share is made with. */
typedef struct factor {
    int *levels;    /* [runs] */
    double *sums;   /* [levels] */
    double *counts; /* [levels] */
    int count;
} factor;

typedef struct ranked {
    double value;
    size_t run;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Each value a level, or when numbers have too many of them, bins of runs that follow each other.
 * Equal values always share a level. */
static void find_levels(const bn_importance_knob *knob, size_t runs, ranked *order, factor *out)
{
    size_t first = 0;
    int values = 1, bin = -1, level = -1;
    for (size_t i = 0; i < runs; i++) order[i] = (ranked){knob->values[i], i};
    qsort(order, runs, sizeof *order, compare_ranked);
    for (size_t i = 1; i < runs; i++) values += order[i].value != order[i - 1].value;
    bool binned = !knob->categorical && values > BINS;
    for (size_t i = 0; i < runs; i++) {
        if (i == 0 || order[i].value != order[first].value) {
            first = i;
            int next = binned ? (int)(i * BINS / runs) : bin + 1;
            level += next != bin;
            bin = next;
        }
        out->levels[order[i].run] = level;
    }
    out->count = level + 1;
}

/* Omega squared of the chosen runs; rows NULL: of all. */
static double share(factor *of, const double *losses, const size_t *rows, size_t runs)
{
    double total = 0, squares = 0, between = 0;
    int used = 0;
    for (int k = 0; k < of->count; k++) of->sums[k] = of->counts[k] = 0;
    for (size_t i = 0; i < runs; i++) {
        size_t row = rows ? rows[i] : i;
        of->sums[of->levels[row]] += losses[row];
        of->counts[of->levels[row]]++;
        total += losses[row];
    }
    double mean = total / (double)runs;
    for (size_t i = 0; i < runs; i++) {
        double off = losses[rows ? rows[i] : i] - mean;
        squares += off * off;
    }
    for (int k = 0; k < of->count; k++) {
        if (of->counts[k] == 0) continue;
        double off = of->sums[k] / of->counts[k] - mean;
        between += of->counts[k] * off * off;
        used++;
    }
    double df = (double)runs - used;
    if (!(squares > 0) || used < 2 || df < 1) return 0;
    double noise = fmax(0, squares - between) / df;
    return fmax(0, (between - (used - 1) * noise) / (squares + noise));
}

typedef struct scratch {
    factor factor;
    ranked *order;
    size_t *rows;
    double *shares; /* [RESAMPLES] */
} scratch;

static bool scratch_make(scratch *at, size_t runs)
{
    at->factor.levels = calloc(runs, sizeof *at->factor.levels);
    at->factor.sums = calloc(runs, sizeof *at->factor.sums);
    at->factor.counts = calloc(runs, sizeof *at->factor.counts);
    at->order = calloc(runs, sizeof *at->order);
    at->rows = calloc(runs, sizeof *at->rows);
    at->shares = calloc(RESAMPLES, sizeof *at->shares);
    return at->factor.levels && at->factor.sums && at->factor.counts && at->order && at->rows &&
           at->shares;
}

static void scratch_release(scratch *at)
{
    free(at->factor.levels);
    free(at->factor.sums);
    free(at->factor.counts);
    free(at->order);
    free(at->rows);
    free(at->shares);
}

static void weigh(const bn_importance_data *data, size_t knob, uint64_t seed, scratch *at,
                  bn_effect *out)
{
    size_t runs = data->count;
    find_levels(&data->knobs[knob], runs, at->order, &at->factor);
    out->levels = at->factor.count;
    out->share = share(&at->factor, data->losses, NULL, runs);
    for (size_t b = 0; b < RESAMPLES; b++) {
        /* The same resamples for every knob: their shares can be held against each other. */
        for (size_t i = 0; i < runs; i++) at->rows[i] = bn_rng_below(seed, b * runs + i, runs);
        at->shares[b] = share(&at->factor, data->losses, at->rows, runs);
    }
    qsort(at->shares, RESAMPLES, sizeof *at->shares, compare_doubles);
    out->low = at->shares[(size_t)(0.025 * (RESAMPLES - 1))];
    out->high = at->shares[(size_t)(0.975 * (RESAMPLES - 1) + 0.5)];
}

bn_status bn_effects_make(const bn_importance_data *data, uint64_t seed, bn_effect *out,
                          bn_error *err)
{
    const double nan = (double)NAN;
    for (size_t k = 0; k < data->knob_count; k++) out[k] = (bn_effect){nan, nan, nan, 0};
    if (data->count < BN_EFFECT_RUNS_MIN) return BN_OK;
    scratch at = {0};
    bool room = scratch_make(&at, data->count);
    for (size_t k = 0; room && k < data->knob_count; k++) weigh(data, k, seed, &at, &out[k]);
    scratch_release(&at);
    return room ? BN_OK : bn_fail(err, BN_ENOMEM, "effects of knobs: out of memory");
}
