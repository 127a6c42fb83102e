#include "reporters/stats/importance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"

enum { CELLS = 50, RESAMPLES = 400 };

/* One knob's values as places on a grid of cells. */
typedef struct cells {
    int *places; /* [runs] 0 ... count - 1 */
    int count;   /* cells */
} cells;

/* What all knobs share: the runs from the best to the worst, and how often each counts. */
typedef struct sample {
    size_t *order; /* [count] runs, best first */
    int *weights;  /* [count] by run; 1, or times it was drawn */
    size_t last;   /* place in order of the last of the best tenth, ties included */
} sample;

static double scaled(const bn_importance_knob *knob, size_t i)
{
    return knob->logarithmic ? log2(knob->values[i]) : knob->values[i];
}

static void find_places(const bn_importance_knob *knob, size_t count, cells *out)
{
    double low = (double)INFINITY, high = -(double)INFINITY;
    for (size_t i = 0; i < count; i++) {
        low = fmin(low, scaled(knob, i));
        high = fmax(high, scaled(knob, i));
    }
    if (knob->categorical) {
        out->count = high >= CELLS ? CELLS : (int)high + 1;
        for (size_t i = 0; i < count; i++) out->places[i] = (int)fmin(knob->values[i], CELLS - 1);
        return;
    }
    out->count = high > low ? CELLS : 1;
    for (size_t i = 0; i < count; i++) {
        double share = high > low ? (scaled(knob, i) - low) / (high - low) : 0;
        out->places[i] = (int)fmin(floor(share * CELLS), CELLS - 1);
    }
}

/* The cell of the value at a place of the sorted ones. */
static int cell_at(const double *counts, double place)
{
    double sum = 0;
    for (int c = 0; c < CELLS; c++) {
        sum += counts[c];
        if (sum > floor(place)) return c;
    }
    return CELLS - 1;
}

/* Scott's rule on the places, never narrower than what a cell can tell. */
static double bandwidth(const double *counts)
{
    double n = 0, mean = 0, squares = 0;
    for (int c = 0; c < CELLS; c++) n += counts[c];
    for (int c = 0; c < CELLS; c++) mean += counts[c] * c / n;
    for (int c = 0; c < CELLS; c++) squares += counts[c] * (c - mean) * (c - mean);
    double quarter = cell_at(counts, 0.75 * (n - 1)) - cell_at(counts, 0.25 * (n - 1));
    double spread = fmin(quarter / 1.34, sqrt(squares / fmax(1, n - 1)));
    return fmax(1.059 * spread * pow(n, -0.2), 0.5 / 1.64);
}

/* A normal around cell 0: its share of each cell at a distance. */
static void kernel_fill(double kernel[CELLS], double sigma)
{
    double lower = erf(-0.5 / sigma / sqrt(2.0));
    for (int c = 0; c < CELLS; c++) {
        double upper = erf((c + 0.5) / sigma / sqrt(2.0));
        kernel[c] = 0.5 * (upper - lower);
        lower = upper;
    }
}

/* Of a normal as wide as the range around its middle: the prior, which counts as one run more. */
static double prior(int cell, int count)
{
    double center = 0.5 * (count - 1), root = count * sqrt(2.0);
    return 0.5 * (erf((cell + 0.5 - center) / root) - erf((cell - 0.5 - center) / root));
}

/* Parzen density over the cells from how many runs lie in each. Categories are counted. */
static void estimate(const bn_importance_knob *knob, const double *counts, int cell_count,
                     double *density)
{
    double kernel[CELLS], sum = 0;
    if (!knob->categorical) kernel_fill(kernel, bandwidth(counts));
    for (int c = 0; c < cell_count; c++) {
        density[c] = knob->categorical ? 1.0 / cell_count + counts[c] : prior(c, cell_count);
        for (int k = 0; k < cell_count && !knob->categorical; k++) {
            if (counts[k] > 0) density[c] += counts[k] * kernel[c > k ? c - k : k - c];
        }
        sum += density[c];
    }
    for (int c = 0; c < cell_count; c++) density[c] = density[c] / sum + 1e-12;
}

/* How far the best runs' density is from that of all. */
static double divergence(const bn_importance_knob *knob, const cells *at, const sample *of,
                         size_t count)
{
    double counts[2][CELLS] = {{0}}, density[2][CELLS], sum = 0;
    for (size_t i = 0; i < count; i++) {
        size_t run = of->order[i];
        counts[1][at->places[run]] += of->weights[run];
        if (i <= of->last) counts[0][at->places[run]] += of->weights[run];
    }
    for (int k = 0; k < 2; k++) estimate(knob, counts[k], at->count, density[k]);
    for (int c = 0; c < at->count; c++) {
        double ratio = density[0][c] / density[1][c] - 1;
        sum += density[1][c] * ratio * ratio;
    }
    return sum;
}

/* Ranks with ties at their mean, by counting: n is a few thousand at most. */
static double rank_of(const double *values, size_t count, size_t index)
{
    double below = 0, equal = 0;
    for (size_t i = 0; i < count; i++) {
        below += values[i] < values[index];
        equal += values[i] == values[index];
    }
    return below + 0.5 * (equal - 1);
}

