/* importance.h - which knobs tell the best runs from the rest, for searches that are no grid.
 *
 * PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023, arXiv:2304.10255): the density of each knob
 * among the best tenth of the runs against its density among all, with the interval of 400
 * resamples of the runs. And Spearman's rank correlation beside it, which knows the direction. */
#ifndef BN_REPORTERS_STATS_IMPORTANCE_H
#define BN_REPORTERS_STATS_IMPORTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { BN_IMPORTANCE_TOP_MIN = 5 }; /* best runs; below them nothing is said */

typedef struct bn_importance_knob {
    bool categorical;     /* values are the places 0, 1, ... of choices */
    bool logarithmic;     /* cells by its logarithm: all values are > 0 */
    const double *values; /* [count] */
} bn_importance_knob;

typedef struct bn_importance {
    double share;     /* of all knobs together 1 */
    double low, high; /* 95 % */
    double spearman;  /* of the knob with the metric; NaN for a categorical one */
} bn_importance;

typedef struct bn_importance_data {
    const bn_importance_knob *knobs;
    size_t knob_count;
    const double *losses; /* [count], finite, lower is better */
    size_t count;
    uint64_t seed; /* of the resamples */
} bn_importance_data;

/* out: one a knob. *top: runs among the best tenth, ties included; when fewer than
 * BN_IMPORTANCE_TOP_MIN, shares are NaN. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_importance_make(const bn_importance_data *data, bn_importance *out,
                                           size_t *top, bn_error *err);

#endif
