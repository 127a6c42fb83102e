#include "reporters/stats/scaling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"

enum { RESAMPLES = 1000, GRID = 40, REWEIGHTINGS = 100, REACH = 4 };

static const double DELTA = 1e-3; /* Huber's, on relative residuals */
static const double ALPHA_MIN = 0.01, ALPHA_MAX = 2.0;
static const double GRID_CLOSE = 1e-5; /* enough to tell which stretch of alpha is best */
static const double GOLDEN = 0.6180339887498949;

typedef struct curve {
    double e, a, alpha, objective;
    bool fitted;
} curve;

struct bn_scaling_fits {
    bn_scaling_point *points;
    size_t count, sizes;
    curve laws[RESAMPLES + 1]; /* of all points, then of the resamples */
};

/* A run, or several of a resample that are the same one. */
typedef struct row {
    size_t place;        /* of its size among the different ones */
    double inverse, log; /* of the loss */
    double times, weight;
} row;

/* Runs of one size share what only depends on the size: a logarithm costs more than all the rest.
 */
typedef struct place {
    double size;
    double shrunk, log; /* (size / center)^-alpha of the alpha at hand; log of the loss there */
} place;

typedef struct rows {
    row *rows;
    place *places;
    size_t count, place_count;
    double tolerance; /* of alpha; E and A are a thousand times closer at each alpha */
    double center;    /* geometric mean of the sizes: keeps the two columns alike */
} rows;

