/* warp.h - results as a Gaussian process likes them: standard, and bent until they look normal.
 *
 * A sweep's losses are skewed: a few diverge, many crowd where it matters. Standardising alone lets
 * the few set the unit, and differences between good points drown in the noise term. The power
 * transform of Yeo and Johnson (Biometrika 87, 2000, eq. 2.1) with the exponent of largest normal
 * likelihood takes the skew away; it is strictly increasing, so the order stays.
 */
#ifndef BN_RUNNER_SEARCH_WARP_H
#define BN_RUNNER_SEARCH_WARP_H

#include <stddef.h>

typedef struct bn_warp {
    double mean, deviation;           /* of the values */
    double power;                     /* in [-1, 3], steps of 0.1; 1: straight */
    double bent_mean, bent_deviation; /* of the bent values */
} bn_warp;

/* Learns from values [count], all finite. With no spread among them the warp only shifts. */
void bn_warp_fit(bn_warp *warp, const double *values, size_t count);

/* The warped value; *slope: its derivative, which takes a deviation along. */
double bn_warp_at(const bn_warp *warp, double value, double *slope);

#endif
