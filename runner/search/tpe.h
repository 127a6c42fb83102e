/* tpe.h - tree-structured Parzen estimator: where do good runs crowd and bad ones not?
 *
 * As in Optuna 5.0: multivariate, with a constant liar for runs that have no result yet (Bergstra
 * et al., NeurIPS 2011; Watanabe, arXiv:2304.11127; kernel widths and weights by Optuna's source).
 * Two things differ in what is proposed, both by measurement (docs/sweeps.md): kernels may be
 * narrower, and the number of draws grows with the axes. Coordinates are those of axis.h.
 */
#ifndef BN_RUNNER_SEARCH_TPE_H
#define BN_RUNNER_SEARCH_TPE_H

#include "runner/search/axis.h"
#include "runner/search/search.h"

/* The narrowest kernel of N observations: 1 / min(most, (2 + N)^power) of the axis. */
typedef struct bn_parzen_floor {
    double power, most;
} bn_parzen_floor;

#define BN_PARZEN_FLOOR_OPTUNA ((bn_parzen_floor){1, 100})
/* Optuna's five best of fifty runs never look closer than a seventh of an axis; these a
 * eighteenth. */
#define BN_PARZEN_FLOOR ((bn_parzen_floor){1.5, 30})

/* A mixture of products: one kernel an observation, and the prior as the last one. */
typedef struct bn_parzen {
    const bn_axis *axes; /* [axis_count] */
    int axis_count;
    bn_parzen_floor floor;
    int kernels;
    double *log_weights; /* [kernels] */
    double *mu, *sigma;  /* [kernels, axis_count]; CHOICE: mu is the value seen, -1 for the prior */
    double *log_mass;    /* [kernels, axis_count] of the kernel within [0, 1] */
} bn_parzen;

/* Fills a mixture whose axes and floor are set. observations [count, axis_count], oldest first;
 * borrowed for the call. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_parzen_init(bn_parzen *parzen, const double *observations, int count,
                                       bn_error *err);
void bn_parzen_release(bn_parzen *parzen); /* {0} is fine */

/* Log density at x [axis_count]: per unit of [0, 1] on real axes, mass of the cell on others. */
double bn_parzen_log_density(const bn_parzen *parzen, const double *x);

/* Draw number `index` of `count` of the stream `key`. The kernels are drawn in strata: each of the
 * count equal shares of the mixture is met once. */
void bn_parzen_draw(const bn_parzen *parzen, uint64_t key, int index, int count, double *x);

/* How many of n finished trials count as good: min(ceil(n / 10), 25). */
int bn_tpe_gamma(int n);

/* How many draws compete: 16 an axis, 24 to 96. Optuna takes 24 always; more of them find the peak
 * of the ratio better where there are many axes, and too many on few axes keep to it. */
enum { BN_TPE_CANDIDATES_MAX = 96 };
int bn_tpe_candidates(const bn_axes *axes);

/* What is known, in coordinates: x [count, axes->count] of trials, oldest first. */
typedef struct bn_tpe_data {
    const bn_axes *axes;
    const bn_trial *trials;
    const double *x;
    size_t count;
} bn_tpe_data;

/* Proposes coordinates, best first: out [bn_tpe_candidates, axes->count], by the stream `key`.
 * With several groups of axes each group is drawn and ranked for itself. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_tpe_propose(const bn_tpe_data *data, uint64_t key, double *out,
                                       bn_error *err);

#endif
