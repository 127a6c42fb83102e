#include <stdatomic.h>

#include "engine/cpu/crew.h"
#include "engine/cpu/pool.h"
#include "support/cmocka_all.h"

enum { PARTS = 61, PHASES = 400, TURNS = 5 };

/* Written without a lock by whoever runs a part, read in the next phase by another: the end of a
 * phase orders both. */
typedef struct relay {
    bn_crew *crew;
    int parts;
    int values[2][PARTS];
    atomic_int wrong, runs;
} relay;

typedef struct turn {
    relay *relay;
    int number;
} turn;

static void relay_part(void *context, int part, int member)
{
    const turn *t = context;
    relay *r = t->relay;
    const int *from = r->values[t->number % 2];
    (void)member;
    for (int i = 0; i < r->parts; i++) {
        if (from[i] != t->number) atomic_fetch_add(&r->wrong, 1);
    }
    r->values[1 - t->number % 2][part] = t->number + 1;
    atomic_fetch_add(&r->runs, 1);
}

typedef struct journey {
    relay *relay;
    int start;
    bn_crew_member last;
} journey;

static void member_part(void *context, int part, int thread)
{
    journey *j = context;
    bn_crew_member member = bn_crew_join(j->relay->crew, part);
    (void)thread;
    for (int i = 0; i < PHASES; i++) {
        turn t = {j->relay, j->start + i};
        const bn_crew_phase phase = {.parts = j->relay->parts, .part = relay_part, .context = &t};
        bn_crew_run(&member, &phase);
    }
    if (part == 0) j->last = member;
}

static void travel(int threads, int parts)
{
    bn_error err = {0};
    bn_pool *pool;
    relay r = {.parts = parts};
    assert_int_equal(bn_pool_open(&pool, threads, false, &err), BN_OK);
    assert_int_equal(bn_crew_open(&r.crew, threads, &err), BN_OK);
    for (int i = 0; i < TURNS; i++) {
        journey j = {.relay = &r, .start = i * PHASES};
        bn_pool_run(pool, threads, member_part, &j);
        bn_crew_leave(&j.last);
    }
    assert_int_equal(atomic_load(&r.wrong), 0);
    assert_int_equal(atomic_load(&r.runs), TURNS * PHASES * parts);
    bn_crew_close(r.crew);
    bn_pool_close(pool);
}

static void test_every_phase_sees_all_of_the_one_before(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 6; threads++) {
        travel(threads, PARTS);
        travel(threads, 1);
        travel(threads, threads);
    }
}

static void test_one_member_alone_does_the_work_of_all(void **state)
{
    (void)state;
    bn_error err = {0};
    relay r = {.parts = PARTS};
    journey j = {.relay = &r};
    assert_int_equal(bn_crew_open(&r.crew, 4, &err), BN_OK);
    member_part(&j, 2, 0);
    member_part(&j, 0, 0); /* comes when all is done */
    assert_int_equal(atomic_load(&r.wrong), 0);
    assert_int_equal(atomic_load(&r.runs), PHASES * PARTS);
    bn_crew_close(r.crew);
}

static void test_ranges_cover_all_parts_once(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_crew *crew;
    assert_int_equal(bn_crew_open(&crew, 3, &err), BN_OK);
    for (int parts = 0; parts < 20; parts++) {
        assert_int_equal(bn_crew_first(crew, parts, 0), 0);
        assert_int_equal(bn_crew_first(crew, parts, 3), parts);
        for (int i = 0; i < 3; i++) {
            int share = bn_crew_first(crew, parts, i + 1) - bn_crew_first(crew, parts, i);
            assert_true(share >= parts / 3 && share <= parts / 3 + 1);
        }
    }
    bn_crew_close(crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_phase_sees_all_of_the_one_before),
        cmocka_unit_test(test_one_member_alone_does_the_work_of_all),
        cmocka_unit_test(test_ranges_cover_all_parts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
