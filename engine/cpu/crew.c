#include "engine/cpu/crew.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* After LOOKS, some tens of microseconds, a waiting member leaves its processor to whoever holds
 * the last part: on a machine that others use too, that one may have none. */
enum { CACHE_LINE = 64, LINES_A_LOOK = 4, LOOKS = 2000 };

/* A member's range: phase << 32 | its next part. An older phase stands for an untouched range. */
typedef struct range {
    _Alignas(CACHE_LINE) atomic_uint_fast64_t ticket;
} range;

struct bn_crew {
    _Alignas(CACHE_LINE) atomic_uint_fast64_t ended; /* parts since the crew was opened */
    _Alignas(CACHE_LINE) int threads;
    uint32_t phase; /* where the last members ended */
    uint64_t total;
    range ranges[];
};

bn_status bn_crew_open(bn_crew **out, int threads, bn_error *err)
{
    assert(threads > 0);
    size_t bytes = sizeof(bn_crew) + (size_t)threads * sizeof(range);
    bn_crew *crew = aligned_alloc(CACHE_LINE, (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    *out = crew;
    if (!crew) return bn_fail(err, BN_ENOMEM, "no memory for a crew of %d threads", threads);
    *crew = (bn_crew){.threads = threads};
    for (int i = 0; i < threads; i++) atomic_init(&crew->ranges[i].ticket, 0);
    return BN_OK;
}

void bn_crew_close(bn_crew *crew)
{
    free(crew);
}

bn_crew_member bn_crew_join(bn_crew *crew, int index)
{
    return (bn_crew_member){
        .crew = crew, .index = index, .phase = crew->phase, .ended = crew->total};
}

void bn_crew_leave(const bn_crew_member *member)
{
    member->crew->phase = member->phase;
    member->crew->total = member->ended;
}

int bn_crew_first(const bn_crew *crew, int parts, int index)
{
    return (int)((int64_t)parts * index / crew->threads);
}

/* The next part of one member's range in this phase, or -1. */
static int take(bn_crew *crew, int owner, uint32_t phase, int parts)
{
    int first = bn_crew_first(crew, parts, owner);
    int end = bn_crew_first(crew, parts, owner + 1);
    uint64_t ticket = atomic_load(&crew->ranges[owner].ticket);
    for (;;) {
        int32_t ahead = (int32_t)((uint32_t)(ticket >> 32) - phase);
        int next = ahead == 0 ? (int)(uint32_t)ticket : first;
        if (ahead > 0 || next >= end) return -1;
        uint64_t taken = (uint64_t)phase << 32 | (uint32_t)(next + 1);
        if (atomic_compare_exchange_weak(&crew->ranges[owner].ticket, &ticket, taken)) return next;
    }
}

/* Looks whether the others have ended, fetching ahead between looks. */
static void await(const bn_crew_member *member, const bn_crew_phase *phase)
{
    bn_crew *crew = member->crew;
    size_t fetched = 0;
    for (int look = 0; atomic_load(&crew->ended) < member->ended; look++) {
        for (int i = 0; i < LINES_A_LOOK && fetched < phase->next_bytes; i++) {
            __builtin_prefetch(phase->next + fetched, 0, 2);
            fetched += CACHE_LINE;
        }
        if (look > LOOKS) (void)sched_yield();
#if defined(__x86_64__) || defined(__i386__)
        if (fetched >= phase->next_bytes) __builtin_ia32_pause();
#endif
    }
}

void bn_crew_run(bn_crew_member *member, const bn_crew_phase *phase)
{
    bn_crew *crew = member->crew;
    int done = 0;
    member->phase++;
    for (int i = 0; i < crew->threads; i++) {
        int owner = (member->index + i) % crew->threads;
        int part = take(crew, owner, member->phase, phase->parts);
        for (; part >= 0; part = take(crew, owner, member->phase, phase->parts)) {
            phase->part(phase->context, part, member->index);
            done++;
        }
    }
    if (done) (void)atomic_fetch_add(&crew->ended, (uint64_t)done);
    member->ended += (uint64_t)phase->parts;
    await(member, phase);
}
