#include "runner/search/space.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/search/quantile.h"

/* In the order of bn_dist. */
static const char *const DIST_NAMES[] = {
    "constant",
    "categorical",
    "int_uniform",
    "uniform",
    "q_uniform",
    "log_uniform",
    "log_uniform_values",
    "inv_log_uniform",
    "inv_log_uniform_values",
    "q_log_uniform",
    "q_log_uniform_values",
    "normal",
    "q_normal",
    "log_normal",
    "q_log_normal",
    "beta",
    "q_beta",
};

const char *bn_dist_name(bn_dist dist)
{
    return DIST_NAMES[dist];
}

const char *const *bn_dist_names(size_t *count)
{
    *count = sizeof DIST_NAMES / sizeof DIST_NAMES[0];
    return DIST_NAMES;
}

int bn_dist_find(const char *name)
{
    for (size_t i = 0; i < sizeof DIST_NAMES / sizeof DIST_NAMES[0]; i++) {
        if (strcmp(DIST_NAMES[i], name) == 0) return (int)i;
    }
    return -1;
}

void bn_space_release(bn_space *space)
{
    for (int i = 0; i < space->count; i++) {
        free(space->params[i].values);
        free(space->params[i].probabilities);
        bn_expr_free(space->params[i].when);
        bn_expr_free(space->params[i].derived);
    }
    for (int i = 0; i < space->constraint_count; i++) bn_expr_free(space->constraints[i].expr);
    free(space->fixed);
    memset(space, 0, sizeof *space);
}

int bn_space_find(const bn_space *space, const char *name)
{
    for (int i = 0; i < space->count; i++) {
        if (strcmp(space->params[i].name, name) == 0) return i;
    }
    return -1;
}

static double clamp_index(double index, double count)
{
    return fmin(fmax(floor(index), 0), count - 1);
}

static void categorical_at(const bn_parameter *p, double u, bn_setting *out)
{
    int index = 0;
    if (!p->probabilities) {
        index = (int)clamp_index(u * p->value_count, p->value_count);
    } else {
        double sum = p->probabilities[0];
        while (index + 1 < p->value_count && u >= sum) sum += p->probabilities[++index];
        while (index > 0 && p->probabilities[index] == 0) index--; /* rounding at the far end */
    }
    *out = p->values[index];
}

/* exp of a point between two exponents. */
static double exp_between(double low, double high, double u)
{
    return exp(low + u * (high - low));
}

/* The unrounded value. inv_log_uniform: log(1/X) is uniform, so X rises as the exponent falls. */
static double real_at(const bn_parameter *p, double u)
{
    switch (p->dist) {
    case BN_DIST_UNIFORM:
    case BN_DIST_Q_UNIFORM:
        return p->min + u * (p->max - p->min);
    case BN_DIST_LOG_UNIFORM:
    case BN_DIST_Q_LOG_UNIFORM:
        return exp_between(p->min, p->max, u);
    case BN_DIST_LOG_UNIFORM_VALUES:
    case BN_DIST_Q_LOG_UNIFORM_VALUES:
    case BN_DIST_INV_LOG_UNIFORM_VALUES:
        return fmin(fmax(exp_between(log(p->min), log(p->max), u), p->min), p->max);
    case BN_DIST_INV_LOG_UNIFORM:
        return exp_between(-p->max, -p->min, u);
    case BN_DIST_NORMAL:
    case BN_DIST_Q_NORMAL:
        return p->mu + p->sigma * bn_normal_quantile(u);
    case BN_DIST_LOG_NORMAL:
    case BN_DIST_Q_LOG_NORMAL:
        return exp(p->mu + p->sigma * bn_normal_quantile(u));
    case BN_DIST_BETA:
    case BN_DIST_Q_BETA:
        return bn_beta_quantile(u, p->a, p->b);
    case BN_DIST_CONSTANT:
    case BN_DIST_CATEGORICAL:
    case BN_DIST_INT_UNIFORM:
        break;
    }
    return 0;
}

static bool is_rounded(bn_dist dist)
{
    return dist == BN_DIST_Q_UNIFORM || dist == BN_DIST_Q_LOG_UNIFORM ||
           dist == BN_DIST_Q_LOG_UNIFORM_VALUES || dist == BN_DIST_Q_NORMAL ||
           dist == BN_DIST_Q_LOG_NORMAL || dist == BN_DIST_Q_BETA;
}

/* 0.30000000000000004 is 0.3: what a person would write. */
static bn_setting tidy_real(double number, int digits)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.*g", digits, number);
    return bn_setting_of_number(BN_SETTING_REAL, strtod(text, NULL));
}

/* wandb: round half to even of x / q, times q; a whole q gives whole numbers. */
static bn_setting rounded(const bn_parameter *p, double steps)
{
    if (p->q == floor(p->q)) return bn_setting_of_number(BN_SETTING_INT, steps * p->q);
    return tidy_real(steps * p->q, 15);
}

void bn_parameter_bounds(const bn_parameter *p, double *low, double *high)
{
    *low = p->dist == BN_DIST_INT_UNIFORM ? p->min : real_at(p, 0);
    *high = p->dist == BN_DIST_INT_UNIFORM ? p->max : real_at(p, 1);
}

