/* search.h - which configuration comes next. Pure: values in, value out, no clock, no I/O.
 *
 * A suggestion is a function of (space, method, seed, index, what is known of earlier ones), so it
 * is the same whatever the concurrency or the restarts, as long as it is told the same outcomes.
 */
#ifndef BN_RUNNER_SEARCH_SEARCH_H
#define BN_RUNNER_SEARCH_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "runner/search/space.h"

typedef enum bn_trial_state {
    BN_TRIAL_RUNNING,
    BN_TRIAL_COMPLETE,
    BN_TRIAL_PRUNED,
    BN_TRIAL_FAILED
} bn_trial_state;

/* What is known of an earlier configuration (the mean over its replicates). */
typedef struct bn_trial {
    bn_point point;
    bn_trial_state state;
    double value; /* of the metric, lower is better (negated for maximize); NaN unknown */
    int64_t last_step;
    int replicates;  /* finished ones behind value */
    double variance; /* over them; 0 when fewer than 2 */
} bn_trial;

typedef struct bn_search bn_search;

/* What became of the candidates that were looked at. */
typedef struct bn_search_tally {
    int64_t candidates, duplicates, rejected;
    int64_t by_constraint[BN_SPACE_CONSTRAINTS_MAX]; /* rejected by each: the first that it broke */
    int64_t undefined; /* rejected because a derived value is no finite number */
} bn_search_tally;

typedef struct bn_search_options {
    const char *method; /* "grid" "random" "sobol" "tpe" "gp" "bayes" */
    const char *order;  /* of a grid: "grid" "shuffle" "sobol"; NULL or "": "grid" */
    uint64_t seed;
    const bn_point *enqueue; /* suggested first, complete; borrowed until close */
    size_t enqueue_count;
} bn_search_options;

/* space is borrowed until close. BN_EINVAL: unknown method, or a grid over a continuous parameter.
 */
BN_MUST_CHECK bn_status bn_search_open(bn_search **out, const bn_space *space,
                                       const bn_search_options *options, bn_error *err);
void bn_search_close(bn_search *search); /* NULL is fine */

/* Configurations in all; -1: no end. Grid: after constraints. */
int64_t bn_search_count(const bn_search *search);

/* Whether suggestions depend on what is told of earlier ones; false: trials may be left out. */
bool bn_search_learns(const bn_search *search);

void bn_search_tally_of(const bn_search *search, bn_search_tally *out);

/* Methods by name, for messages. */
const char *const *bn_search_methods(size_t *count);

/* Configuration number `index`. trials: of all lower indexes, in order; methods that learn use
 * them. BN_ENOENT: the space is exhausted. */
BN_MUST_CHECK bn_status bn_search_suggest(bn_search *search, int64_t index, const bn_trial *trials,
                                          size_t count, bn_point *out, bn_error *err);

#endif
