#include "runner/search/gp.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runner/search/lbfgs.h"
#include "runner/search/quantile.h"

static const double NOISE_MIN = 1e-6;
static const double LOG_TWO_PI = 1.83787706640934548356;

bn_status bn_gp_open(bn_gp *gp, const bn_axes *axes, int points, bn_error *err)
{
    assert(points <= BN_GP_POINTS_MAX);
    size_t n = (size_t)(points > 0 ? points : 1), dims = (size_t)axes->count;
    *gp = (bn_gp){.axes = axes, .dims = axes->count, .stride = (int)n};
    double *memory = calloc(dims * n + 3 * n + 6 * n * n, sizeof *memory);
    if (!memory) return bn_fail(err, BN_ENOMEM, "too little memory for %d points", points);
    gp->x = memory;
    gp->y = gp->x + dims * n;
    gp->variance = gp->y + n;
    gp->alpha = gp->variance + n;
    gp->lower = gp->alpha + n;
    gp->upper = gp->lower + n * n;
    gp->work = gp->upper + n * n;
    return BN_OK;
}

void bn_gp_close(bn_gp *gp)
{
    free(gp->x);
    *gp = (bn_gp){0};
}

void bn_gp_add(bn_gp *gp, const double *x, double y, double variance)
{
    assert(gp->count < gp->stride);
    for (int d = 0; d < gp->dims; d++) {
        gp->x[d * gp->stride + gp->count] = x[d];
        gp->absent = gp->absent || isnan(x[d]);
    }
    gp->y[gp->count] = y;
    gp->variance[gp->count] = variance;
    gp->count++;
}

/* Squared difference on an axis. An absent parameter differs from a present one as another choice
 * does. */
static double squared(bn_axis_kind kind, double a, double b)
{
    if (kind == BN_AXIS_CHOICE || isnan(a) || isnan(b)) {
        return isnan(a) && isnan(b) ? 0 : (double)(a != b);
    }
    return (a - b) * (a - b);
}

/* out[j] += weight * squared difference of x to point j on an axis, for j < count. */
static void add_squares(const bn_gp *gp, int axis, double weight, double x, int count, double *out)
{
    const double *all = gp->x + (ptrdiff_t)axis * gp->stride;
    bn_axis_kind kind = gp->axes->list[axis].kind;
    if (kind == BN_AXIS_CHOICE || gp->absent || isnan(x)) {
        for (int j = 0; j < count; j++) out[j] += weight * squared(kind, x, all[j]);
        return;
    }
    /* The common case without a branch, for the compiler's vectors. */
    for (int j = 0; j < count; j++) out[j] += weight * (x - all[j]) * (x - all[j]);
}

/* M(q), and M'(q) = -5/6 (sqrt(5 q) + 1) exp(-sqrt(5 q)). */
static double matern(double q, double *slope)
{
    double root = sqrt(5 * q), e = exp(-root);
    *slope = -5.0 / 6.0 * (root + 1) * e;
    return e * (5.0 / 3.0 * q + root + 1);
}