void bn_parameter_at(const bn_parameter *p, double u, bn_setting *out)
{
    assert(u >= 0 && u < 1);
    if (p->dist == BN_DIST_CONSTANT) {
        *out = p->values[0];
    } else if (p->dist == BN_DIST_CATEGORICAL) {
        categorical_at(p, u, out);
    } else if (p->dist == BN_DIST_INT_UNIFORM) {
        double count = p->max - p->min + 1;
        *out = bn_setting_of_number(BN_SETTING_INT, p->min + clamp_index(u * count, count));
    } else {
        /* Distributions without bounds have no value at 0: their first 2^-54 stands in. */
        double x = real_at(p, u > 0 ? u : 0x1p-54);
        if (p->dist == BN_DIST_UNIFORM || p->dist == BN_DIST_LOG_UNIFORM) x = real_at(p, u);
        *out = is_rounded(p->dist) ? rounded(p, nearbyint(x / p->q))
                                   : bn_setting_of_number(BN_SETTING_REAL, x);
    }
}

/* Standard normal distribution function. */
static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static double quantile_of(const bn_parameter *p, double x)
{
    switch (p->dist) {
    case BN_DIST_UNIFORM:
    case BN_DIST_Q_UNIFORM:
    case BN_DIST_INT_UNIFORM:
        return (x - p->min) / (p->max - p->min);
    case BN_DIST_LOG_UNIFORM:
    case BN_DIST_Q_LOG_UNIFORM:
        return (log(x) - p->min) / (p->max - p->min);
    case BN_DIST_LOG_UNIFORM_VALUES:
    case BN_DIST_Q_LOG_UNIFORM_VALUES:
    case BN_DIST_INV_LOG_UNIFORM_VALUES:
        return log(x / p->min) / log(p->max / p->min);
    case BN_DIST_INV_LOG_UNIFORM:
        return (log(x) + p->max) / (p->max - p->min);
    case BN_DIST_NORMAL:
    case BN_DIST_Q_NORMAL:
        return normal_cdf((x - p->mu) / p->sigma);
    case BN_DIST_LOG_NORMAL:
    case BN_DIST_Q_LOG_NORMAL:
        return normal_cdf((log(x) - p->mu) / p->sigma);
    case BN_DIST_BETA:
    case BN_DIST_Q_BETA:
        return bn_beta_cdf(x, p->a, p->b);
    case BN_DIST_CONSTANT:
    case BN_DIST_CATEGORICAL:
        break;
    }
    return 0;
}

double bn_parameter_quantile(const bn_parameter *p, double number)
{
    double u = quantile_of(p, number);
    return isnan(u) ? 0
                    : fmin(fmax(u, 0), 1); /* rounding may give 0, whose logarithm is no number */
}

/* First and last multiple of q that a bounded rounded distribution can give. */
static void step_range(const bn_parameter *p, double *first, double *last)
{
    *first = nearbyint(real_at(p, 0) / p->q);
    *last = nearbyint(real_at(p, 1) / p->q);
}

static bool is_bounded_rounded(bn_dist dist)
{
    return dist == BN_DIST_Q_UNIFORM || dist == BN_DIST_Q_LOG_UNIFORM ||
           dist == BN_DIST_Q_LOG_UNIFORM_VALUES || dist == BN_DIST_Q_BETA;
}

int64_t bn_parameter_cells(const bn_parameter *p)
{
    if (p->dist == BN_DIST_CONSTANT || p->dist == BN_DIST_CATEGORICAL) return p->value_count;
    double count = p->grid_points;
    if (count == 0 && p->dist == BN_DIST_INT_UNIFORM) count = p->max - p->min + 1;
    if (count == 0 && is_bounded_rounded(p->dist)) {
        double first, last;
        step_range(p, &first, &last);
        count = last - first + 1;
    }
    return count > BN_CELLS_MAX ? BN_CELLS_MAX : (int64_t)count;
}

/* Bounded distributions put their grid points on the bounds and evenly between; unbounded ones at
 * the middles of equal shares of probability. */
static double grid_quantile(const bn_parameter *p, int64_t cell)
{
    bool unbounded = p->dist == BN_DIST_NORMAL || p->dist == BN_DIST_Q_NORMAL ||
                     p->dist == BN_DIST_LOG_NORMAL || p->dist == BN_DIST_Q_LOG_NORMAL ||
                     p->dist == BN_DIST_BETA || p->dist == BN_DIST_Q_BETA;
    if (unbounded || p->grid_points == 1) return ((double)cell + 0.5) / p->grid_points;
    return (double)cell / (p->grid_points - 1);
}

void bn_parameter_cell(const bn_parameter *p, int64_t cell, bn_setting *out)
{
    assert(cell >= 0 && cell < bn_parameter_cells(p));
    if (p->dist == BN_DIST_CONSTANT || p->dist == BN_DIST_CATEGORICAL) {
        *out = p->values[cell];
    } else if (p->dist == BN_DIST_INT_UNIFORM) {
        double place = (double)cell;
        if (p->grid_points) place = nearbyint(grid_quantile(p, cell) * (p->max - p->min));
        *out = bn_setting_of_number(BN_SETTING_INT, p->min + place);
    } else if (p->grid_points) {
        double x = real_at(p, grid_quantile(p, cell));
        *out = is_rounded(p->dist) ? rounded(p, nearbyint(x / p->q)) : tidy_real(x, 12);
    } else {
        double first, last;
        step_range(p, &first, &last);
        *out = rounded(p, first + (double)cell);
    }
}
