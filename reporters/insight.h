/* insight.h - what a sweep's runs say beyond the gap: which knobs matter, and how loss falls with
 * size on each side. */
#ifndef BN_REPORTERS_INSIGHT_H
#define BN_REPORTERS_INSIGHT_H

#include "engine/base/text.h"
#include "reporters/comparison.h"
#include "reporters/stats/anova.h"
#include "reporters/stats/effects.h"
#include "reporters/stats/importance.h"
#include "reporters/stats/scaling.h"

enum { BN_INSIGHT_RUNS_MIN = 50 }; /* of a search that is no grid; a tenth of it must be 5 */

typedef struct bn_insight_scaling {
    int side; /* against the baseline */
    bn_scaling_twins twins;
    double width; /* model.width at twins.size, by the sweep's own widths; NaN unless they meet */
} bn_insight_scaling;

/* What a law of loss is a function of. */
typedef enum bn_size_kind { BN_SIZE_PARAMETERS, BN_SIZE_DEPLOYED, BN_SIZE_KINDS } bn_size_kind;

typedef struct bn_insight_law {
    int side;
    bn_size_kind kind;
    bn_scaling law; /* fitted */
} bn_insight_law;

typedef struct bn_insight {
    char (*knobs)[64]; /* varied, with two values or more; by name */
    size_t knob_count, run_count;
    bn_effect *effects; /* one a knob; NULL: fewer runs than BN_EFFECT_RUNS_MIN */
    bool full_grid;     /* then anova is filled, its factors are the knobs */
    bn_anova anova;
    bool searched; /* then importance is: one a knob */
    bn_importance *importance;
    size_t top;
    bn_insight_law *laws; /* of every side that has sizes enough, by side, then kind */
    size_t law_count;
    bn_insight_scaling *scaling; /* sides that have sizes enough, with the baseline */
    size_t scaling_count;
} bn_insight;

/* From the runs that count in a comparison. Release with bn_insight_release. */
BN_MUST_CHECK bn_status bn_insight_make(bn_insight *out, bn_store *store,
                                        const bn_comparison_ask *ask, const bn_comparison *from,
                                        bn_error *err);
void bn_insight_release(bn_insight *insight); /* {0} is fine */

/* "optim.lr", or "optim.lr x quant.variant" for a pair. */
void bn_insight_effect_name(const bn_insight *insight, const bn_anova_effect *effect,
                            char out[160]);

/* "effects", "anova" and "importance", keys of the object that json is in: the same numbers in the
 * same words for `bnexp compare --json` and for the page. */
void bn_insight_json(const bn_insight *insight, bn_json *json);

/* "valley" of a cell, likewise; null where nothing was fitted. */
void bn_insight_valley_json(const bn_comparison *made, const bn_comparison_cell *cell,
                            bn_json *json);

#endif
