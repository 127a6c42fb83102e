/* gp.h - a Gaussian process over the axes of a space: what is known, and how surely.
 *
 * Matern-5/2 with a length scale an axis, MAP of its parameters under the priors of Optuna 5.0's
 * GPSampler; choices differ by 0 or 1 (Hamming). y is standardized, larger is better.
 */
#ifndef BN_RUNNER_SEARCH_GP_H
#define BN_RUNNER_SEARCH_GP_H

#include <stdbool.h>

#include "runner/search/axis.h"

enum { BN_GP_POINTS_MAX = 512 };

/* k(a, b) = scale M(sum_i weights[i] d_i^2), M(q) = exp(-sqrt(5 q)) (5 q / 3 + sqrt(5 q) + 1). */
typedef struct bn_gp_kernel {
    double weights[BN_SPACE_PARAMS_MAX]; /* inverse squared length scales */
    double scale, noise;                 /* variances */
} bn_gp_kernel;

typedef struct bn_gp {
    const bn_axes *axes;
    int dims, count, stride; /* stride: points that there is room for */
    double *x;               /* [dims, stride]: one axis after another */
    double *y, *variance;    /* [stride]: of each point beyond the kernel's noise */
    bn_gp_kernel kernel;
    double *lower, *upper; /* [stride, stride] Cholesky factor by rows, and the same by columns */
    double *alpha;         /* [stride] K^-1 y */
    bool absent;           /* some coordinate is NaN */
    double *work;          /* [4, stride, stride] */
} bn_gp;

/* Room for `points` points. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_gp_open(bn_gp *gp, const bn_axes *axes, int points, bn_error *err);
void bn_gp_close(bn_gp *gp); /* {0} is fine */

/* Adds a point: coordinates x [dims], value, variance of that value. */
void bn_gp_add(bn_gp *gp, const double *x, double y, double variance);

/* Finds the kernel's parameters for the points. */
void bn_gp_fit(bn_gp *gp);

/* Factors K for the kernel at hand; false: it is not positive definite (numerically). */
bool bn_gp_factor(bn_gp *gp);

/* -log(posterior density) of a kernel, [weights, scale, noise] by their logarithms; gradient
 * [dims + 2] unless NULL. */
double bn_gp_loss(bn_gp *gp, const double *log_parameters, double *gradient);

/* Mean and standard deviation at x [dims]. */
void bn_gp_predict(const bn_gp *gp, const double *x, double *mean, double *deviation);

/* log of the expected improvement over `best` at x, and its gradient [dims] unless NULL (0 on axes
 * of choices). Ament et al., arXiv:2310.20708. */
double bn_gp_log_ei(const bn_gp *gp, const double *x, double best, double *gradient);

#endif
