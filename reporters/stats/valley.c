#include "reporters/stats/valley.h"

#include <math.h>
#include <stdlib.h>

#include "reporters/stats/special.h"

enum { NEIGHBOURS = 2, TERMS = 3 };

/* loss = c[0] + c[1] z + c[2] z^2 with z = log10(rate) - middle, and what the errors of c are. */
typedef struct parabola {
    double middle, c[TERMS];
    double inverse[TERMS][TERMS]; /* of the normal matrix: covariance is variance times it */
    double variance;              /* of the residuals; NaN with as many points as terms */
    double df;
} parabola;

static int compare_rates(const void *a, const void *b)
{
    double x = ((const bn_valley_point *)a)->rate, y = ((const bn_valley_point *)b)->rate;
    return (x > y) - (x < y);
}

static size_t keep_finite(bn_valley_point *points, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool good = isfinite(points[i].rate) && points[i].rate > 0 && isfinite(points[i].loss);
        if (good) points[kept++] = points[i];
    }
    if (kept) qsort(points, kept, sizeof *points, compare_rates);
    return kept;
}

/* Where the next rate begins. */
static size_t rate_end(const bn_valley_point *points, size_t count, size_t start)
{
    size_t end = start;
    while (end < count && points[end].rate == points[start].rate) end++;
    return end;
}

static double mean_of(const bn_valley_point *points, size_t start, size_t end)
{
    double sum = 0;
    for (size_t i = start; i < end; i++) sum += points[i].loss;
    return sum / (double)(end - start);
}

/* The rate whose mean is least, and those near it. */
typedef struct stretch {
    size_t first, end, rates;
    double least;                 /* the mean at the best rate */
    double rises[2 * NEIGHBOURS]; /* of the other means above it */
    bool inner;                   /* the best has a neighbour on either side */
} stretch;

static size_t best_rate(const bn_valley_point *points, size_t count, double *least)
{
    size_t best = 0, place = 0;
    *least = (double)INFINITY;
    for (size_t start = 0, end; start < count; start = end, place++) {
        end = rate_end(points, count, start);
        double mean = mean_of(points, start, end);
        if (mean >= *least) continue;
        *least = mean;
        best = place;
    }
    return best;
}

