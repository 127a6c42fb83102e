#include "runner/search/search.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "runner/search/grid.h"
#include "runner/search/random.h"
#include "runner/search/walk.h"

static const char *const METHODS[] = {"grid", "random"};
enum { METHOD_COUNT = sizeof METHODS / sizeof METHODS[0] };

struct bn_search {
    bn_walk walk;
    bn_grid grid;
    bn_random random;
    bool finite; /* the whole walk is made: its length is the number of configurations */
};

const char *const *bn_search_methods(size_t *count)
{
    *count = METHOD_COUNT;
    return METHODS;
}

static bn_status open_grid(bn_search *search, const bn_search_options *options, bn_error *err)
{
    bn_status status = bn_grid_init(&search->grid, search->walk.space, err);
    if (status != BN_OK) return status;
    search->walk.candidate = bn_grid_candidate;
    search->walk.self = &search->grid;
    search->walk.candidates = search->grid.count;
    search->finite = true;
    status = bn_walk_extend(&search->walk, (size_t)search->grid.count, err);
    if (status == BN_OK && options->order && strcmp(options->order, "shuffle") == 0) {
        bn_grid_shuffle(search->walk.accepted, search->walk.accepted_count, options->seed);
    }
    return status;
}

static void open_random(bn_search *search, const bn_search_options *options)
{
    bn_random_init(&search->random, search->walk.space, options->seed);
    search->walk.candidate = bn_random_candidate;
    search->walk.self = &search->random;
    search->walk.candidates = -1;
}

bn_status bn_search_open(bn_search **out, const bn_space *space, const bn_search_options *options,
                         bn_error *err)
{
    *out = NULL;
    bn_search *search = calloc(1, sizeof *search);
    if (!search) return bn_fail(err, BN_ENOMEM, "too little memory for a search");
    search->walk.space = space;
    bn_status status = BN_OK;
    if (strcmp(options->method, "grid") == 0) {
        status = open_grid(search, options, err);
    } else if (strcmp(options->method, "random") == 0) {
        open_random(search, options);
    } else {
        const char *near = bn_nearest(options->method, METHODS, METHOD_COUNT, sizeof METHODS[0]);
        status = bn_fail(err, BN_EINVAL, "there is no method '%.40s'; expected %s%s%s",
                         options->method, near ? near : "grid or random", "", "");
    }
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
    (void)search;
    return false;
}

void bn_search_tally_of(const bn_search *search, bn_search_tally *out)
{
    *out = search->walk.tally;
}

bn_status bn_search_suggest(bn_search *search, int64_t index, const bn_trial *trials, size_t count,
                            bn_point *out, bn_error *err)
{
    (void)trials;
    (void)count;
    bn_status status = bn_walk_extend(&search->walk, (size_t)index + 1, err);
    if (status != BN_OK) return status;
    if ((size_t)index >= search->walk.accepted_count) {
        return bn_fail(err, BN_ENOENT, "the search space has only %zu points",
                       search->walk.accepted_count);
    }
    bn_walk_point(&search->walk, (size_t)index, out);
    return BN_OK;
}
