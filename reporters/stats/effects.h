/* effects.h - how much of the runs' variation each knob explains by itself, whatever the design.
 *
 * Omega squared of a one-way analysis of variance (Hays 1963): what lies between a knob's levels,
 * less what chance puts there; so a knob without effect has 0 on average, not a share of the noise.
 * The interval is that of 400 resamples of the runs. */
#ifndef BN_REPORTERS_STATS_EFFECTS_H
#define BN_REPORTERS_STATS_EFFECTS_H

#include <stdint.h>

#include "reporters/stats/importance.h"

enum { BN_EFFECT_RUNS_MIN = 10 }; /* fewer say nothing */

typedef struct bn_effect {
    double share, low, high; /* of the variance, 0 ... 1; 95 % */
    int levels; /* the knob's values, or bins of equal count when it has many numbers */
} bn_effect;

/* out: one a knob; with fewer than BN_EFFECT_RUNS_MIN runs all NaN. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_effects_make(const bn_importance_data *data, uint64_t seed,
                                        bn_effect *out, bn_error *err);

#endif
