/* comparison.h - twins from the store: what each side of a sweep reaches, and by how much.
 *
 * A side is one value of the knob `by` (quant.variant: ternary, fp16, ...), or of several together
 * ("quant.variant,model.norm": "fp16 rms"). Within a sweep runs are
 * twins when they agree in everything that was varied but the side. Knobs of the optimizer (those
 * that begin with "optim.") each side may choose for itself: it is judged at its own best setting,
 * the one whose mean over replicates is best. What else was varied is the shape (model.width, ...).
 * With `pair` given, the shape is the knobs it lists and each side chooses all others for itself.
 * Only finished runs count; a skipped run stands for the finished one of its configuration, unless
 * that one is compared in the same place itself. */
#ifndef BN_REPORTERS_COMPARISON_H
#define BN_REPORTERS_COMPARISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reporters/stats/paired.h"
#include "reporters/stats/valley.h"
#include "store/store.h"

typedef struct bn_comparison_ask {
    int64_t sweep;
    const int64_t *more; /* sweeps that are compared as if their runs were that one's: other seeds,
                            other widths; borrowed */
    size_t more_count;
    const char *by;       /* "quant.variant", "a,b"; NULL: all runs are one side, "" */
    const char *baseline; /* "fp16": a side that the others are measured against */
    const char *metric;   /* "val/loss" */
    const char *pair;     /* "model.width,model.layers": what twins share; NULL: see above */
    bool maximize;
} bn_comparison_ask;

enum { BN_SETTING_MAX = 256, BN_SIDE_MAX = 48 };

/* One run that counts. */
typedef struct bn_comparison_run {
    int64_t run,
        source; /* its row, and the one whose numbers these are: another if it was skipped */
    char key[12];
    int shape, side, setting; /* indices */
    char seed[32];            /* train.seed or seed as text, or its place among its replicates */
    double value;             /* best of the metric over training */
    double tokens_per_s;      /* median over its records */
    double memory_bytes, deployed_bytes, params; /* NaN: not recorded */
} bn_comparison_run;

/* One side at one shape, at its best setting; means over that setting's replicates. */
typedef struct bn_comparison_cell {
    int shape, side, setting;
    int settings; /* tried with a result */
    bool edge;    /* exactly one number was tuned, and the best is the least or largest tried */
    int runs;     /* behind the means */
    double value, deviation; /* mean and standard deviation (NaN for one run) of the metric */
    double tokens_per_s, memory_bytes, deployed_bytes, params;
    bn_valley valley; /* of the metric over the one number that was tuned; not fitted when several
                         were. Of a metric that is maximized: its top */
} bn_comparison_cell;

/* All pairs of one side with the baseline. own_best: each at its own best setting; otherwise both
 * at the same setting. */
typedef struct bn_comparison_pairs {
    int side;
    bool own_best;
    bn_paired loss; /* side minus baseline, in the metric's unit */
    double p_holm;  /* loss.p corrected for all sides paired in the same way (Holm) */
} bn_comparison_pairs;

typedef struct bn_comparison {
    char (*shapes)[BN_SETTING_MAX];   /* "model.width=64", "" when only one */
    char (*settings)[BN_SETTING_MAX]; /* of the optimizer: "optim.lr=0.001", "" when none varied */
    char (*sides)[BN_SIDE_MAX];       /* the baseline first when it is there */
    bn_comparison_run *runs;
    bn_comparison_cell *cells;  /* by shape, then side; only where runs are */
    bn_comparison_pairs *pairs; /* by side, own_best first; sides without a pair left out */
    size_t shape_count, setting_count, side_count, run_count, cell_count, pair_count;
    size_t unfinished, without_value; /* runs left out: not finished; the metric not finite */
    int baseline;                     /* index of the side, -1: no run has it */
} bn_comparison;

/* BN_EINVAL: the sweep's runs have no such knob. Release with bn_comparison_release. */
BN_MUST_CHECK bn_status bn_comparison_make(bn_comparison *out, bn_store *store,
                                           const bn_comparison_ask *ask, bn_error *err);
void bn_comparison_release(bn_comparison *comparison); /* {0} is fine */

/* Whether replicates differ in this knob: ours is train.seed, other programs' is seed. */
bool bn_comparison_is_seed(const char *knob);

/* The cell of a shape and side, NULL when no run is in it. */
const bn_comparison_cell *bn_comparison_at(const bn_comparison *comparison, int shape, int side);

#endif
