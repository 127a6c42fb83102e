/* lbfgs.h - least value of a smooth function within a box: limited-memory BFGS, projected.
 *
 * Two-loop recursion with seven pairs over the coordinates that are not held by a bound, and a
 * backtracking line search along the projected path (Nocedal and Wright, Numerical Optimization,
 * 2nd ed., algorithms 7.4 and 3.1).
 */
#ifndef BN_RUNNER_SEARCH_LBFGS_H
#define BN_RUNNER_SEARCH_LBFGS_H

enum { BN_LBFGS_DIMS_MAX = 80 };

typedef struct bn_lbfgs {
    int dims; /* at most BN_LBFGS_DIMS_MAX */
    const double *low, *high;
    int iterations_max;
    double gradient_max; /* ends when the projected gradient's largest part is below */
    /* Value at x, and its gradient. NaN and infinity count as worse than anything. */
    double (*value)(void *self, const double *x, double *gradient);
    void *self;
} bn_lbfgs;

/* Starts from x, within the box, and leaves the best point there; returns its value. */
double bn_lbfgs_minimize(const bn_lbfgs *problem, double *x);

#endif
