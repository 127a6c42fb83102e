#include "reporters/drain.h"
#include "support/store_home.h"

/* A far side that does what the test says, and a clock that stands still unless somebody waits. */
typedef struct fixture {
    char home[BN_PATH_MAX];
    bn_store *store;
    bn_feed *feed;
    int64_t runs[3];
    bn_reporter reporter;
    bn_drain_world world;
    bn_drain_options options;
    bn_drain_result result;
    double now_s, end_s; /* wait says no from end_s on */
    int pushes, beats, greetings, complaints;
    int fail_pushes; /* that many answer BN_EAGAIN */
    int64_t refused; /* this run is refused */
    bool bad_key;
    int beside;       /* that many pushes miss what belongs beside the records */
    bn_status lack;   /* with this answer */
    double claimed_s; /* another process is at it until then */
    int claims;       /* held now */
    int64_t heard[4]; /* records by run */
    void (*on_wait)(struct fixture *at);
} fixture;

static bn_status greet(void *self, bn_error *err)
{
    fixture *at = self;
    at->greetings++;
    return at->bad_key ? bn_fail(err, BN_EINVAL, "the key is refused") : BN_OK;
}

static bn_status push(void *self, const bn_feed_batch *batch, bn_text *memo, bn_error *err)
{
    fixture *at = self;
    at->pushes++;
    if (at->fail_pushes > 0) {
        at->fail_pushes--;
        return bn_fail(err, BN_EAGAIN, "busy");
    }
    if (batch->run.id == at->refused) return bn_fail(err, BN_EINVAL, "gone (HTTP 410)");
    assert_int_equal(batch->first_seq, at->heard[batch->run.id]);
    at->heard[batch->run.id] += (int64_t)batch->count;
    at->beats += batch->count == 0;
    bn_text_addf(memo, "%lld", (long long)at->heard[batch->run.id]);
    if (at->beside == 0) return BN_OK;
    at->beside--;
    return bn_fail(err, at->lack, "no storage");
}

static bn_status claim(void *self, int64_t sweep, bn_error *err)
{
    fixture *at = self;
    assert_true(sweep > 0);
    if (at->now_s < at->claimed_s) return bn_fail(err, BN_EAGAIN, "somebody is at it");
    at->claims++;
    return BN_OK;
}

static void unclaim(void *self, int64_t sweep)
{
    (void)sweep;
    ((fixture *)self)->claims--;
}

static double pause_s(void *self)
{
    (void)self;
    return 2;
}

static double now_s(void *self)
{
    return ((fixture *)self)->now_s;
}

static bool wait_s(void *self, double seconds)
{
    fixture *at = self;
    at->now_s += seconds;
    if (at->on_wait) at->on_wait(at);
    return at->now_s < at->end_s;
}

static void tell(void *self, const char *line)
{
    (void)line;
    ((fixture *)self)->complaints++;
}

static void change(fixture *at, int64_t run, bn_run_state from, bn_run_state to)
{
    bn_run_change move = {.from = from,
                          .to = to,
                          .exit_code = -1,
                          .now_s = 1,
                          .begins_attempt = to == BN_RUN_RUNNING,
                          .ends_attempt = from == BN_RUN_RUNNING};
    bn_error err = {0};
    ASSERT_OK(bn_run_move(at->store, run, &move, &err));
}

static int setup(void **state)
{
    static const struct bn_reporter_ops ops = {
        .name = "far", .greet = greet, .push = push, .pause_s = pause_s};
    static fixture at;
    bn_error err = {0};
    at = (fixture){.end_s = INFINITY};
    home_make(at.home);
    at.store = home_open(at.home, BN_STORE_WRITE);
    int64_t sweep = home_sweep(at.store, "lr");
    for (int i = 0; i < 3; i++) {
        at.runs[i] = home_run(at.store, sweep, i).id;
        change(&at, at.runs[i], BN_RUN_PENDING, BN_RUN_RUNNING);
        ASSERT_OK(home_append(at.store, at.runs[i], 0, 5, &err));
    }
    ASSERT_OK(bn_feed_open(&at.feed, at.store, "far", &err));
    at.reporter = (bn_reporter){&ops, &at};
    at.world = (bn_drain_world){&at, now_s, wait_s, tell, claim, unclaim};
    at.options = bn_drain_defaults();
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    bn_feed_close(at->feed);
    bn_store_close(at->store);
    home_remove(at->home);
    return 0;
}

static bn_status drain(fixture *at, bn_error *err)
{
    return bn_drain(at->feed, &at->reporter, &at->options, &at->world, &at->result, err);
}

static void end_all(fixture *at)
{
    for (int i = 0; i < 3; i++) change(at, at->runs[i], BN_RUN_RUNNING, BN_RUN_FINISHED);
}

static void test_all_runs_are_delivered_once(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.runs, 3);
    assert_int_equal(at->result.records, 15);
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.runs, 0);
    assert_int_equal(at->greetings, 1);
}

static void test_without_news_nobody_is_greeted(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    ASSERT_OK(drain(at, &err));
    at->greetings = 0;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->greetings, 0);
}

static void test_long_history_goes_piece_by_piece(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, at->runs[1], 5, 2300, &err));
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->heard[at->runs[1]], 2305);
    assert_int_equal(at->pushes, 2 + 3);
}

static void test_trouble_is_waited_out_and_told_once(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->fail_pushes = 4;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.records, 15);
    assert_int_equal(at->complaints, 1);
    assert_float_equal(at->now_s, 8, 0);
}

