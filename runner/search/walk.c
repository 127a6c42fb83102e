#include "runner/search/walk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void bn_walk_release(bn_walk *walk)
{
    free(walk->accepted);
    free(walk->seen);
    memset(walk, 0, sizeof *walk);
}

void bn_walk_forget(bn_walk *walk)
{
    if (walk->seen) memset(walk->seen, 0, walk->seen_size * sizeof *walk->seen);
    walk->seen_count = 0;
}

/* The place of a hash in the table, or the free place where it belongs. */
static size_t seen_place(const uint64_t *seen, size_t size, uint64_t hash)
{
    size_t place = (size_t)(hash * 0x9E3779B97F4A7C15U) & (size - 1);
    while (seen[place] && seen[place] != hash) place = (place + 1) & (size - 1);
    return place;
}

static bn_status seen_grow(bn_walk *walk, bn_error *err)
{
    if (walk->seen_count * 2 < walk->seen_size) return BN_OK;
    size_t size = walk->seen_size ? walk->seen_size * 2 : 256;
    uint64_t *seen = calloc(size, sizeof *seen);
    if (!seen) return bn_fail(err, BN_ENOMEM, "too little memory for %zu points", size);
    for (size_t i = 0; i < walk->seen_size; i++) {
        if (walk->seen[i]) seen[seen_place(seen, size, walk->seen[i])] = walk->seen[i];
    }
    free(walk->seen);
    walk->seen = seen;
    walk->seen_size = size;
    return BN_OK;
}

bool bn_walk_take(bn_walk *walk, const bn_point *point, bn_status *status, bn_error *err)
{
    *status = seen_grow(walk, err);
    if (*status != BN_OK) return false;
    uint64_t hash = bn_point_hash(point);
    if (hash == 0) hash = 1; /* 0 means free */
    size_t place = seen_place(walk->seen, walk->seen_size, hash);
    if (walk->seen[place]) return false;
    walk->seen[place] = hash;
    walk->seen_count++;
    return true;
}

static bn_status accept(bn_walk *walk, int64_t candidate, bn_error *err)
{
    if (walk->accepted_count == walk->accepted_size) {
        size_t size = walk->accepted_size ? walk->accepted_size * 2 : 64;
        int64_t *accepted = realloc(walk->accepted, size * sizeof *accepted);
        if (!accepted) return bn_fail(err, BN_ENOMEM, "too little memory for %zu points", size);
        walk->accepted = accepted;
        walk->accepted_size = size;
    }
    walk->accepted[walk->accepted_count++] = candidate;
    return BN_OK;
}

/* Looks at one candidate, complete. */
static bn_status look(bn_walk *walk, int64_t number, const bn_point *point, bool *useful,
                      bn_error *err)
{
    bn_status status = BN_OK;
    walk->tally.candidates++;
    *useful = bn_walk_take(walk, point, &status, err);
    if (status != BN_OK) return status;
    if (*useful) return accept(walk, number, err);
    walk->tally.duplicates++;
    return BN_OK;
}

static bn_status look_next(bn_walk *walk, bool *useful, bn_error *err)
{
    bn_point point;
    int64_t number = walk->next++;
    *useful = false;
    walk->candidate(walk->self, number, &point);
    int broken = bn_space_complete(walk->space, &point);
    if (broken < 0) return look(walk, number, &point, useful, err);
    walk->tally.candidates++;
    walk->tally.rejected++;
    if (broken == BN_SPACE_CONSTRAINTS_MAX) {
        walk->tally.undefined++;
    } else {
        walk->tally.by_constraint[broken]++;
    }
    return BN_OK;
}

/* The points that were given come first, as they are. */
static bn_status take_first(bn_walk *walk, bn_error *err)
{
    bn_status status = BN_OK;
    if (walk->tally.candidates > 0) return BN_OK;
    for (size_t i = 0; i < walk->first_count && status == BN_OK; i++) {
        bool useful = false;
        status = look(walk, ~(int64_t)i, &walk->first[i], &useful, err);
    }
    return status;
}

bn_status bn_walk_extend(bn_walk *walk, size_t count, bn_error *err)
{
    int tries = 0;
    bn_status status = take_first(walk, err);
    while (status == BN_OK && walk->accepted_count < count) {
        if (walk->candidates >= 0 && walk->next >= walk->candidates) break;
        if (walk->candidates < 0 && tries >= BN_WALK_TRIES) break;
        bool useful = false;
        status = look_next(walk, &useful, err);
        tries = useful ? 0 : tries + 1;
    }
    return status;
}

void bn_walk_point(const bn_walk *walk, size_t index, bn_point *out)
{
    assert(index < walk->accepted_count);
    int64_t number = walk->accepted[index];
    if (number < 0) {
        *out = walk->first[~number];
        return;
    }
    walk->candidate(walk->self, number, out);
    (void)bn_space_complete(walk->space, out);
}