/* E and A >= 0 that minimize the weighted squares of (E + A x) / L - 1. */
static void solve(const rows *r, double *e, double *a)
{
    double ee = 0, ea = 0, aa = 0, e1 = 0, a1 = 0;
    for (size_t i = 0; i < r->count; i++) {
        const row *at = &r->rows[i];
        double x = r->places[at->place].shrunk;
        double wu = at->times * at->weight * at->inverse, wuu = wu * at->inverse;
        ee += wuu;
        ea += wuu * x;
        aa += wuu * x * x;
        e1 += wu;
        a1 += wu * x;
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

/* The best E and A for one alpha, in the units of the centered sizes, `close` to their limits. The
 * weights are those of the alpha before: near it few steps are left. */
static curve at_alpha(rows *r, double alpha, double close)
{
    curve found = {.alpha = alpha, .fitted = true};
    for (size_t i = 0; i < r->place_count; i++) {
        r->places[i].shrunk = pow(r->places[i].size / r->center, -alpha);
    }
    for (int step = 0; step < REWEIGHTINGS; step++) {
        double e = found.e, a = found.a;
        solve(r, &found.e, &found.a);
        for (size_t i = 0; i < r->place_count; i++) {
            r->places[i].log = log(found.e + found.a * r->places[i].shrunk);
        }
        found.objective = 0;
        for (size_t i = 0; i < r->count; i++) {
            row *at = &r->rows[i];
            double residual = r->places[at->place].log - at->log;
            found.objective += at->times * huber(residual);
            at->weight = fabs(residual) > DELTA ? DELTA / fabs(residual) : 1;
        }
        bool still = fabs(e - found.e) <= close * found.e && fabs(a - found.a) <= close * found.a;
        if (step > 0 && still) break;
    }
    return found;
}

/* A grid over alpha, then a golden-section search between the neighbours of its best. */
static curve fit(rows *r)
{
    curve best = {.objective = (double)INFINITY};
    double step = log(ALPHA_MAX / ALPHA_MIN) / (GRID - 1), close = 1e-3 * r->tolerance;
    for (int i = 0; i < GRID; i++) {
        curve trial = at_alpha(r, ALPHA_MIN * exp(step * i), GRID_CLOSE);
        if (trial.objective < best.objective) best = trial;
    }
    double low = fmax(best.alpha * exp(-step), ALPHA_MIN);
    double high = fmin(best.alpha * exp(step), ALPHA_MAX);
    curve left = at_alpha(r, high - GOLDEN * (high - low), close);
    curve right = at_alpha(r, low + GOLDEN * (high - low), close);
    for (int i = 0; i < 60 && high - low > r->tolerance; i++) {
        if (left.objective <= right.objective) {
            high = right.alpha;
            right = left;
            left = at_alpha(r, high - GOLDEN * (high - low), close);
        } else {
            low = left.alpha;
            left = right;
            right = at_alpha(r, low + GOLDEN * (high - low), close);
        }
    }
    if (left.objective < best.objective) best = left;
    if (right.objective < best.objective) best = right;
    best.fitted = best.a > 0;
    best.a *= pow(r->center, best.alpha);
    return best;
}

static bn_status rows_init(rows *r, size_t count, bn_error *err)
{
    *r = (rows){.rows = calloc(count + 1, sizeof *r->rows),
                .places = calloc(count + 1, sizeof *r->places)};
    if (r->rows && r->places) return BN_OK;
    return bn_fail(err, BN_ENOMEM, "scaling law: out of memory");
}

static void rows_release(rows *r)
{
    free(r->rows);
    free(r->places);
}

static size_t find_place(rows *r, double size)
{
    size_t at = 0;
    while (at < r->place_count && r->places[at].size != size) at++;
    if (at == r->place_count) r->places[r->place_count++].size = size;
    return at;
}

/* The runs, each as often as `times` says; those that say 0 are left out. */
static void rows_fill(rows *r, const bn_scaling_point *points, const int *times, size_t count)
{
    double sum = 0, all = 0;
    r->count = r->place_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (times[i] == 0) continue;
        r->rows[r->count++] = (row){.place = find_place(r, points[i].size),
                                    .inverse = 1 / points[i].loss,
                                    .log = log(points[i].loss),
                                    .times = times[i],
                                    .weight = 1};
        sum += times[i] * log(points[i].size);
        all += times[i];
    }
    r->center = all > 0 ? exp(sum / all) : 1;
}

/* The fit and the fits of its resamples; one that is no law (too few sizes) is not fitted. */
static bn_status fit_all(bn_scaling_fits *out, uint64_t seed, bn_error *err)
{
    size_t count = out->count;
    rows r = {0};
    int *times = calloc(count + 1, sizeof *times);
    if (!times) return bn_fail(err, BN_ENOMEM, "scaling law: out of memory");
    bn_status status = rows_init(&r, count, err);
    if (status != BN_OK) goto done;
    for (size_t i = 0; i < count; i++) times[i] = 1;
    rows_fill(&r, out->points, times, count);
    out->sizes = r.place_count;
    if (out->sizes < BN_SCALING_SIZES_MIN) goto done;
    r.tolerance = 1e-10;
    out->laws[0] = fit(&r);
    uint64_t key = bn_rng_key(seed, "scaling", 0);
    r.tolerance = 1e-5; /* far below what resampling itself moves */
    for (uint64_t b = 1; b <= RESAMPLES; b++) {
        memset(times, 0, count * sizeof *times);
        for (size_t i = 0; i < count; i++) times[bn_rng_below(key, b * count + i, count)]++;
        rows_fill(&r, out->points, times, count);
        /* Three sizes still determine three numbers; fewer leave the curve open. */
        if (r.place_count >= 3) out->laws[b] = fit(&r);
    }
done:
    rows_release(&r);
    free(times);
    return status;
}

bn_status bn_scaling_open(bn_scaling_fits **out, const bn_scaling_point *points, size_t count,
                          uint64_t seed, bn_error *err)
{
    *out = NULL;
    bn_scaling_fits *made = calloc(1, sizeof *made);
    bn_scaling_point *copy = calloc(count + 1, sizeof *copy);
    if (!made || !copy) {
        free(made);
        free(copy);
        return bn_fail(err, BN_ENOMEM, "scaling law: out of memory");
    }
    if (count) memcpy(copy, points, count * sizeof *copy);
    made->points = copy;
    made->count = count;
    if (fit_all(made, seed, err) != BN_OK) {
        bn_scaling_close(made);
        return err->status;
    }
    *out = made;
    return BN_OK;
}

void bn_scaling_close(bn_scaling_fits *fits)
{
    if (!fits) return;
    free(fits->points);
    free(fits);
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

bn_scaling bn_scaling_law(const bn_scaling_fits *fits)
{
    const double nan = (double)NAN;
    const curve *laws = fits->laws;
    bn_scaling out = {.points = fits->count,
                      .sizes = fits->sizes,
                      .fitted = laws[0].fitted,
                      .e = nan,
                      .a = nan,
                      .alpha = nan,
                      .size_min = nan,
                      .size_max = nan};
    for (size_t i = 0; i < fits->count; i++) {
        out.size_min = fmin(out.size_min, fits->points[i].size); /* fmin passes over NaN */
        out.size_max = fmax(out.size_max, fits->points[i].size);
    }
    interval(laws, 0, &out.e_low, &out.e_high);
    interval(laws, 1, &out.a_low, &out.a_high);
    interval(laws, 2, &out.alpha_low, &out.alpha_high);
    if (!out.fitted) return out;
    out.e = laws[0].e;
    out.a = laws[0].a;
    out.alpha = laws[0].alpha;
    return out;
}

double bn_scaling_loss(const bn_scaling *law, double size)
{
    return law->e + law->a * pow(size, -law->alpha);
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

bn_scaling_twins bn_scaling_compare(const bn_scaling_fits *side, const bn_scaling_fits *base)
{
    bn_scaling_twins out = {.side = bn_scaling_law(side), .base = bn_scaling_law(base)};
    between(side->laws, base->laws, &out);
    return out;
}