/* Four chains, so that no sum waits for itself; always the same order. */
static double dot(const double *a, const double *b, int count)
{
    double sums[4] = {0};
    int i = 0;
    for (; i + 3 < count; i += 4) {
        sums[0] += a[i] * b[i];
        sums[1] += a[i + 1] * b[i + 1];
        sums[2] += a[i + 2] * b[i + 2];
        sums[3] += a[i + 3] * b[i + 3];
    }
    for (; i < count; i++) sums[0] += a[i] * b[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* K = L L^T in place: lower holds K's lower triangle by rows and becomes L. */
static bool cholesky(double *lower, int n, int stride)
{
    for (int j = 0; j < n; j++) {
        double *row = lower + (ptrdiff_t)j * stride;
        /* Row j against the rows above; each entry is finished before the next needs it. */
        for (int k = 0; k < j; k++) {
            const double *above = lower + (ptrdiff_t)k * stride;
            row[k] = (row[k] - dot(row, above, k)) / above[k];
        }
        double square = row[j] - dot(row, row, j);
        if (!(square > 0)) return false;
        row[j] = sqrt(square);
    }
    return true;
}

/* v = L^-1 v. */
static void solve_lower(const bn_gp *gp, double *v)
{
    for (int j = 0; j < gp->count; j++) {
        const double *column = gp->upper + (ptrdiff_t)j * gp->stride;
        double value = v[j] / column[j];
        v[j] = value;
        for (int i = j + 1; i < gp->count; i++) v[i] -= column[i] * value;
    }
}

/* v = L^-T v. */
static void solve_upper(const bn_gp *gp, double *v)
{
    for (int j = gp->count - 1; j >= 0; j--) {
        const double *row = gp->lower + (ptrdiff_t)j * gp->stride;
        double value = v[j] / row[j];
        v[j] = value;
        for (int i = 0; i < j; i++) v[i] -= row[i] * value;
    }
}

/* q[i, j] of all pairs (j <= i) into rows of `out`. */
static void fill_distances(const bn_gp *gp, const double *weights, double *out)
{
    for (int i = 0; i < gp->count; i++) {
        double *row = out + (ptrdiff_t)i * gp->stride;
        for (int j = 0; j <= i; j++) row[j] = 0;
        for (int d = 0; d < gp->dims; d++) {
            add_squares(gp, d, weights[d], gp->x[d * gp->stride + i], i, row);
        }
    }
}

bool bn_gp_factor(bn_gp *gp)
{
    int n = gp->count, stride = gp->stride;
    const bn_gp_kernel *k = &gp->kernel;
    fill_distances(gp, k->weights, gp->lower);
    for (int i = 0; i < n; i++) {
        double *row = gp->lower + (ptrdiff_t)i * stride, slope;
        for (int j = 0; j < i; j++) row[j] = k->scale * matern(row[j], &slope);
        row[i] = k->scale + k->noise + gp->variance[i];
    }
    if (!cholesky(gp->lower, n, stride)) return false;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j <= i; j++) gp->upper[j * stride + i] = gp->lower[i * stride + j];
    }
    memcpy(gp->alpha, gp->y, (size_t)n * sizeof *gp->alpha);
    solve_lower(gp, gp->alpha);
    solve_upper(gp, gp->alpha);
    return true;
}

/* Lower triangle of K^-1 from the factor, by rows of `out`; scratch: one matrix. */
static void invert(const bn_gp *gp, double *out, double *scratch)
{
    int n = gp->count, stride = gp->stride;
    /* Rows of scratch: columns of L^-1, each from its diagonal on. */
    for (int j = 0; j < n; j++) {
        double *column = scratch + (ptrdiff_t)j * stride;
        memset(column + j, 0, (size_t)(n - j) * sizeof *column);
        column[j] = 1;
        for (int k = j; k < n; k++) {
            const double *factor = gp->upper + (ptrdiff_t)k * stride;
            double value = column[k] / factor[k];
            column[k] = value;
            for (int i = k + 1; i < n; i++) column[i] -= factor[i] * value;
        }
    }
    for (int i = 0; i < n; i++) {
        const double *a = scratch + (ptrdiff_t)i * stride;
        for (int j = 0; j <= i; j++) {
            const double *b = scratch + (ptrdiff_t)j * stride;
            out[i * stride + j] = dot(a + i, b + i, n - i);
        }
    }
}

/* -log prior of Optuna: keeps length scales near 1 and noise small. */
static double prior_loss(const bn_gp_kernel *k, int dims, double *gradient)
{
    double loss = -log(k->scale) + k->scale - 0.1 * log(k->noise) + 30 * k->noise;
    for (int d = 0; d < dims; d++) loss += 0.1 / k->weights[d] + 0.1 * k->weights[d];
    if (!gradient) return loss;
    for (int d = 0; d < dims; d++) gradient[d] += 0.1 * k->weights[d] - 0.1 / k->weights[d];
    gradient[dims] += k->scale - 1;
    gradient[dims + 1] += (30 - 0.1 / k->noise) * (k->noise - NOISE_MIN);
    return loss;
}