static stretch find_near(const bn_valley_point *points, size_t count)
{
    stretch near = {0};
    size_t best = best_rate(points, count, &near.least), place = 0, rises = 0;
    bool below = false, above = false;
    for (size_t start = 0, next; start < count; start = next, place++) {
        next = rate_end(points, count, start);
        if (place + NEIGHBOURS < best || place > best + NEIGHBOURS) continue;
        if (near.rates++ == 0) near.first = start;
        near.end = next;
        below |= place < best;
        above |= place > best;
        if (place != best) near.rises[rises++] = mean_of(points, start, next) - near.least;
    }
    near.inner = below && above;
    return near;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A parabola that falls further below the best mean than the others typically rise above it was
 * bent by runs that went wrong: nobody has seen such a valley. */
static double depth_max(stretch *near)
{
    size_t others = near->rates - 1;
    qsort(near->rises, others, sizeof near->rises[0], compare_doubles);
    return near->rises[(others - 1) / 2];
}

/* Inverts a symmetric positive matrix by its adjugate; false: it is singular to a double's eye. */
static bool invert(double m[TERMS][TERMS], double out[TERMS][TERMS])
{
    for (int i = 0; i < TERMS; i++) {
        for (int j = 0; j < TERMS; j++) {
            int a = (i + 1) % TERMS, b = (i + 2) % TERMS, c = (j + 1) % TERMS, d = (j + 2) % TERMS;
            out[j][i] = m[a][c] * m[b][d] - m[a][d] * m[b][c];
        }
    }
    double all = m[0][0] * out[0][0] + m[0][1] * out[1][0] + m[0][2] * out[2][0];
    for (int i = 0; i < TERMS; i++) {
        for (int j = 0; j < TERMS; j++) out[i][j] /= all;
    }
    return all > 1e-12 * m[0][0] * m[1][1] * m[2][2];
}

static double at(const parabola *fit, double z)
{
    return fit->c[0] + fit->c[1] * z + fit->c[2] * z * z;
}

static bool fit_parabola(const bn_valley_point *points, size_t count, parabola *fit)
{
    double m[TERMS][TERMS] = {{0}}, t[TERMS] = {0}, squares = 0;
    *fit = (parabola){.df = (double)count - TERMS};
    for (size_t i = 0; i < count; i++) fit->middle += log10(points[i].rate) / (double)count;
    for (size_t i = 0; i < count; i++) {
        double z = log10(points[i].rate) - fit->middle;
        const double powers[TERMS] = {1, z, z * z};
        for (int a = 0; a < TERMS; a++) {
            t[a] += powers[a] * points[i].loss;
            for (int b = 0; b < TERMS; b++) m[a][b] += powers[a] * powers[b];
        }
    }
    if (!invert(m, fit->inverse)) return false;
    for (int a = 0; a < TERMS; a++) {
        for (int b = 0; b < TERMS; b++) fit->c[a] += fit->inverse[a][b] * t[b];
    }
    for (size_t i = 0; i < count; i++) {
        double off = points[i].loss - at(fit, log10(points[i].rate) - fit->middle);
        squares += off * off;
    }
    fit->variance = fit->df > 0 ? squares / fit->df : (double)NAN;
    return true;
}

/* Fieller's interval of -c1 / 2 c2; NaN when c2 may as well be 0. */
static void vertex_interval(const parabola *fit, double t, double *low, double *high)
{
    double down = 2 * fit->c[2], ratio = -fit->c[1] / down;
    double v_up = fit->variance * fit->inverse[1][1];
    double v_down = 4 * fit->variance * fit->inverse[2][2];
    double v_both = -2 * fit->variance * fit->inverse[1][2];
    double g = t * t * v_down / (down * down);
    *low = *high = (double)NAN;
    if (!(g < 1)) return;
    double center = v_down > 0 ? ratio - g * v_both / v_down : ratio;
    double inner = v_up - 2 * ratio * v_both + ratio * ratio * v_down;
    if (v_down > 0) inner -= g * (v_up - v_both * v_both / v_down);
    double half = t / fabs(down) * sqrt(fmax(0, inner));
    *low = (center - half) / (1 - g);
    *high = (center + half) / (1 - g);
}

/* At the vertex the slope is 0, so only the errors of c count, not that of the vertex. */
static double loss_error(const parabola *fit, double z)
{
    const double powers[TERMS] = {1, z, z * z};
    double sum = 0;
    for (int a = 0; a < TERMS; a++) {
        for (int b = 0; b < TERMS; b++) sum += powers[a] * fit->inverse[a][b] * powers[b];
    }
    return sqrt(fit->variance * sum);
}

void bn_valley_fit(bn_valley_point *points, size_t count, bn_valley *out)
{
    const double nan = (double)NAN;
    parabola fit;
    *out = (bn_valley){.rate = nan, .rate_low = nan, .rate_high = nan};
    out->loss = out->loss_low = out->loss_high = nan;
    count = keep_finite(points, count);
    stretch near = find_near(points, count);
    const bn_valley_point *from = points + near.first;
    out->rates = near.rates;
    out->points = near.end - near.first;
    if (out->rates < TERMS || !near.inner || !fit_parabola(from, out->points, &fit)) return;
    double z = -fit.c[1] / (2 * fit.c[2]);
    bool inside = z >= log10(from[0].rate) - fit.middle &&
                  z <= log10(from[out->points - 1].rate) - fit.middle;
    out->fitted = fit.c[2] > 0 && inside && near.least - at(&fit, z) <= depth_max(&near);
    if (!out->fitted) return;
    out->rate = pow(10, z + fit.middle);
    out->loss = at(&fit, z);
    if (!(fit.df > 0)) return;
    double low, high, t = bn_student_quantile(0.975, fit.df);
    vertex_interval(&fit, t, &low, &high);
    out->rate_low = pow(10, low + fit.middle);
    out->rate_high = pow(10, high + fit.middle);
    out->loss_low = out->loss - t * loss_error(&fit, z);
    out->loss_high = out->loss + t * loss_error(&fit, z);
}