static void test_patience_ends(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->fail_pushes = 1000;
    at->options.patience_s = 60;
    assert_int_equal(drain(at, &err), BN_EAGAIN);
    assert_string_equal(err.text, "busy");
    assert_true(at->now_s <= 60);
    at->fail_pushes = 0;
    err = (bn_error){0};
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.records, 15);
}

static void test_refused_run_does_not_hold_up_the_others(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->refused = at->runs[0];
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.blocked, 1);
    assert_int_equal(at->result.records, 10);
    assert_non_null(strstr(at->result.why, "gone (HTTP 410)"));
    at->refused = 0;
    ASSERT_OK(bn_feed_retry(at->feed, 0, &err));
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.records, 5);
}

static void test_refused_key_blocks_no_run(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->bad_key = true;
    assert_int_equal(drain(at, &err), BN_EINVAL);
    assert_int_equal(at->pushes, 0);
    at->bad_key = false;
    err = (bn_error){0};
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.records, 15);
}

static void test_missing_files_hold_up_neither_lines_nor_other_runs(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    end_all(at);
    at->beside = 3;
    at->lack = BN_EAGAIN;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->pushes, 3 + 3); /* all runs once, then what was missing */
    assert_int_equal(at->result.runs, 3);
    assert_int_equal(at->result.records, 15);
}

static void test_patience_ends_when_only_files_are_missing(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->beside = 1000000;
    at->lack = BN_EAGAIN;
    assert_int_equal(drain(at, &err), BN_EAGAIN);
    assert_string_equal(err.text, "no storage");
    assert_int_equal(at->result.records, 15);
}

static void test_refused_files_block_a_run_after_its_records(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->beside = 1;
    at->lack = BN_EINVAL;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.blocked, 1);
    assert_int_equal(at->result.records, 15);
    ASSERT_OK(bn_feed_retry(at->feed, 0, &err));
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.runs, 1);
    assert_int_equal(at->result.records, 0);
}

static void test_what_another_process_delivers_is_waited_for(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->claimed_s = 10;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->result.records, 15);
    assert_int_equal(at->claims, 0);
    ASSERT_OK(home_append(at->store, at->runs[0], 5, 1, &err));
    at->claimed_s = INFINITY;
    assert_int_equal(drain(at, &err), BN_EAGAIN);
    assert_string_equal(err.text, "somebody is at it");
}

static void test_only_the_wanted_sweeps(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    const int64_t other = 99;
    at->options.sweeps = &other;
    at->options.sweep_count = 1;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->pushes, 0);
}

static void append_one(fixture *at)
{
    bn_error err = {0};
    bn_run run;
    ASSERT_OK(bn_run_get(at->store, at->runs[0], &run, &err));
    ASSERT_OK(home_append(at->store, at->runs[0], run.next_seq, 1, &err));
}

static void test_live_run_gathers_its_lines_for_a_while(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->options.watch = true;
    at->options.beat_s = 1000;
    at->end_s = 46;
    at->on_wait = append_one; /* a record every second */
    ASSERT_OK(drain(at, &err));
    /* The first of all three, then run 0 at 15, 30 and 45 s, and at the end. */
    assert_int_equal(at->pushes, 3 + 3 + 1);
    assert_int_equal(at->heard[at->runs[0]], 5 + 46);
}

static void test_silent_live_runs_give_signs_of_life(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->options.watch = true;
    at->end_s = 100;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->beats, 3 * 3); /* three runs, at 30, 60 and 90 s */
}

static void end_at_20(fixture *at)
{
    if (at->now_s == 20) end_all(at);
}

static void test_end_of_a_live_run_is_told_at_once(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->options.watch = true;
    at->end_s = 22;
    at->on_wait = end_at_20;
    ASSERT_OK(drain(at, &err));
    assert_int_equal(at->pushes, 3 + 3);
    bn_feed_news *news = NULL;
    size_t count = 9;
    ASSERT_OK(bn_feed_list(at->feed, &news, &count, &err));
    assert_int_equal(count, 0);
    free(news);
}

static void test_what_came_last_is_delivered_after_the_watch(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    at->options.watch = true;
    at->end_s = 5;
    at->on_wait = append_one;
    at->fail_pushes = 2;
    ASSERT_OK(drain(at, &err));
    bn_run run;
    ASSERT_OK(bn_run_get(at->store, at->runs[0], &run, &err));
    assert_int_equal(at->heard[at->runs[0]], run.next_seq);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(test_all_runs_are_delivered_once),
        WITH_HOME(test_without_news_nobody_is_greeted),
        WITH_HOME(test_long_history_goes_piece_by_piece),
        WITH_HOME(test_trouble_is_waited_out_and_told_once),
        WITH_HOME(test_patience_ends),
        WITH_HOME(test_refused_run_does_not_hold_up_the_others),
        WITH_HOME(test_refused_key_blocks_no_run),
        WITH_HOME(test_missing_files_hold_up_neither_lines_nor_other_runs),
        WITH_HOME(test_patience_ends_when_only_files_are_missing),
        WITH_HOME(test_refused_files_block_a_run_after_its_records),
        WITH_HOME(test_what_another_process_delivers_is_waited_for),
        WITH_HOME(test_only_the_wanted_sweeps),
        WITH_HOME(test_live_run_gathers_its_lines_for_a_while),
        WITH_HOME(test_silent_live_runs_give_signs_of_life),
        WITH_HOME(test_end_of_a_live_run_is_told_at_once),
        WITH_HOME(test_what_came_last_is_delivered_after_the_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
