#include <stdatomic.h>

#include "engine/cpu/pool.h"
#include "support/cmocka_all.h"

enum { PARTS = 500, JOBS = 3000 };

typedef struct tally {
    atomic_int runs[PARTS];
    atomic_int worst_thread;
} tally;

static bn_pool *open_pool(int threads, bool pinned)
{
    bn_error err = {0};
    bn_pool *pool = NULL;
    assert_int_equal(bn_pool_open(&pool, threads, pinned, &err), BN_OK);
    assert_int_equal(bn_pool_threads(pool), threads);
    return pool;
}

static void count_part(void *context, int part, int thread)
{
    tally *t = context;
    atomic_fetch_add(&t->runs[part], 1);
    int worst = atomic_load(&t->worst_thread);
    while (thread > worst && !atomic_compare_exchange_weak(&t->worst_thread, &worst, thread)) {
    }
}

static void test_every_part_runs_exactly_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        bn_pool *pool = open_pool(threads, false);
        for (int parts = 0; parts <= PARTS; parts += parts < 10 ? 1 : 98) {
            tally t = {0};
            bn_pool_run(pool, parts, count_part, &t);
            for (int i = 0; i < PARTS; i++) {
                assert_int_equal(atomic_load(&t.runs[i]), i < parts ? 1 : 0);
            }
            assert_true(atomic_load(&t.worst_thread) < threads);
        }
        bn_pool_close(pool);
    }
}

/* Written without a lock by whoever runs the part, read by the caller: the end of a job orders
 * both, and a late thread never takes a part of the job after. */
typedef struct relay {
    int values[8];
    int job;
} relay;

static void relay_part(void *context, int part, int thread)
{
    relay *r = context;
    (void)thread;
    r->values[part] += r->job;
}

static void test_a_job_ends_before_the_next_begins(void **state)
{
    (void)state;
    bn_pool *pool = open_pool(4, false);
    relay r = {0};
    int expected = 0;
    for (r.job = 1; r.job <= JOBS; r.job++) {
        bn_pool_run(pool, 8, relay_part, &r);
        expected += r.job;
        for (int i = 0; i < 8; i++) assert_int_equal(r.values[i], expected);
    }
    bn_pool_close(pool);
}

static void test_pinned_threads_do_the_same_work(void **state)
{
    (void)state;
    bn_pool *pool = open_pool(3, true);
    tally t = {0};
    bn_pool_run(pool, PARTS, count_part, &t);
    for (int i = 0; i < PARTS; i++) assert_int_equal(atomic_load(&t.runs[i]), 1);
    bn_pool_close(pool);
}

static void test_a_pool_that_never_worked_closes(void **state)
{
    (void)state;
    bn_pool_close(open_pool(4, false));
    bn_pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part_runs_exactly_once),
        cmocka_unit_test(test_a_job_ends_before_the_next_begins),
        cmocka_unit_test(test_pinned_threads_do_the_same_work),
        cmocka_unit_test(test_a_pool_that_never_worked_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