static void set_kernel(bn_gp *gp, const double *log_parameters)
{
    for (int d = 0; d < gp->dims; d++) gp->kernel.weights[d] = exp(log_parameters[d]);
    gp->kernel.scale = exp(log_parameters[gp->dims]);
    gp->kernel.noise = NOISE_MIN + exp(log_parameters[gp->dims + 1]);
}

/* Adds tr((K^-1 - alpha alpha^T) dK) / 2 for every parameter. */
static void add_likelihood_gradient(const bn_gp *gp, const double *inverse, const double *distances,
                                    double *gradient)
{
    int n = gp->count, stride = gp->stride, dims = gp->dims;
    double scale = gp->kernel.scale, trace_scale = 0, trace_noise = 0;
    double *pull = gp->work + 3 * (ptrdiff_t)stride * stride; /* one row at a time */
    for (int i = 0; i < n; i++) {
        const double *q = distances + (ptrdiff_t)i * stride;
        double own = inverse[i * stride + i] - gp->alpha[i] * gp->alpha[i];
        trace_scale += 0.5 * own;
        trace_noise += 0.5 * own;
        for (int j = 0; j < i; j++) {
            double slope, value = matern(q[j], &slope);
            double weight = inverse[i * stride + j] - gp->alpha[i] * gp->alpha[j];
            trace_scale += weight * value;
            pull[j] = weight * slope;
        }
        for (int d = 0; d < dims; d++) {
            const double *x = gp->x + (ptrdiff_t)d * stride;
            bn_axis_kind kind = gp->axes->list[d].kind;
            double sum = 0;
            for (int j = 0; j < i; j++) sum += pull[j] * squared(kind, x[i], x[j]);
            gradient[d] += scale * gp->kernel.weights[d] * sum;
        }
    }
    gradient[dims] += scale * trace_scale;
    gradient[dims + 1] += (gp->kernel.noise - NOISE_MIN) * trace_noise;
}

double bn_gp_loss(bn_gp *gp, const double *log_parameters, double *gradient)
{
    int n = gp->count, stride = gp->stride;
    set_kernel(gp, log_parameters);
    if (!bn_gp_factor(gp)) return INFINITY;
    double loss = 0.5 * n * LOG_TWO_PI;
    for (int i = 0; i < n; i++) {
        loss += 0.5 * gp->y[i] * gp->alpha[i] + log(gp->lower[i * stride + i]);
    }
    if (!gradient) return loss + prior_loss(&gp->kernel, gp->dims, NULL);
    double *inverse = gp->work, *scratch = inverse + (ptrdiff_t)stride * stride;
    double *distances = scratch + (ptrdiff_t)stride * stride;
    memset(gradient, 0, (size_t)(gp->dims + 2) * sizeof *gradient);
    invert(gp, inverse, scratch);
    fill_distances(gp, gp->kernel.weights, distances);
    add_likelihood_gradient(gp, inverse, distances, gradient);
    return loss + prior_loss(&gp->kernel, gp->dims, gradient);
}

static double loss_of(void *self, const double *x, double *gradient)
{
    return bn_gp_loss(self, x, gradient);
}

void bn_gp_fit(bn_gp *gp)
{
    /* Long scales and little noise: from there the descent ends less often where everything is
     * explained by noise. */
    enum { LOG_WEIGHT = -1, LOG_NOISE = -5 };
    double x[BN_SPACE_PARAMS_MAX + 2] = {0};
    double low[BN_SPACE_PARAMS_MAX + 2], high[BN_SPACE_PARAMS_MAX + 2];
    int count = gp->dims + 2;
    for (int d = 0; d < gp->dims; d++) x[d] = LOG_WEIGHT;
    x[gp->dims + 1] = LOG_NOISE;
    for (int d = 0; d < count; d++) {
        low[d] = d == gp->dims + 1 ? -18 : -12;
        high[d] = 12;
    }
    bn_lbfgs problem = {.dims = count,
                        .low = low,
                        .high = high,
                        .iterations_max = 60,
                        .gradient_max = 1e-2,
                        .value = loss_of,
                        .self = gp};
    (void)bn_lbfgs_minimize(&problem, x);
    set_kernel(gp, x);
}

