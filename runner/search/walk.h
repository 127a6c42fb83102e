/* walk.h - a list of candidate points, walked in order: what the constraints reject and what came
 * before is left out. So suggestion 7 is the same whether it is asked for first or eighth, by this
 * process or by the next one.
 */
#ifndef BN_RUNNER_SEARCH_WALK_H
#define BN_RUNNER_SEARCH_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "runner/search/search.h"
#include "runner/search/space.h"

/* Candidate number `number` of a list, its axes chosen; everything it needs is in self. */
typedef void (*bn_candidate)(const void *self, int64_t number, bn_point *out);

typedef struct bn_walk {
    const bn_space *space;
    bn_candidate candidate;
    const void *self;
    int64_t candidates; /* in all; -1: no end */
    int64_t next;       /* first candidate not looked at */
    int64_t *accepted;  /* candidate numbers; ~i for first[i] */
    size_t accepted_count, accepted_size;
    const bn_point *first; /* points that come before all candidates; borrowed */
    size_t first_count;
    uint64_t *seen; /* open addressing; 0: free */
    size_t seen_count, seen_size;
    bn_search_tally tally;
} bn_walk;

void bn_walk_release(bn_walk *walk); /* {0} is fine */

/* Extends the walk until `count` points are accepted or it ends. A walk without end gives up after
 * BN_WALK_TRIES candidates in a row that are of no use. BN_ENOMEM. */
enum { BN_WALK_TRIES = 20000 };
BN_MUST_CHECK bn_status bn_walk_extend(bn_walk *walk, size_t count, bn_error *err);

/* Point number `index` of those accepted. */
void bn_walk_point(const bn_walk *walk, size_t index, bn_point *out);

/* Forgets what was taken; the memory stays. */
void bn_walk_forget(bn_walk *walk);

/* Marks a point as taken; false: it was already. BN_ENOMEM is told by *status. */
bool bn_walk_take(bn_walk *walk, const bn_point *point, bn_status *status, bn_error *err);

#endif
