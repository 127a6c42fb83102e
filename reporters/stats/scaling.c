#include "reporters/stats/scaling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"

enum { RESAMPLES = 1000, GRID = 40, REWEIGHTINGS = 100, REACH = 4 };

static const double DELTA = 1e-3; /* Huber's, on relative residuals */
static const double ALPHA_MIN = 0.01, ALPHA_MAX = 2.0;
static const double GOLDEN = 0.6180339887498949;

typedef struct curve {
    double e, a, alpha, objective;
    bool fitted;
} curve;

typedef struct rows {
    const bn_scaling_point *points;
    double *shrunk; /* (size / center)^-alpha of the alpha at hand */
    double *weights;
    size_t count;
    double tolerance; /* of alpha; E and A are a thousand times closer at each alpha */
    double center;    /* geometric mean of the sizes: keeps the two columns alike */
} rows;

/* E and A >= 0 that minimize the weighted squares of (E + A x) / L - 1. */
static void solve(const rows *r, double *e, double *a)
{
    double ee = 0, ea = 0, aa = 0, e1 = 0, a1 = 0;
    for (size_t i = 0; i < r->count; i++) {
        double u = 1 / r->points[i].loss, v = r->shrunk[i] / r->points[i].loss, w = r->weights[i];
        ee += w * u * u;
        ea += w * u * v;
        aa += w * v * v;
        e1 += w * u;
        a1 += w * v;
    }
    double determinant = ee * aa - ea * ea;
    bool regular = determinant > 1e-14 * ee * aa;
    *e = regular ? (e1 * aa - a1 * ea) / determinant : e1 / ee;
    *a = regular ? (a1 * ee - e1 * ea) / determinant : 0;
    if (*a < 0) {
        *a = 0;
        *e = e1 / ee;
    } else if (*e < 0) {
        *e = 0;
        *a = a1 / aa;
    }
}

static double huber(double residual)
{
    double size = fabs(residual);
    return size <= DELTA ? 0.5 * size * size : DELTA * (size - 0.5 * DELTA);
}

/* The best E and A for one alpha, in the units of the centered sizes. */
static curve at_alpha(rows *r, double alpha)
{
    curve found = {.alpha = alpha, .fitted = true};
    for (size_t i = 0; i < r->count; i++) {
        r->shrunk[i] = pow(r->points[i].size / r->center, -alpha);
        r->weights[i] = 1;
    }
    for (int step = 0; step < REWEIGHTINGS; step++) {
        double e = found.e, a = found.a;
        solve(r, &found.e, &found.a);
        found.objective = 0;
        for (size_t i = 0; i < r->count; i++) {
            double predicted = found.e + found.a * r->shrunk[i];
            double residual = log(predicted / r->points[i].loss);
            found.objective += huber(residual);
            r->weights[i] = fabs(residual) > DELTA ? DELTA / fabs(residual) : 1;
        }
        double close = 1e-3 * r->tolerance;
        bool still = fabs(e - found.e) <= close * found.e && fabs(a - found.a) <= close * found.a;
        if (step > 0 && still) break;
    }
    return found;
}

/* A grid over alpha, then a golden-section search between the neighbours of its best. */
static curve fit(rows *r)
{
    curve best = {.objective = (double)INFINITY};
    double step = log(ALPHA_MAX / ALPHA_MIN) / (GRID - 1);
    for (int i = 0; i < GRID; i++) {
        curve trial = at_alpha(r, ALPHA_MIN * exp(step * i));
        if (trial.objective < best.objective) best = trial;
    }
    double low = fmax(best.alpha * exp(-step), ALPHA_MIN);
    double high = fmin(best.alpha * exp(step), ALPHA_MAX);
    curve left = at_alpha(r, high - GOLDEN * (high - low));
    curve right = at_alpha(r, low + GOLDEN * (high - low));
    for (int i = 0; i < 60 && high - low > r->tolerance; i++) {
        if (left.objective <= right.objective) {
            high = right.alpha;
            right = left;
            left = at_alpha(r, high - GOLDEN * (high - low));
        } else {
            low = left.alpha;
            left = right;
            right = at_alpha(r, low + GOLDEN * (high - low));
        }
    }
    if (left.objective < best.objective) best = left;
    if (right.objective < best.objective) best = right;
    best.fitted = best.a > 0;
    best.a *= pow(r->center, best.alpha);
    return best;
}

