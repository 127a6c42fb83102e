/* sweep_plan.h - which runs a spec asks for, numbered, and their rows in the store.
 *
 * Run number n is replicate n % replicates of configuration n / replicates: a number means the same
 * run whenever and by whomever it is asked.
 */
#ifndef BN_RUNNER_SWEEP_PLAN_H
#define BN_RUNNER_SWEEP_PLAN_H

#include <stdint.h>

#include "runner/spec.h"
#include "store/run.h"

typedef struct bn_plan bn_plan;

/* spec is borrowed until close. */
BN_MUST_CHECK bn_status bn_plan_open(bn_plan **out, const bn_spec *spec, bn_error *err);
void bn_plan_close(bn_plan *plan); /* NULL is fine */

/* Runs in all, run_cap applied; -1: no end. */
int64_t bn_plan_count(const bn_plan *plan);

/* Whether what comes next depends on how earlier runs ended; then rows are added one by one. */
bool bn_plan_learns(const bn_plan *plan);

/* What became of the candidates that the search has looked at so far. */
void bn_plan_tally(const bn_plan *plan, bn_search_tally *out);

typedef struct bn_planned {
    int64_t number;
    int replicate;
    bn_point point;
    bn_config config; /* resolved; of the built-in engine only */
    char name[BN_NAME_MAX];
    char dir[512]; /* relative to the home */
    char variant[16];
    char config_hash[65];
    bn_text config_json; /* flat; owned, see bn_planned_release */
} bn_planned;

/* What is known of all earlier configurations: for methods that learn, empty for the others. */
typedef struct bn_lessons {
    const bn_trial *trials;
    size_t count;
} bn_lessons;

/* Run number `number`. BN_ENOENT: there are no more. *out is reused: zero it once, release it at
 * the end. */
BN_MUST_CHECK bn_status bn_plan_at(bn_plan *plan, int64_t number, bn_lessons lessons,
                                   bn_planned *out, bn_error *err);
void bn_planned_release(bn_planned *planned);

/* Tells the plan of a row that is there already, so that no other run gets its name. */
void bn_plan_know(bn_plan *plan, const bn_run *run);

/* Tells the plan what a configuration is that it would otherwise ask the search for: one whose
 * first replicates have rows already. */
void bn_plan_prime(bn_plan *plan, int64_t index, const bn_point *point);

/* Runs first ... first + count - 1 of a sweep's row in a store. */
typedef struct bn_plan_range {
    bn_store *store; /* borrowed */
    int64_t sweep, first, count;
    bn_lessons lessons; /* empty for methods that do not learn */
} bn_plan_range;

/* Adds their rows, up to 256 of them in one transaction; *added is less than asked where the space
 * is exhausted. */
BN_MUST_CHECK bn_status bn_plan_add(bn_plan *plan, const bn_plan_range *range, int64_t *added,
                                    bn_error *err);

#endif
