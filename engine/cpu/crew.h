/* crew.h - threads that go through many short phases together, without a job of the pool for each.
 *
 * A phase is `parts` pieces of work. Every member begins with a range of its own, the same one in
 * each phase of as many parts, so that a thread reads memory in one long stream; who has finished
 * helps the others. A phase ends when its parts have ended: a member that the system holds back
 * costs only the part it holds, and skips what went on without it.
 */
#ifndef BN_ENGINE_CPU_CREW_H
#define BN_ENGINE_CPU_CREW_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_crew bn_crew;

/* One thread on its way through the phases. */
typedef struct bn_crew_member {
    bn_crew *crew;
    int index; /* 0 ... threads - 1 */
    uint32_t phase;
    uint64_t ended; /* parts of all phases so far */
} bn_crew_member;

typedef struct bn_crew_phase {
    int parts;
    void (*part)(void *context, int part, int member);
    void *context;
    const char
        *next; /* what this member will read in the phase behind this one, or NULL: fetched */
    size_t next_bytes; /* into the cache while it waits */
} bn_crew_phase;

BN_MUST_CHECK bn_status bn_crew_open(bn_crew **out, int threads, bn_error *err); /* BN_ENOMEM */
void bn_crew_close(bn_crew *crew);                                               /* NULL is fine */

/* Members join, run the same phases in the same order, and one of them, when all have left, tells
 * where they ended. */
bn_crew_member bn_crew_join(bn_crew *crew, int index);
void bn_crew_run(bn_crew_member *member, const bn_crew_phase *phase);
void bn_crew_leave(const bn_crew_member *member);

/* The first part of a member's own range among `parts`. */
int bn_crew_first(const bn_crew *crew, int parts, int index);

#endif
