/* special.h - the distributions that the statistics stand on. Pure; relative error below 1e-9 where
 * the tests look, for the arguments that occur (tails down to 1e-12). */
#ifndef BN_REPORTERS_STATS_SPECIAL_H
#define BN_REPORTERS_STATS_SPECIAL_H

double bn_gauss_cdf(double x);
double bn_gauss_quantile(double p); /* p in (0, 1); 0 and 1 give the infinities */

/* P(T <= t) with `df` degrees of freedom, and its inverse. */
double bn_student_cdf(double t, double df);
double bn_student_quantile(double p, double df);

/* P(F >= f) with df1 and df2 degrees of freedom: the p-value of an analysis of variance. */
double bn_fisher_tail(double f, double df1, double df2);

#endif