/* k(x, all points) into k, and the slopes M'(q) into slopes unless NULL. */
static void fill_kernel(const bn_gp *gp, const double *x, double *k, double *slopes)
{
    int n = gp->count;
    for (int j = 0; j < n; j++) k[j] = 0;
    for (int d = 0; d < gp->dims; d++) add_squares(gp, d, gp->kernel.weights[d], x[d], n, k);
    for (int j = 0; j < n; j++) {
        double slope;
        k[j] = gp->kernel.scale * matern(k[j], &slope);
        if (slopes) slopes[j] = slope;
    }
}

/* Mean and deviation from k; v becomes L^-1 k. */
static void predict_from(const bn_gp *gp, const double *k, double *v, double *mean,
                         double *deviation)
{
    double m = 0, rest = gp->kernel.scale;
    memcpy(v, k, (size_t)gp->count * sizeof *v);
    solve_lower(gp, v);
    for (int j = 0; j < gp->count; j++) {
        m += k[j] * gp->alpha[j];
        rest -= v[j] * v[j];
    }
    *mean = m;
    *deviation = sqrt(fmax(rest, 1e-12));
}

void bn_gp_predict(const bn_gp *gp, const double *x, double *mean, double *deviation)
{
    double k[BN_GP_POINTS_MAX], v[BN_GP_POINTS_MAX];
    fill_kernel(gp, x, k, NULL);
    predict_from(gp, k, v, mean, deviation);
}

/* log(phi(z) + z Phi(z)), without cancellation far left. */
static double log_h(double z)
{
    static const double SQRT_HALF = 0.70710678118654752440, SQRT_HALF_PI = 1.25331413731550025121;
    double log_phi = -0.5 * z * z - 0.5 * LOG_TWO_PI;
    if (z > -5) return log(exp(log_phi) + z * 0.5 * erfc(-z * SQRT_HALF));
    /* 1 + z Phi(z) / phi(z), and Phi / phi = sqrt(pi / 2) erfcx(-z / sqrt 2). */
    double share = 1 + z * SQRT_HALF_PI * bn_erfcx(-z * SQRT_HALF);
    /* Beyond -1000 the share is 1 / z^2 to the last digit. */
    if (z < -1000) return log_phi - 2 * log(-z);
    return log_phi + log(share);
}

/* d(mean) and d(deviation) along every numeric axis, from slopes and w = K^-1 k. */
static void add_gradient(const bn_gp *gp, const double *x, const double *slopes, const double *w,
                         const double ratios[2], double *gradient)
{
    /* ratios: of the value by the mean and by the variance. */
    double pull[BN_GP_POINTS_MAX];
    for (int j = 0; j < gp->count; j++) {
        pull[j] = slopes[j] * (ratios[0] * gp->alpha[j] - 2 * ratios[1] * w[j]);
    }
    for (int d = 0; d < gp->dims; d++) {
        const double *all = gp->x + (ptrdiff_t)d * gp->stride;
        double sum = 0;
        gradient[d] = 0;
        if (gp->axes->list[d].kind == BN_AXIS_CHOICE || isnan(x[d])) continue;
        for (int j = 0; j < gp->count; j++) {
            if (!isnan(all[j])) sum += pull[j] * (x[d] - all[j]);
        }
        gradient[d] = 2 * gp->kernel.scale * gp->kernel.weights[d] * sum;
    }
}

double bn_gp_log_ei(const bn_gp *gp, const double *x, double best, double *gradient)
{
    double k[BN_GP_POINTS_MAX], v[BN_GP_POINTS_MAX], slopes[BN_GP_POINTS_MAX];
    double mean, deviation;
    fill_kernel(gp, x, k, slopes);
    predict_from(gp, k, v, &mean, &deviation);
    double z = (mean - best) / deviation, h = log_h(z);
    if (!gradient) return log(deviation) + h;
    solve_upper(gp, v); /* K^-1 k */
    double by_mean = exp(bn_normal_log_cdf(z) - h) / deviation;
    double by_deviation = exp(-0.5 * z * z - 0.5 * LOG_TWO_PI - h) / deviation;
    double ratios[2] = {by_mean, by_deviation / (2 * deviation)};
    add_gradient(gp, x, slopes, v, ratios, gradient);
    return log(deviation) + h;
}
