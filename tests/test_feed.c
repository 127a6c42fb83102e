#include "store/feed.h"
#include "store/label.h"
#include "support/store_home.h"

typedef struct fixture {
    char home[BN_PATH_MAX];
    bn_store *store;
    bn_run run;
    bn_feed *feed;
} fixture;

static void begin(bn_store *store, int64_t run)
{
    bn_run_change change = {.from = BN_RUN_PENDING,
                            .to = BN_RUN_RUNNING,
                            .exit_code = -1,
                            .now_s = 1,
                            .begins_attempt = true};
    bn_error err = {0};
    ASSERT_OK(bn_run_move(store, run, &change, &err));
}

static void end(bn_store *store, int64_t run)
{
    bn_run_change change = {.from = BN_RUN_RUNNING,
                            .to = BN_RUN_FINISHED,
                            .exit_code = 0,
                            .now_s = 2,
                            .ends_attempt = true};
    bn_error err = {0};
    ASSERT_OK(bn_run_move(store, run, &change, &err));
}

static int setup(void **state)
{
    static fixture at;
    bn_error err = {0};
    home_make(at.home);
    at.store = home_open(at.home, BN_STORE_WRITE);
    at.run = home_run(at.store, home_sweep(at.store, "lr"), 0);
    ASSERT_OK(bn_feed_open(&at.feed, at.store, "wandb", &err));
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

static bool peek(fixture *at, bn_feed_batch *out)
{
    bool found = false;
    bn_error err = {0};
    ASSERT_OK(bn_feed_peek(at->feed, out, &found, &err));
    return found;
}

static void ack(fixture *at, const bn_feed_batch *batch, const char *memo)
{
    bn_error err = {0};
    ASSERT_OK(bn_feed_ack(at->feed, batch, memo, &err));
}

static void append(fixture *at, int64_t run, int64_t first, size_t count)
{
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, run, first, count, &err));
}

static void test_a_run_that_never_began_is_no_news(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    assert_false(peek(at, &batch));
}

static void test_without_an_ack_the_same_batch_comes_again(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 3);
    for (int i = 0; i < 2; i++) {
        assert_true(peek(at, &batch));
        assert_int_equal(batch.first_seq, 0);
        assert_int_equal(batch.count, 3);
        assert_true(batch.last);
        assert_string_equal(batch.records[2].values[0].key, "a");
        assert_string_equal(batch.memo, "");
    }
    ack(at, &batch, "offset 3");
    assert_false(peek(at, &batch));
    append(at, at->run.id, 3, 2);
    assert_true(peek(at, &batch));
    assert_int_equal(batch.first_seq, 3);
    assert_int_equal(batch.records[0].seq, 3);
    assert_string_equal(batch.memo, "offset 3");
}

static void test_a_long_history_comes_in_pieces_and_its_end_last(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    int64_t heard = 0;
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 2500);
    end(at->store, at->run.id);
    while (peek(at, &batch)) {
        assert_int_equal(batch.first_seq, heard);
        assert_true(batch.count <= BN_FEED_RECORDS);
        heard += (int64_t)batch.count;
        assert_int_equal(batch.last, heard == 2500);
        ack(at, &batch, NULL);
    }
    assert_int_equal(heard, 2500);
}

static void test_a_change_of_state_alone_is_news(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    begin(at->store, at->run.id);
    assert_true(peek(at, &batch));
    assert_int_equal(batch.count, 0);
    ack(at, &batch, NULL);
    assert_false(peek(at, &batch));
    end(at->store, at->run.id);
    assert_true(peek(at, &batch));
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.run.state, BN_RUN_FINISHED);
    assert_true(batch.last);
}

static void test_a_state_that_changed_after_the_peek_is_told_later(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    begin(at->store, at->run.id);
    assert_true(peek(at, &batch));
    end(at->store, at->run.id);
    ack(at, &batch, NULL);
    assert_true(peek(at, &batch));
    assert_int_equal(batch.run.state, BN_RUN_FINISHED);
}

