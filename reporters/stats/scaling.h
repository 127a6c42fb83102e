/* scaling.h - loss against size, L(N) = E + A N^-alpha, and what the fit says about twins.
 *
 * For a fixed alpha the law is linear in E and A, so only alpha is searched (variable projection,
 * Golub and Pereyra 1973) and E, A >= 0 are solved inside, by iteratively reweighted least squares
 * on relative residuals with Huber's weights, delta = 1e-3 (Hoffmann et al. 2022, approach 3, has
 * the same optimum). Intervals are the 2.5 and 97.5 percentiles of 1,000 resamples of the runs. */
#ifndef BN_REPORTERS_STATS_SCALING_H
#define BN_REPORTERS_STATS_SCALING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { BN_SCALING_SIZES_MIN = 4 }; /* different sizes; fewer say nothing about a curve */

typedef struct bn_scaling_point {
    double size; /* parameters, > 0 */
    double loss; /* > 0 */
} bn_scaling_point;

typedef struct bn_scaling {
    size_t points, sizes;
    bool fitted; /* false: too few sizes, or the loss does not fall with size */
    double e, a, alpha;
    double e_low, e_high, a_low, a_high, alpha_low, alpha_high;
    double size_min, size_max; /* measured */
} bn_scaling;

typedef enum bn_meeting {
    BN_MEETING_UNKNOWN, /* a law was not fitted */
    BN_MEETING_REACHED, /* at the largest size both have, the side is level or better */
    BN_MEETING_AHEAD,   /* at `size`, within 4 times the largest measured */
    BN_MEETING_BEYOND,  /* not within that reach */
} bn_meeting;

/* A side against its baseline. */
typedef struct bn_scaling_twins {
    bn_scaling side, base;
    bn_meeting meeting;
    double size;  /* where they meet; NaN unless BN_MEETING_AHEAD */
    double ratio; /* side at the largest size N is as good as the baseline at ratio N; NaN: its loss
                     is below all that the baseline's law can reach */
    double ratio_low, ratio_high; /* NaN when resamples too often have none */
} bn_scaling_twins;

/* L(size) of a fitted law. */
double bn_scaling_loss(const bn_scaling *law, double size);

/* A law and those of its resamples: what the intervals are made of. */
typedef struct bn_scaling_fits bn_scaling_fits;

/* Points whose size or loss is not positive and finite must be left out before. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_scaling_open(bn_scaling_fits **out, const bn_scaling_point *points,
                                        size_t count, uint64_t seed, bn_error *err);
void bn_scaling_close(bn_scaling_fits *fits); /* NULL is fine */

bn_scaling bn_scaling_law(const bn_scaling_fits *fits);

/* Both laws and what lies between them. */
bn_scaling_twins bn_scaling_compare(const bn_scaling_fits *side, const bn_scaling_fits *base);

#endif
