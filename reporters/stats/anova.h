/* anova.h - how much of a full grid's variation each knob explains, alone and in pairs.
 *
 * Analysis of variance by unweighted cell means (Winer 1971, ch. 6): exact for balanced grids, and
 * fair when some cells have more replicates than others. Shares are of the sum of squares of cell
 * means plus that within cells. */
#ifndef BN_REPORTERS_STATS_ANOVA_H
#define BN_REPORTERS_STATS_ANOVA_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/status.h"

enum {
    BN_ANOVA_FACTORS_MAX = 8,
    BN_ANOVA_CELLS_MAX = 65536,
    BN_ANOVA_EFFECTS_MAX = BN_ANOVA_FACTORS_MAX * (BN_ANOVA_FACTORS_MAX + 1) / 2,
};

typedef struct bn_anova_data {
    const int *levels; /* [count, factors]: 0 ... level_counts[factor] - 1 */
    const int *level_counts;
    int factors;
    const double *values; /* [count], finite */
    size_t count;
} bn_anova_data;

typedef struct bn_anova_effect {
    int first, second; /* factors; second -1: the first one alone */
    double share;      /* of all variation, 0 ... 1 */
    double df, f, p;   /* NaN where there is no error to hold it against */
} bn_anova_effect;

typedef struct bn_anova {
    bn_anova_effect effects[BN_ANOVA_EFFECTS_MAX]; /* alone first, then pairs */
    int effect_count;
    double higher_share;   /* interactions of three and more */
    double residual_share; /* between replicates */
    double error_df;       /* of what F was held against; 0: nothing, no p-values */
} bn_anova;

/* *full is false, and nothing else is filled, when some cell of the grid has no value. BN_EINVAL:
 * too many factors or cells; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_anova_make(const bn_anova_data *data, bn_anova *out, bool *full,
                                      bn_error *err);

#endif