static void test_readers_have_marks_of_their_own(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_feed *other = NULL;
    bn_error err = {0};
    bool found = false;
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 3);
    assert_true(peek(at, &batch));
    ack(at, &batch, NULL);
    ASSERT_OK(bn_feed_open(&other, at->store, "mlflow", &err));
    ASSERT_OK(bn_feed_peek(other, &batch, &found, &err));
    assert_true(found);
    assert_int_equal(batch.count, 3);
    bn_feed_close(other);
}

static void test_a_talkative_run_does_not_silence_the_others(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    int64_t other = home_run(at->store, at->run.sweep, 1).id;
    begin(at->store, at->run.id);
    begin(at->store, other);
    append(at, at->run.id, 0, 5);
    append(at, other, 0, 5);
    assert_true(peek(at, &batch));
    assert_int_equal(batch.run.id, at->run.id);
    ack(at, &batch, NULL);
    append(at, at->run.id, 5, 5);
    assert_true(peek(at, &batch));
    assert_int_equal(batch.run.id, other);
    ack(at, &batch, NULL);
    assert_true(peek(at, &batch));
    assert_int_equal(batch.run.id, at->run.id);
}

static void test_a_blocked_run_is_left_out_until_retry(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 2);
    ASSERT_OK(bn_feed_block(at->feed, at->run.id, "400: bad name", &err));
    assert_false(peek(at, &batch));
    ASSERT_OK(bn_feed_retry(at->feed, 0, &err));
    assert_true(peek(at, &batch));
    assert_int_equal(batch.first_seq, 0);
}

static void test_retry_of_a_sweep_leaves_the_others_refused(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_error err = {0};
    bn_run other = home_run(at->store, home_sweep(at->store, "other"), 0);
    const int64_t runs[] = {at->run.id, other.id};
    for (size_t i = 0; i < 2; i++) {
        begin(at->store, runs[i]);
        append(at, runs[i], 0, 2);
        ASSERT_OK(bn_feed_block(at->feed, runs[i], "400: bad name", &err));
    }
    ASSERT_OK(bn_feed_retry(at->feed, other.sweep, &err));
    assert_true(peek(at, &batch));
    assert_int_equal(batch.run.id, other.id);
    ack(at, &batch, NULL);
    assert_false(peek(at, &batch));
}

static void test_marks_survive_the_process(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 4);
    assert_true(peek(at, &batch));
    ack(at, &batch, "m");
    bn_feed_close(at->feed);
    bn_store_close(at->store);
    at->store = home_open(at->home, BN_STORE_WRITE);
    ASSERT_OK(bn_feed_open(&at->feed, at->store, "wandb", &err));
    assert_false(peek(at, &batch));
}

static void test_list_names_the_runs_with_news(void **state)
{
    fixture *at = *state;
    bn_feed_news *news = NULL;
    bn_feed_batch batch;
    size_t count = 9;
    bn_error err = {0};
    ASSERT_OK(bn_feed_list(at->feed, &news, &count, &err));
    assert_int_equal(count, 0);
    free(news);
    begin(at->store, at->run.id);
    ASSERT_OK(bn_feed_list(at->feed, &news, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(news[0].run, at->run.id);
    assert_int_equal(news[0].state, BN_RUN_RUNNING);
    free(news);
    assert_true(peek(at, &batch));
    ack(at, &batch, NULL);
    ASSERT_OK(bn_feed_list(at->feed, &news, &count, &err));
    assert_int_equal(count, 0);
    free(news);
}

static void test_one_run_can_be_asked_for_without_news(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bool found = false;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 2);
    assert_true(peek(at, &batch));
    ack(at, &batch, "m");
    ASSERT_OK(bn_feed_peek_run(at->feed, at->run.id, &batch, &found, &err));
    assert_true(found);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.first_seq, 2);
    assert_true(batch.last);
    assert_string_equal(batch.memo, "m");
    ASSERT_OK(bn_feed_block(at->feed, at->run.id, "no", &err));
    ASSERT_OK(bn_feed_peek_run(at->feed, at->run.id, &batch, &found, &err));
    assert_false(found);
}

static void test_a_note_is_remembered_and_counts_as_nothing_heard(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 2);
    ASSERT_OK(bn_feed_note(at->feed, at->run.id, "plan", &err));
    assert_true(peek(at, &batch));
    assert_int_equal(batch.first_seq, 0);
    assert_string_equal(batch.memo, "plan");
    char *memo = NULL;
    ASSERT_OK(bn_feed_memo(at->feed, at->run.id, &memo, &err));
    assert_string_equal(memo, "plan");
    free(memo);
}