static bn_status rows_init(rows *r, const bn_scaling_point *points, size_t count, bn_error *err)
{
    *r = (rows){.points = points,
                .count = count,
                .tolerance = 1e-10,
                .shrunk = calloc(count + 1, sizeof *r->shrunk),
                .weights = calloc(count + 1, sizeof *r->weights)};
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += log(points[i].size);
    r->center = count ? exp(sum / (double)count) : 1;
    if (r->shrunk && r->weights) return BN_OK;
    return bn_fail(err, BN_ENOMEM, "scaling law: out of memory");
}

static void rows_release(rows *r)
{
    free(r->shrunk);
    free(r->weights);
}

static size_t count_sizes(const bn_scaling_point *points, size_t count)
{
    size_t different = 0;
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++) seen |= points[k].size == points[i].size;
        different += !seen;
    }
    return different;
}

/* The fit and the fits of its resamples; one that is no law (too few sizes) is not fitted. */
static bn_status fit_all(const bn_scaling_point *points, size_t count, uint64_t seed, curve *laws,
                         bn_error *err)
{
    rows r;
    bn_scaling_point *drawn = calloc(count + 1, sizeof *drawn);
    if (!drawn) return bn_fail(err, BN_ENOMEM, "scaling law: out of memory");
    bn_status status = rows_init(&r, points, count, err);
    memset(laws, 0, (RESAMPLES + 1) * sizeof *laws);
    if (status == BN_OK && count_sizes(points, count) >= BN_SCALING_SIZES_MIN) {
        laws[0] = fit(&r);
        uint64_t key = bn_rng_key(seed, "scaling", 0);
        r.points = drawn;
        r.tolerance = 1e-5; /* far below what resampling itself moves */
        for (uint64_t b = 1; b <= RESAMPLES; b++) {
            for (size_t i = 0; i < count; i++) {
                drawn[i] = points[bn_rng_below(key, b * count + i, count)];
            }
            /* Three sizes still determine three numbers; fewer leave the curve open. */
            if (count_sizes(drawn, count) >= 3) laws[b] = fit(&r);
        }
    }
    rows_release(&r);
    free(drawn);
    return status;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The 2.5 and 97.5 percentiles; NaN when fewer than nine in ten resamples have the number. */
static void percentiles(double *values, size_t count, double *low, double *high)
{
    *low = *high = (double)NAN;
    if (count < RESAMPLES * 9 / 10) return;
    qsort(values, count, sizeof *values, compare_doubles);
    *low = values[(size_t)(0.025 * (double)(count - 1))];
    *high = values[(size_t)(0.975 * (double)(count - 1) + 0.5)];
}

static void interval(const curve *laws, int member, double *low, double *high)
{
    double values[RESAMPLES];
    size_t count = 0;
    for (int b = 1; b <= RESAMPLES; b++) {
        const double members[3] = {laws[b].e, laws[b].a, laws[b].alpha};
        if (laws[b].fitted) values[count++] = members[member];
    }
    percentiles(values, count, low, high);
}

static void summarize(const bn_scaling_point *points, size_t count, const curve *laws,
                      bn_scaling *out)
{
    const double nan = (double)NAN;
    *out = (bn_scaling){.points = count,
                        .sizes = count_sizes(points, count),
                        .fitted = laws[0].fitted,
                        .e = nan,
                        .a = nan,
                        .alpha = nan,
                        .size_min = nan,
                        .size_max = nan};
    for (size_t i = 0; i < count; i++) {
        out->size_min = fmin(out->size_min, points[i].size); /* fmin passes over NaN */
        out->size_max = fmax(out->size_max, points[i].size);
    }
    interval(laws, 0, &out->e_low, &out->e_high);
    interval(laws, 1, &out->a_low, &out->a_high);
    interval(laws, 2, &out->alpha_low, &out->alpha_high);
    if (!out->fitted) return;
    out->e = laws[0].e;
    out->a = laws[0].a;
    out->alpha = laws[0].alpha;
}

double bn_scaling_loss(const bn_scaling *law, double size)
{
    return law->e + law->a * pow(size, -law->alpha);
}

bn_status bn_scaling_fit(const bn_scaling_point *points, size_t count, uint64_t seed,
                         bn_scaling *out, bn_error *err)
{
    curve *laws = calloc(RESAMPLES + 1, sizeof *laws);
    if (!laws) return bn_fail(err, BN_ENOMEM, "scaling law: out of memory");
    bn_status status = fit_all(points, count, seed, laws, err);
    if (status == BN_OK) summarize(points, count, laws, out);
    free(laws);
    return status;
}

/* The size at which the baseline's law has the side's loss at `size`, over `size`; NaN: none. */
static double size_ratio(const curve *side, const curve *base, double size)
{
    double loss = side->e + side->a * pow(size, -side->alpha);
    if (!side->fitted || !base->fitted || loss <= base->e) return (double)NAN;
    return pow((loss - base->e) / base->a, -1 / base->alpha) / size;
}

static void meet(bn_scaling_twins *out)
{
    out->size = (double)NAN;
    if (!out->side.fitted || !out->base.fitted) return;
    double size = fmin(out->side.size_max, out->base.size_max);
    double end = REACH * fmax(out->side.size_max, out->base.size_max);
    if (bn_scaling_loss(&out->side, size) <= bn_scaling_loss(&out->base, size)) {
        out->meeting = BN_MEETING_REACHED;
        return;
    }
    out->meeting = BN_MEETING_BEYOND;
    double step = pow(end / size, 1.0 / 1000);
    for (int i = 0; i < 1000 && out->meeting == BN_MEETING_BEYOND; i++) {
        size *= step;
        if (bn_scaling_loss(&out->side, size) > bn_scaling_loss(&out->base, size)) continue;
        out->meeting = BN_MEETING_AHEAD;
        out->size = size;
    }
}

static void between(const curve *side, const curve *base, bn_scaling_twins *out)
{
    double ratios[RESAMPLES];
    size_t count = 0;
    meet(out);
    double size = fmin(out->side.size_max, out->base.size_max);
    out->ratio = size_ratio(&side[0], &base[0], size);
    for (int b = 1; b <= RESAMPLES; b++) {
        double ratio = size_ratio(&side[b], &base[b], size);
        if (isfinite(ratio)) ratios[count++] = ratio;
    }
    percentiles(ratios, count, &out->ratio_low, &out->ratio_high);
}

bn_status bn_scaling_compare(const bn_scaling_data *data, bn_scaling_twins *out, bn_error *err)
{
    *out = (bn_scaling_twins){.ratio = (double)NAN};
    curve *side = calloc(2 * (RESAMPLES + 1), sizeof *side);
    if (!side) return bn_fail(err, BN_ENOMEM, "scaling laws: out of memory");
    curve *base = side + RESAMPLES + 1;
    bn_status status = fit_all(data->side, data->side_count, data->side_seed, side, err);
    if (status == BN_OK) status = fit_all(data->base, data->base_count, data->base_seed, base, err);
    if (status == BN_OK) {
        summarize(data->side, data->side_count, side, &out->side);
        summarize(data->base, data->base_count, base, &out->base);
        between(side, base, out);
    }
    free(side);
    return status;
}
