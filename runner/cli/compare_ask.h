/* compare_ask.h - what a comparison compares, where nobody says it: [baseline] of the sweep's file.
 */
#ifndef BN_RUNNER_CLI_COMPARE_ASK_H
#define BN_RUNNER_CLI_COMPARE_ASK_H

#include <stdbool.h>

#include "engine/base/status.h"
#include "reporters/comparison.h"
#include "store/sweep.h"

typedef struct bn_compare_ask {
    char by[256];               /* knobs whose values tell the sides, "a,b" */
    char baseline[BN_SIDE_MAX]; /* the side that `where` is true for */
    char pair[1088];            /* what twins share, "a,b" */
    bool has_where, has_pair;   /* false: the file does not say */
} bn_compare_ask;

/* Reads [baseline] of the sweep. The sides are told by what `where` speaks of and was varied; the
 * baseline is the side that it is true for, "" where no run is there. BN_EINVAL: it is true for
 * several sides. */
BN_MUST_CHECK bn_status bn_compare_ask_read(bn_compare_ask *out, bn_store *store,
                                            const bn_sweep *sweep, bn_error *err);

/* The most exact float side that the sweep has: fp16, else bf16, else fp32; fp16 if none. */
BN_MUST_CHECK bn_status bn_compare_ask_float(const char **out, bn_store *store, int64_t sweep,
                                             bn_error *err);

#endif
