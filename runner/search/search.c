#include "runner/search/search.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "runner/search/grid.h"
#include "runner/search/learn.h"
#include "runner/search/random.h"
#include "runner/search/sobol.h"
#include "runner/search/walk.h"

static const char *const METHODS[] = {"grid", "random", "sobol", "tpe", "gp", "bayes"};
enum { METHOD_COUNT = sizeof METHODS / sizeof METHODS[0] };

struct bn_search {
    bn_walk walk;
    bn_grid grid;
    bn_random random;
    bn_sobol_points sobol;
    bn_learn learn;
    bool learns;
    bool finite; /* the whole walk is made: its length is the number of configurations */
};

const char *const *bn_search_methods(size_t *count)
{
    *count = METHOD_COUNT;
    return METHODS;
}

static bn_status open_grid(bn_search *search, const bn_search_options *options, bn_error *err)
{
    bn_walk *walk = &search->walk;
    const char *order = options->order && *options->order ? options->order : "grid";
    bn_status status = bn_grid_init(&search->grid, walk->space, err);
    if (status != BN_OK) return status;
    walk->candidate = bn_grid_candidate;
    walk->self = &search->grid;
    walk->candidates = search->grid.count;
    search->finite = true;
    status = bn_walk_extend(walk, SIZE_MAX, err);
    if (status != BN_OK || strcmp(order, "grid") == 0) return status;
    if (strcmp(order, "shuffle") == 0) {
        bn_grid_shuffle(walk->accepted, walk->accepted_count, options->seed);
        return BN_OK;
    }
    if (strcmp(order, "sobol") == 0) {
        return bn_grid_spread(&search->grid, walk->accepted, walk->accepted_count, options->seed,
                              err);
    }
    return bn_fail(err, BN_EINVAL, "there is no order '%.40s'; expected grid, shuffle or sobol",
                   order);
}

/* Candidates without end. */
static bn_status open_endless(bn_search *search, bn_candidate candidate, const void *self)
{
    search->walk.candidate = candidate;
    search->walk.self = self;
    search->walk.candidates = -1;
    return BN_OK;
}

static bn_status open_method(bn_search *search, const bn_search_options *options, bn_error *err)
{
    const char *method = options->method;
    if (strcmp(method, "grid") == 0) return open_grid(search, options, err);
    if (strcmp(method, "random") == 0) {
        bn_random_init(&search->random, search->walk.space, options->seed);
        return open_endless(search, bn_random_candidate, &search->random);
    }
    if (strcmp(method, "sobol") == 0) {
        bn_sobol_points_init(&search->sobol, search->walk.space, options->seed);
        return open_endless(search, bn_sobol_candidate, &search->sobol);
    }
    static const char *const learners[] = {"tpe", "gp", "bayes"}; /* in the order of bn_learner */
    for (int i = 0; i < 3; i++) {
        if (strcmp(method, learners[i]) != 0) continue;
        bn_learn_init(&search->learn, (bn_learner)i, search->walk.space, options->seed);
        search->learns = true;
        return BN_OK;
    }
    const char *near = bn_nearest(method, METHODS, METHOD_COUNT, sizeof METHODS[0]);
    return bn_fail(err, BN_EINVAL, "there is no method '%.40s'%s%s%s", method,
                   near ? "; did you mean '" : "; expected grid, random, sobol, tpe, gp or bayes",
                   near ? near : "", near ? "'?" : "");
}

bn_status bn_search_open(bn_search **out, const bn_space *space, const bn_search_options *options,
                         bn_error *err)
{
    *out = NULL;
    bn_search *search = calloc(1, sizeof *search);
    if (!search) return bn_fail(err, BN_ENOMEM, "too little memory for a search");
    search->walk.space = space;
    search->walk.first = options->enqueue;
    search->walk.first_count = options->enqueue_count;
    bn_status status = open_method(search, options, err);
    if (status != BN_OK) {
        bn_search_close(search);
        return status;
    }
    *out = search;
    return BN_OK;
}

void bn_search_close(bn_search *search)
{
    if (!search) return;
    bn_walk_release(&search->walk);
    free(search);
}

int64_t bn_search_count(const bn_search *search)
{
    return search->finite ? (int64_t)search->walk.accepted_count : -1;
}

bool bn_search_learns(const bn_search *search)
{
    return search->learns;
}

void bn_search_tally_of(const bn_search *search, bn_search_tally *out)
{
    *out = search->walk.tally;
}

bn_status bn_search_suggest(bn_search *search, int64_t index, const bn_trial *trials, size_t count,
                            bn_point *out, bn_error *err)
{
    bn_walk *walk = &search->walk;
    if (search->learns && (size_t)index >= walk->first_count) {
        bn_known known = {.trials = trials, .count = count};
        return bn_learn_suggest(&search->learn, index, &known, walk, out, err);
    }
    if (search->learns) {
        *out = walk->first[index];
        return BN_OK;
    }
    bn_status status = bn_walk_extend(walk, (size_t)index + 1, err);
    if (status != BN_OK) return status;
    if ((size_t)index >= walk->accepted_count) {
        return bn_fail(err, BN_ENOENT, "the search space has only %zu points",
                       walk->accepted_count);
    }
    bn_walk_point(walk, (size_t)index, out);
    return BN_OK;
}
