/* estimate.h - what planned runs will take, from runs that have finished in the same home.
 *
 * A run of the built-in engine is held against the finished runs that are nearest to it in
 * parameters, trained tokens and variant, and scaled from them: time with the operations of the
 * training, disk with the parameters. A run of another program takes what runs of the sweep's name
 * took.
 */
#ifndef BN_RUNNER_CLI_ESTIMATE_H
#define BN_RUNNER_CLI_ESTIMATE_H

#include "runner/spec.h"
#include "runner/sweep_plan.h"

typedef struct bn_estimate bn_estimate;

/* Of all runs that were added. */
typedef struct bn_estimate_sum {
    int64_t tokens; /* trained on; 0 for other programs */
    int64_t from;   /* finished runs that it rests on; 0: nothing is known */
    bool distant; /* some run is little like those it is held against, e.g. over ten times as large
                   */
    double run_s, longest_s; /* one after another; the longest of them. NaN: not known */
    double disk_bytes;       /* of their folders. NaN: not known, e.g. removed since */
} bn_estimate_sum;

/* Reads the newest finished runs of a home; one without a database has none. spec is borrowed.
 * BN_ENOMEM, and what bn_store_open says. */
BN_MUST_CHECK bn_status bn_estimate_open(bn_estimate **out, const char *home, const bn_spec *spec,
                                         bn_error *err);
void bn_estimate_close(bn_estimate *estimate); /* NULL is fine */

/* Adds `times` runs like this one. */
void bn_estimate_add(bn_estimate *estimate, const bn_planned *run, int64_t times);
bn_estimate_sum bn_estimate_total(const bn_estimate *estimate);

#endif
