#include "runner/search/lbfgs.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { PAIRS = 7, HALVINGS_MAX = 25 };

typedef double vector[BN_LBFGS_DIMS_MAX];

typedef struct state {
    const bn_lbfgs *problem;
    vector x, gradient, direction;
    vector s[PAIRS], y[PAIRS]; /* steps and changes of the gradient, a ring */
    double rho[PAIRS];
    int pairs, newest;
    double value;
} state;

static double dot(int dims, const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < dims; i++) sum += a[i] * b[i];
    return sum;
}

/* A coordinate at a bound that the gradient presses it against stays there. */
static bool is_held(const state *st, int i)
{
    const bn_lbfgs *p = st->problem;
    return (st->x[i] <= p->low[i] && st->gradient[i] > 0) ||
           (st->x[i] >= p->high[i] && st->gradient[i] < 0);
}

static double projected_gradient(const state *st)
{
    double most = 0;
    for (int i = 0; i < st->problem->dims; i++) {
        if (!is_held(st, i)) most = fmax(most, fabs(st->gradient[i]));
    }
    return most;
}

/* direction = -H gradient over the free coordinates. */
static void set_direction(state *st)
{
    int dims = st->problem->dims;
    double alpha[PAIRS];
    double *d = st->direction;
    for (int i = 0; i < dims; i++) d[i] = is_held(st, i) ? 0 : -st->gradient[i];
    for (int k = 0; k < st->pairs; k++) {
        int at = (st->newest - k + PAIRS) % PAIRS;
        alpha[at] = st->rho[at] * dot(dims, st->s[at], d);
        for (int i = 0; i < dims; i++) d[i] -= alpha[at] * st->y[at][i];
    }
    if (st->pairs > 0) {
        const double *y = st->y[st->newest];
        double scale = 1.0 / (st->rho[st->newest] * dot(dims, y, y));
        for (int i = 0; i < dims; i++) d[i] *= scale;
    }
    for (int k = st->pairs - 1; k >= 0; k--) {
        int at = (st->newest - k + PAIRS) % PAIRS;
        double beta = st->rho[at] * dot(dims, st->y[at], d);
        for (int i = 0; i < dims; i++) d[i] += (alpha[at] - beta) * st->s[at][i];
    }
    for (int i = 0; i < dims; i++) {
        if (is_held(st, i)) d[i] = 0;
    }
    if (dot(dims, d, st->gradient) < 0) return;
    st->pairs = 0; /* no way down: forget the curvature */
    for (int i = 0; i < dims; i++) d[i] = is_held(st, i) ? 0 : -st->gradient[i];
}

static void remember(state *st, const double *x, const double *gradient)
{
    int dims = st->problem->dims, at = (st->newest + 1) % PAIRS;
    for (int i = 0; i < dims; i++) {
        st->s[at][i] = x[i] - st->x[i];
        st->y[at][i] = gradient[i] - st->gradient[i];
    }
    double curvature = dot(dims, st->s[at], st->y[at]);
    if (curvature <= 1e-10 * dot(dims, st->y[at], st->y[at])) return;
    st->rho[at] = 1.0 / curvature;
    st->newest = at;
    if (st->pairs < PAIRS) st->pairs++;
}

/* Moves along the direction as far as it pays; false: nowhere. */
static bool step(state *st)
{
    const bn_lbfgs *p = st->problem;
    vector x, gradient;
    /* The first step has no curvature to go by: at most a unit of change. */
    double length = 2.5;
    if (st->pairs == 0) {
        length *= fmin(1, 1 / sqrt(dot(p->dims, st->gradient, st->gradient) + 1e-300));
    }
    for (int halvings = 0; halvings < HALVINGS_MAX; halvings++) {
        length *= 0.4;
        double promised = 0;
        for (int i = 0; i < p->dims; i++) {
            x[i] = fmin(fmax(st->x[i] + length * st->direction[i], p->low[i]), p->high[i]);
            promised += st->gradient[i] * (x[i] - st->x[i]);
        }
        double value = p->value(p->self, x, gradient);
        if (!isfinite(value) || value > st->value + 1e-4 * promised) continue;
        if (promised >= 0) return false;
        remember(st, x, gradient);
        memcpy(st->x, x, sizeof x);
        memcpy(st->gradient, gradient, sizeof gradient);
        st->value = value;
        return true;
    }
    return false;
}

double bn_lbfgs_minimize(const bn_lbfgs *problem, double *x)
{
    assert(problem->dims <= BN_LBFGS_DIMS_MAX);
    state st = {.problem = problem};
    memcpy(st.x, x, (size_t)problem->dims * sizeof *x);
    st.value = problem->value(problem->self, st.x, st.gradient);
    for (int i = 0; i < problem->iterations_max && isfinite(st.value); i++) {
        if (projected_gradient(&st) < problem->gradient_max) break;
        set_direction(&st);
        if (step(&st)) continue;
        if (st.pairs == 0) break;
        st.pairs = 0; /* once more, straight down */
    }
    memcpy(x, st.x, (size_t)problem->dims * sizeof *x);
    return st.value;
}