static void test_a_reminder_is_news_without_records(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 2);
    assert_true(peek(at, &batch));
    ack(at, &batch, "memo");
    ASSERT_OK(bn_feed_remind(at->feed, at->run.id, &err));
    assert_true(peek(at, &batch));
    assert_int_equal(batch.first_seq, 2);
    assert_int_equal(batch.count, 0);
    assert_string_equal(batch.memo, "memo");
    ack(at, &batch, "more");
    assert_false(peek(at, &batch));
}

static void test_what_is_forgotten_is_news_again(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 2);
    assert_true(peek(at, &batch));
    const int64_t sweep = batch.run.sweep;
    ack(at, &batch, "memo");
    assert_false(peek(at, &batch));
    ASSERT_OK(bn_feed_forget(at->feed, sweep + 1, &err));
    assert_false(peek(at, &batch)); /* that was another one */
    ASSERT_OK(bn_feed_forget(at->feed, sweep, &err));
    assert_true(peek(at, &batch));
    assert_int_equal(batch.first_seq, 0);
    assert_string_equal(batch.memo, "");
    ack(at, &batch, "memo");
    ASSERT_OK(bn_feed_forget(at->feed, 0, &err));
    assert_true(peek(at, &batch));
}

static void test_labelled_run_is_news_without_its_records(void **state)
{
    fixture *at = *state;
    bn_feed_batch batch;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 2);
    assert_true(peek(at, &batch));
    ack(at, &batch, "memo");
    ASSERT_OK(bn_tag_add(at->store, at->run.id, "best", &err));
    assert_true(peek(at, &batch));
    assert_int_equal(batch.count, 0);
    assert_string_equal(batch.memo, "memo");
    ack(at, &batch, "memo");
    ASSERT_OK(bn_note_add(at->store, at->run.id, "why", &err));
    assert_true(peek(at, &batch));
}

static void test_marks_tell_how_far_each_run_is(void **state)
{
    fixture *at = *state;
    bn_feed_mark *marks = NULL;
    bn_feed_batch batch;
    size_t count = 0;
    bn_error err = {0};
    begin(at->store, at->run.id);
    append(at, at->run.id, 0, 1500);
    assert_true(peek(at, &batch));
    ack(at, &batch, NULL);
    ASSERT_OK(bn_feed_block(at->feed, at->run.id, "HTTP 410", &err));
    ASSERT_OK(bn_feed_marks(at->feed, &marks, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(marks[0].next_seq, 1500);
    assert_int_equal(marks[0].heard_seq, 1000);
    assert_true(marks[0].behind);
    assert_string_equal(marks[0].key, at->run.key);
    assert_string_equal(marks[0].blocked, "HTTP 410");
    free(marks);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(test_a_run_that_never_began_is_no_news),
        WITH_HOME(test_without_an_ack_the_same_batch_comes_again),
        WITH_HOME(test_a_long_history_comes_in_pieces_and_its_end_last),
        WITH_HOME(test_a_change_of_state_alone_is_news),
        WITH_HOME(test_a_state_that_changed_after_the_peek_is_told_later),
        WITH_HOME(test_readers_have_marks_of_their_own),
        WITH_HOME(test_a_talkative_run_does_not_silence_the_others),
        WITH_HOME(test_a_blocked_run_is_left_out_until_retry),
        WITH_HOME(test_retry_of_a_sweep_leaves_the_others_refused),
        WITH_HOME(test_marks_survive_the_process),
        WITH_HOME(test_list_names_the_runs_with_news),
        WITH_HOME(test_one_run_can_be_asked_for_without_news),
        WITH_HOME(test_a_note_is_remembered_and_counts_as_nothing_heard),
        WITH_HOME(test_a_reminder_is_news_without_records),
        WITH_HOME(test_what_is_forgotten_is_news_again),
        WITH_HOME(test_labelled_run_is_news_without_its_records),
        WITH_HOME(test_marks_tell_how_far_each_run_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
