/* comparison_making.h - what the two files of a comparison share while they make one. */
#ifndef BN_REPORTERS_COMPARISON_MAKING_H
#define BN_REPORTERS_COMPARISON_MAKING_H

#include "reporters/comparison.h"
#include "store/run.h"

enum { BN_BY_MAX = 8 }; /* knobs whose values together are a side */

/* What a comparison is made from; gone when it is made. */
typedef struct bn_making {
    bn_store *store;
    const bn_comparison_ask *ask;
    bn_comparison *out;
    bn_run *runs;
    size_t run_count;
    bn_run_param *sides[BN_BY_MAX], *seeds, *varied; /* by run */
    size_t side_counts[BN_BY_MAX], seed_count, varied_count;
    int by_count;
    size_t shape_room, setting_room, side_room, out_room, cell_room, pair_room;
} bn_making;

/* Reads the sweep and takes the runs that count into out->runs, with their shapes, settings and
 * sides. */
BN_MUST_CHECK bn_status bn_making_read(bn_making *make, bn_error *err);

/* The rows of all sweeps that are compared; the caller frees *out. Knobs by run; what was varied by
 * run and name: of several sweeps what any of them varied, of all runs. */
BN_MUST_CHECK bn_status bn_comparison_runs(bn_store *store, const bn_comparison_ask *ask,
                                           bn_run **out, size_t *count, bn_error *err);
BN_MUST_CHECK bn_status bn_comparison_knob(bn_store *store, const bn_comparison_ask *ask,
                                           const char *name, bn_run_param **out, size_t *count,
                                           bn_error *err);
BN_MUST_CHECK bn_status bn_comparison_varied(bn_store *store, const bn_comparison_ask *ask,
                                             bn_run_param **out, size_t *count, bn_error *err);

/* Makes room for one more element in the array whose pointer lies at `place`; new room is zeroed.
 */
BN_MUST_CHECK bn_status bn_making_grow(void *place, size_t count, size_t *room, size_t size_bytes,
                                       bn_error *err);

#endif
