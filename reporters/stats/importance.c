#include "reporters/stats/importance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 50 };

/* One knob's values as places on a grid of cells. */
typedef struct cells {
    double *places;           /* [count], 0 ... cells - 1 */
    int count;                /* cells */
    double *sorted;           /* scratch [count of runs] */
    double density[2][CELLS]; /* of the best, of all */
} cells;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value at or below which a run is among the best tenth. */
static double top_limit(const double *losses, size_t count, double *scratch)
{
    memcpy(scratch, losses, count * sizeof *scratch);
    qsort(scratch, count, sizeof *scratch, compare_doubles);
    return scratch[(size_t)ceil(0.1 * (double)count) - 1];
}

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
        for (size_t i = 0; i < count; i++) out->places[i] = fmin(knob->values[i], CELLS - 1);
        return;
    }
    out->count = high > low ? CELLS : 1;
    for (size_t i = 0; i < count; i++) {
        double share = high > low ? (scaled(knob, i) - low) / (high - low) : 0;
        out->places[i] = fmin(floor(share * CELLS), CELLS - 1);
    }
}

/* Scott's rule on the places, never narrower than what a cell can tell. */
static double bandwidth(double *places, size_t count)
{
    double mean = 0, squares = 0, n = (double)count;
    for (size_t i = 0; i < count; i++) mean += places[i] / n;
    for (size_t i = 0; i < count; i++) squares += (places[i] - mean) * (places[i] - mean);
    qsort(places, count, sizeof *places, compare_doubles);
    double quarter = places[(size_t)(0.75 * (n - 1))] - places[(size_t)(0.25 * (n - 1))];
    double spread = fmin(quarter / 1.34, sqrt(squares / fmax(1, n - 1)));
    return fmax(1.059 * spread * pow(n, -0.2), 0.5 / 1.64);
}

static double kernel(double cell, double center, double sigma)
{
    /* The cell's share of a normal around the center. */
    double upper = (cell + 0.5 - center) / sigma, lower = (cell - 0.5 - center) / sigma;
    return 0.5 * (erf(upper / sqrt(2.0)) - erf(lower / sqrt(2.0)));
}

/* Parzen density over the cells of the runs whose loss is at most `limit`; a prior as wide as the
 * range counts as one run more. Categories are counted. */
static void estimate(const bn_importance_knob *knob, const double *losses, size_t count,
                     double limit, cells *at, double *density)
{
    size_t chosen = 0;
    double counts[CELLS] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (losses[i] > limit) continue;
        counts[(int)at->places[i]]++;
        at->sorted[chosen++] = at->places[i];
    }
    double sigma = knob->categorical ? 0 : bandwidth(at->sorted, chosen);
    for (int c = 0; c < at->count; c++) {
        density[c] = 1.0 / at->count;
        if (knob->categorical) density[c] += counts[c];
        if (!knob->categorical) {
            density[c] = kernel(c, 0.5 * (at->count - 1), at->count);
            for (int k = 0; k < at->count; k++) {
                if (counts[k] > 0) density[c] += counts[k] * kernel(c, k, sigma);
            }
        }
        sum += density[c];
    }
    for (int c = 0; c < at->count; c++) density[c] = density[c] / sum + 1e-12;
}

static double divergence(const cells *at)
{
    double sum = 0;
    for (int c = 0; c < at->count; c++) {
        double ratio = at->density[0][c] / at->density[1][c] - 1;
        sum += at->density[1][c] * ratio * ratio;
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

static void weigh(const bn_importance_data *data, cells *at, bn_importance *out, size_t *top)
{
    double sum = 0, limit = top_limit(data->losses, data->count, at->sorted);
    *top = 0;
    for (size_t i = 0; i < data->count; i++) *top += data->losses[i] <= limit;
    for (size_t k = 0; k < data->knob_count; k++) {
        const bn_importance_knob *knob = &data->knobs[k];
        find_places(knob, data->count, at);
        estimate(knob, data->losses, data->count, limit, at, at->density[0]);
        estimate(knob, data->losses, data->count, (double)INFINITY, at, at->density[1]);
        out[k].share = divergence(at);
        out[k].spearman =
            knob->categorical ? (double)NAN : spearman(knob->values, data->losses, data->count);
        sum += out[k].share;
    }
    bool enough = *top >= BN_IMPORTANCE_TOP_MIN && sum > 0;
    for (size_t k = 0; k < data->knob_count; k++) {
        out[k].share = enough ? out[k].share / sum : (double)NAN;
    }
}

bn_status bn_importance_make(const bn_importance_data *data, bn_importance *out, size_t *top,
                             bn_error *err)
{
    *top = 0;
    if (data->count == 0) {
        for (size_t k = 0; k < data->knob_count; k++) {
            out[k] = (bn_importance){(double)NAN, (double)NAN};
        }
        return BN_OK;
    }
    cells at = {.places = calloc(data->count, sizeof *at.places),
                .sorted = calloc(data->count, sizeof *at.sorted)};
    bn_status status = BN_OK;
    if (at.places && at.sorted) {
        weigh(data, &at, out, top);
    } else {
        status = bn_fail(err, BN_ENOMEM, "importance: out of memory");
    }
    free(at.places);
    free(at.sorted);
    return status;
}
