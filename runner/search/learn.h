/* learn.h - methods that learn from earlier results: TPE, Gaussian process, and bayes, which is the
 * process up to BN_BAYES_GP_MAX finished trials and TPE beyond or where parameters are conditional.
 *
 * The first 10 trials (process: max(10, 2 axes)) are Sobol points. What is proposed must satisfy
 * the constraints and must not have been tried; when nothing of that kind is left the space is
 * exhausted.
 */
#ifndef BN_RUNNER_SEARCH_LEARN_H
#define BN_RUNNER_SEARCH_LEARN_H

#include "runner/search/axis.h"
#include "runner/search/sobol.h"
#include "runner/search/walk.h"

enum { BN_BAYES_GP_MAX = 200 };

typedef enum bn_learner { BN_LEARNER_TPE, BN_LEARNER_GP, BN_LEARNER_BAYES } bn_learner;

typedef struct bn_learn {
    bn_learner learner;
    const bn_space *space;
    bn_axes axes;
    bn_sobol_points sobol;
    uint64_t key;
} bn_learn;

void bn_learn_init(bn_learn *learn, bn_learner learner, const bn_space *space, uint64_t seed);

/* The trials of all lower numbers, in order. */
typedef struct bn_known {
    const bn_trial *trials;
    size_t count;
} bn_known;

/* Configuration number `index`. taken marks what was tried already; it is filled anew.
 * BN_ENOENT: the space is exhausted. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_learn_suggest(const bn_learn *learn, int64_t index,
                                         const bn_known *known, bn_walk *taken, bn_point *out,
                                         bn_error *err);

#endif
