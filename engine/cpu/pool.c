#include "engine/cpu/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

enum { SPINS = 4000, CACHE_LINE = 64, SLOTS = 2 };

/* A job's slot is written again only after the job behind it has been published. So whoever read
 * the slot of job g and then finds g still in a ticket has read it whole. */
typedef struct slot {
    _Atomic(bn_pool_part) part;
    _Atomic(void *) context;
    atomic_int parts;
    atomic_int ended;
} slot;

typedef struct worker {
    _Alignas(CACHE_LINE)
        atomic_uint_fast64_t ticket; /* job number << 32 | next part of its share */
    bn_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct bn_pool {
    _Alignas(CACHE_LINE) atomic_uint_fast32_t job; /* the last one published */
    _Alignas(CACHE_LINE) slot slots[SLOTS];
    _Alignas(CACHE_LINE) atomic_int sleepers; /* workers in wait for a job */
    atomic_int caller_sleeps;
    atomic_bool quit;
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    int threads;
    bool pinned;
    worker workers[];
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static uint32_t job_of(uint64_t ticket)
{
    return (uint32_t)(ticket >> 32);
}

static slot *slot_of(bn_pool *pool, uint32_t job)
{
    return &pool->slots[job % SLOTS];
}

/* The first part of a thread's share; the next thread's share begins where it ends. */
static int share_start(const bn_pool *pool, int parts, int thread)
{
    return (int)((int64_t)parts * thread / pool->threads);
}

/* Takes parts of `owner`'s share until none is left or another job has come. */
static void work_on_share(bn_pool *pool, uint32_t job, int owner, int thread)
{
    slot *s = slot_of(pool, job);
    bn_pool_part part = atomic_load_explicit(&s->part, memory_order_relaxed);
    void *context = atomic_load_explicit(&s->context, memory_order_relaxed);
    int parts = atomic_load_explicit(&s->parts, memory_order_relaxed);
    int end = share_start(pool, parts, owner + 1);
    atomic_uint_fast64_t *next = &pool->workers[owner].ticket;
    uint64_t ticket = atomic_load(next);
    while (job_of(ticket) == job && (int)(uint32_t)ticket < end) {
        if (!atomic_compare_exchange_weak(next, &ticket, ticket + 1)) continue;
        part(context, (int)(uint32_t)ticket, thread);
        if (atomic_fetch_add(&s->ended, 1) + 1 == parts && atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
        ticket = atomic_load(next);
    }
}

/* The thread's own share, then what the others have left. */
static void work_on(bn_pool *pool, uint32_t job, int thread)
{
    for (int i = 0; i < pool->threads; i++) {
        work_on_share(pool, job, (thread + i) % pool->threads, thread);
    }
}

/* Returns the first job that is not `seen`; sleeps after a while. */
static uint32_t await_job(bn_pool *pool, uint32_t seen)
{
    for (int spin = 0; spin < SPINS; spin++) {
        uint32_t job = (uint32_t)atomic_load(&pool->job);
        if (job != seen) return job;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while ((uint32_t)atomic_load(&pool->job) == seen) {
        pthread_cond_wait(&pool->work, &pool->mutex);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return (uint32_t)atomic_load(&pool->job);
}

static void pin(bn_pool *pool, int index)
{
    cpu_set_t allowed;
    if (!pool->pinned || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    int wanted = index % CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &allowed) || wanted-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET((size_t)cpu, &one);
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one); /* a hint: may be refused */
        return;
    }
}

static void *run_worker(void *argument)
{
    worker *self = argument;
    bn_pool *pool = self->pool;
    pin(pool, self->index);
    uint32_t job = 0;
    for (;;) {
        job = await_job(pool, job);
        if (atomic_load(&pool->quit)) return NULL;
        work_on(pool, job, self->index);
    }
}

static void publish(bn_pool *pool, int parts, bn_pool_part part, void *context)
{
    uint32_t job = (uint32_t)atomic_load(&pool->job) + 1;
    slot *s = slot_of(pool, job);
    atomic_store_explicit(&s->part, part, memory_order_relaxed);
    atomic_store_explicit(&s->context, context, memory_order_relaxed);
    atomic_store_explicit(&s->parts, parts, memory_order_relaxed);
    atomic_store(&s->ended, 0);
    for (int i = 0; i < pool->threads; i++) {
        uint64_t first = (uint64_t)share_start(pool, parts, i);
        atomic_store(&pool->workers[i].ticket, (uint64_t)job << 32 | first);
    }
    atomic_store(&pool->job, job);
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

static void await_end(bn_pool *pool, slot *s, int parts)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load(&s->ended) == parts) return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, 1);
    while (atomic_load(&s->ended) != parts) pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_sleeps, 0);
    pthread_mutex_unlock(&pool->mutex);
}

void bn_pool_run(bn_pool *pool, int parts, bn_pool_part part, void *context)
{
    if (pool->threads == 1 || parts == 1) {
        for (int i = 0; i < parts; i++) part(context, i, 0);
        return;
    }
    if (parts <= 0) return;
    publish(pool, parts, part, context);
    uint32_t job = (uint32_t)atomic_load(&pool->job);
    work_on(pool, job, 0);
    await_end(pool, slot_of(pool, job), parts);
}

int bn_pool_threads(const bn_pool *pool)
{
    return pool->threads;
}

bn_status bn_pool_open(bn_pool **out, int threads, bool pinned, bn_error *err)
{
    assert(threads >= 1 && threads <= BN_POOL_THREADS_MAX);
    *out = NULL;
    size_t bytes = sizeof(bn_pool) + (size_t)threads * sizeof(worker);
    bn_pool *pool = aligned_alloc(CACHE_LINE, (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!pool) return bn_fail(err, BN_ENOMEM, "no memory for a pool of %d threads", threads);
    *pool = (bn_pool){.threads = 1, .pinned = pinned};
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (; pool->threads < threads; pool->threads++) {
        worker *w = &pool->workers[pool->threads];
        *w = (worker){.pool = pool, .index = pool->threads};
        if (pthread_create(&w->thread, NULL, run_worker, w) != 0) {
            bn_status status =
                bn_fail(err, BN_EIO, "cannot start thread %d of %d", pool->threads + 1, threads);
            bn_pool_close(pool);
            return status;
        }
    }
    pin(pool, 0);
    *out = pool;
    return BN_OK;
}

static void no_part(void *context, int part, int thread)
{
    (void)context, (void)part, (void)thread;
}

void bn_pool_close(bn_pool *pool)
{
    if (!pool) return;
    atomic_store(&pool->quit, true);
    publish(pool, 0, no_part, NULL);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