static double spearman(const double *x, const double *y, size_t count)
{
    double middle = 0.5 * ((double)count - 1), xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < count; i++) {
        double a = rank_of(x, count, i) - middle, b = rank_of(y, count, i) - middle;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

/* Where the best tenth ends; returns how many runs are in it. */
static size_t find_top(const bn_importance_data *data, sample *of)
{
    size_t wanted = (size_t)ceil(0.1 * (double)data->count), top = 0;
    for (size_t i = 0; i < data->count; i++) {
        size_t run = of->order[i];
        bool tied = i > 0 && data->losses[run] == data->losses[of->order[of->last]];
        if (top >= wanted && !tied) break;
        if (of->weights[run] == 0) continue;
        of->last = i;
        top += (size_t)of->weights[run];
    }
    return top;
}

/* Shares of all knobs in one sample; false: nothing to tell. */
static bool shares(const bn_importance_data *data, const cells *at, sample *of, double *out)
{
    double sum = 0;
    (void)find_top(data, of);
    for (size_t k = 0; k < data->knob_count; k++) {
        sum += out[k] = divergence(&data->knobs[k], &at[k], of, data->count);
    }
    for (size_t k = 0; k < data->knob_count; k++) out[k] /= sum;
    return sum > 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* all: [knobs, RESAMPLES] */
static void find_intervals(const bn_importance_data *data, const cells *at, sample *of, double *all,
                           bn_importance *out)
{
    double *drawn = all + data->knob_count * RESAMPLES;
    size_t kept = 0;
    for (size_t b = 0; b < RESAMPLES; b++) {
        memset(of->weights, 0, data->count * sizeof *of->weights);
        for (size_t i = 0; i < data->count; i++) {
            of->weights[bn_rng_below(data->seed, b * data->count + i, data->count)]++;
        }
        if (!shares(data, at, of, drawn)) continue;
        for (size_t k = 0; k < data->knob_count; k++) all[k * RESAMPLES + kept] = drawn[k];
        kept++;
    }
    for (size_t k = 0; kept > 0 && k < data->knob_count; k++) {
        double *mine = all + k * RESAMPLES;
        qsort(mine, kept, sizeof *mine, compare_doubles);
        out[k].low = mine[(size_t)(0.025 * (double)(kept - 1))];
        out[k].high = mine[(size_t)(0.975 * (double)(kept - 1) + 0.5)];
    }
}

typedef struct ranked {
    double loss;
    size_t run;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    return (x->run > y->run) - (x->run < y->run);
}

static void weigh(const bn_importance_data *data, cells *at, sample *of, double *all,
                  bn_importance *out)
{
    double *whole = all + data->knob_count * RESAMPLES;
    for (size_t k = 0; k < data->knob_count; k++) {
        const bn_importance_knob *knob = &data->knobs[k];
        find_places(knob, data->count, &at[k]);
        if (!knob->categorical) {
            out[k].spearman = spearman(knob->values, data->losses, data->count);
        }
    }
    if (!shares(data, at, of, whole)) return;
    for (size_t k = 0; k < data->knob_count; k++) out[k].share = whole[k];
    find_intervals(data, at, of, all, out);
}

static bool order_runs(const bn_importance_data *data, sample *of)
{
    ranked *list = calloc(data->count, sizeof *list);
    if (!list) return false;
    for (size_t i = 0; i < data->count; i++) list[i] = (ranked){data->losses[i], i};
    qsort(list, data->count, sizeof *list, compare_ranked);
    for (size_t i = 0; i < data->count; i++) {
        of->order[i] = list[i].run;
        of->weights[i] = 1;
    }
    free(list);
    return true;
}

bn_status bn_importance_make(const bn_importance_data *data, bn_importance *out, size_t *top,
                             bn_error *err)
{
    const double nan = (double)NAN;
    *top = 0;
    for (size_t k = 0; k < data->knob_count; k++) out[k] = (bn_importance){nan, nan, nan, nan};
    if (data->count == 0) return BN_OK;
    sample of = {.order = calloc(data->count, sizeof *of.order),
                 .weights = calloc(data->count, sizeof *of.weights)};
    cells *at = calloc(data->knob_count + 1, sizeof *at);
    int *places = calloc(data->count * data->knob_count + 1, sizeof *places);
    double *all = calloc(data->knob_count + 1, (RESAMPLES + 1) * sizeof *all);
    bn_status status = BN_OK;
    if (of.order && of.weights && at && places && all && order_runs(data, &of)) {
        for (size_t k = 0; k < data->knob_count; k++) at[k].places = places + k * data->count;
        *top = find_top(data, &of);
        if (*top >= BN_IMPORTANCE_TOP_MIN) weigh(data, at, &of, all, out);
    } else {
        status = bn_fail(err, BN_ENOMEM, "importance: out of memory");
    }
    free(of.order);
    free(of.weights);
    free(at);
    free(places);
    free(all);
    return status;
}
