/* pool.h - the threads of the cpu backend.
 *
 * A job is `parts` pieces of work. Thread n takes the n-th share of them, one by one and in order,
 * then what is left of the others' shares; the caller takes part. So jobs that are cut alike find
 * the same pieces of memory in the same processor's caches, and a part must not depend on who runs
 * it. A job ends when its parts have ended, not when every thread
 * has looked: a thread that the system holds back costs only the part it holds.
 *
 * Waiting threads spin for some microseconds, since the next job of a training step is that near,
 * and then sleep. Nothing is allocated after bn_pool_open.
 */
#ifndef BN_ENGINE_CPU_POOL_H
#define BN_ENGINE_CPU_POOL_H

#include <stdbool.h>

#include "engine/base/status.h"

typedef struct bn_pool bn_pool;

enum { BN_POOL_THREADS_MAX = 256 };

/* thread is 0 ... threads - 1: whose scratch the part may use. */
typedef void (*bn_pool_part)(void *context, int part, int thread);

/*   threads  1 ... BN_POOL_THREADS_MAX, the caller's included
 *   pinned   thread n runs on the n-th processor that this process may use
 * BN_EIO: the system gives no more threads; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_pool_open(bn_pool **out, int threads, bool pinned, bn_error *err);
void bn_pool_close(bn_pool *pool);

int bn_pool_threads(const bn_pool *pool);

/* Runs part(context, 0 ... parts - 1) and returns when all have ended. Never nested. */
void bn_pool_run(bn_pool *pool, int parts, bn_pool_part part, void *context);

#endif
