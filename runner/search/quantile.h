/* quantile.h - inverses of the distributions that have no formula, and the special functions that
 * they and the surrogate models need. Double precision, no tables.
 */
#ifndef BN_RUNNER_SEARCH_QUANTILE_H
#define BN_RUNNER_SEARCH_QUANTILE_H

/* x with Phi(x) = u, the standard normal; u in (0, 1). Ends are +-infinity. */
double bn_normal_quantile(double u);

/* log Phi(x), exact in the far left tail too. */
double bn_normal_log_cdf(double x);

/* P(X <= x) of the beta distribution with shapes a, b > 0; x in [0, 1]. */
double bn_beta_cdf(double x, double a, double b);

/* x with P(X <= x) = u. */
double bn_beta_quantile(double u, double a, double b);

/* exp(x^2) erfc(x) for x >= 0: does not underflow. */
double bn_erfcx(double x);

#endif
