#include "runner/fleet/ingest.h"
#include "support/fleet_lab.h"

typedef struct fixture {
    char *folder;
    bn_store *store;
    bn_ingest *ingest;
    bn_source source;
    bn_run run;
} fixture;

static int setup(void **state)
{
    static fixture at;
    void *folder = NULL;
    bn_error err = {0};
    if (scratch_open(&folder) != 0) return 1;
    at = (fixture){.folder = folder};
    at.store = home_open(at.folder, BN_STORE_WRITE);
    at.run = home_run(at.store, home_sweep(at.store, "lr"), 0);
    at.source.run = at.run.id;
    ASSERT_OK(bn_path_join(at.source.path, at.folder, "events.jsonl", &err));
    ASSERT_OK(bn_ingest_open(&at.ingest, &err));
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    void *folder = at->folder;
    bn_ingest_close(at->ingest);
    bn_store_close(at->store);
    return scratch_close(&folder);
}

/* One look and one commit; how many records were new. */
static int64_t take(fixture *at)
{
    bn_error err = {0};
    int64_t records = -1;
    ASSERT_OK(bn_ingest_look(at->ingest, &at->source, 5, &err));
    ASSERT_OK(bn_ingest_commit(at->ingest, at->store, &records, &err));
    return records;
}

/* As a manager that was killed and started again would see the run. */
static void restart(fixture *at)
{
    bn_run run = lab_run(at->store, at->run.id);
    bn_source fresh = {.run = run.id, .mark_bytes = run.mark_bytes, .next_seq = run.next_seq};
    memcpy(fresh.path, at->source.path, sizeof fresh.path);
    at->source = fresh;
}

static void assert_losses(fixture *at, const char *key, size_t count, const double *wanted)
{
    bn_series series;
    bn_error err = {0};
    ASSERT_OK(bn_history_series(at->store, at->run.id, key, &series, &err));
    assert_int_equal(series.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(series.seq[i], i);
        assert_true(series.number[i] == wanted[i]);
    }
    bn_series_release(&series);
}

static void test_a_line_counts_once_its_newline_is_there(void **state)
{
    fixture *at = *state;
    assert_int_equal(take(at), 0); /* no file yet */
    lab_append(at->source.path, "{\"loss\":3}\n{\"loss\":2");
    assert_int_equal(take(at), 1);
    assert_int_equal(take(at), 0);
    lab_append(at->source.path, ".5}\n");
    assert_int_equal(take(at), 1);
    assert_losses(at, "loss", 2, (double[]){3, 2.5});
    assert_int_equal(at->source.bad_lines, 0);
}

static void test_a_restarted_reader_goes_on_at_the_mark(void **state)
{
    fixture *at = *state;
    lab_append(at->source.path, "{\"loss\":3}\n{\"loss\":2}\n");
    assert_int_equal(take(at), 2);
    restart(at);
    assert_int_equal(take(at), 0);
    lab_append(at->source.path, "{\"loss\":1}\n");
    assert_int_equal(take(at), 1);
    assert_losses(at, "loss", 3, (double[]){3, 2, 1});
}

static void test_records_said_again_after_a_resume_change_nothing(void **state)
{
    fixture *at = *state;
    lab_append(at->source.path,
               "{\"seq\":0,\"values\":{\"a\":1}}\n{\"seq\":1,\"values\":{\"a\":2}}\n"
               "{\"seq\":1,\"values\":{\"a\":2}}\n{\"seq\":2,\"values\":{\"a\":3}}\n");
    assert_int_equal(take(at), 3);
    lab_append(at->source.path,
               "{\"seq\":1,\"values\":{\"a\":9}}\n{\"seq\":3,\"values\":{\"a\":4}}\n");
    restart(at);
    assert_int_equal(take(at), 1);
    assert_losses(at, "a", 4, (double[]){1, 2, 3, 4});
}

static void test_garbage_is_passed_over_and_counted(void **state)
{
    fixture *at = *state;
    lab_append(at->source.path, "Traceback:\n{\"loss\":3}\n\x01\x02\xFF\n\n{\"loss\":2}\n"
                                "{\"seq\":9,\"loss\":2}\n");
    assert_int_equal(take(at), 2);
    assert_int_equal(at->source.bad_lines, 3);
    assert_string_equal(at->source.bad_first, "not a JSON object");
    assert_int_equal(at->source.bad_first_line, 1);
    assert_losses(at, "loss", 2, (double[]){3, 2});
}

static void test_the_first_bad_line_has_its_number_in_the_whole_file(void **state)
{
    fixture *at = *state;
    lab_append(at->source.path, "{\"loss\":3}\n\n{\"loss\":2}\n");
    assert_int_equal(take(at), 2);
    restart(at);
    lab_append(at->source.path, "{\"loss\":1}\n{\"loss\":1,\"step\":-4}\n{\"x\":\"\\q\"}\n");
    assert_int_equal(take(at), 1);
    assert_int_equal(at->source.bad_lines, 2);
    assert_int_equal(at->source.bad_first_line, 5);
    assert_non_null(strstr(at->source.bad_first, "step"));
}

static void test_a_line_without_end_is_given_up_in_bounded_memory(void **state)
{
    fixture *at = *state;
    char *flood = malloc(BN_INGEST_LINE_MAX + 1);
    assert_non_null(flood);
    memset(flood, 'x', BN_INGEST_LINE_MAX);
    flood[BN_INGEST_LINE_MAX] = '\0';
    for (int i = 0; i < 5; i++) lab_append(at->source.path, flood);
    lab_append(at->source.path, "\n{\"loss\":1}\n");
    int64_t records = 0;
    for (int i = 0; i < 8; i++) records += take(at);
    assert_int_equal(records, 1);
    assert_int_equal(at->source.bad_lines, 1);
    free(flood);
}

static void test_a_file_that_is_written_anew_does_not_double_records(void **state)
{
    fixture *at = *state;
    lab_append(at->source.path, "{\"loss\":3}\n{\"loss\":2}\n{\"loss\":1}\n");
    assert_int_equal(take(at), 3);
    assert_int_equal(unlink(at->source.path), 0);
    lab_append(at->source.path, "{\"loss\":3}\n{\"loss\":2}\n");
    assert_int_equal(take(at), 0);
    lab_append(at->source.path, "{\"loss\":1}\n{\"loss\":0.5}\n");
    assert_int_equal(take(at), 1);
    assert_losses(at, "loss", 4, (double[]){3, 2, 1, 0.5});
}

static void test_a_metric_named_twice_in_a_record_keeps_its_last_number(void **state)
{
    fixture *at = *state;
    lab_append(at->source.path, "{\"values\":{\"a\":1,\"b\":5,\"a\":2}}\n");
    assert_int_equal(take(at), 1);
    assert_losses(at, "a", 1, (double[]){2});
}

static void test_times_and_steps_left_out_are_filled_in(void **state)
{
    fixture *at = *state;
    bn_series series;
    bn_error err = {0};
    lab_append(at->source.path, "{\"a\":1}\n{\"a\":1,\"step\":70,\"wall_s\":33.5}\n");
    assert_int_equal(take(at), 2);
    ASSERT_OK(bn_history_series(at->store, at->run.id, "a", &series, &err));
    assert_true(series.wall_s[0] == 5 && series.wall_s[1] == 33.5);
    assert_true(series.step[0] == 0 && series.step[1] == 70);
    bn_series_release(&series);
}

static void test_an_end_line_before_the_mark_is_recalled(void **state)
{
    fixture *at = *state;
    lab_append(at->source.path,
               "{\"a\":1}\n{\"type\":\"end\",\"how\":\"finished\",\"reason\":\"\"}\n");
    assert_int_equal(take(at), 1);
    assert_true(at->source.ended);
    restart(at);
    assert_false(at->source.ended);
    bn_ingest_recall(at->ingest, &at->source);
    assert_true(at->source.ended);
    assert_string_equal(at->source.how, "finished");
}

static void test_a_run_the_store_refuses_does_not_hold_up_the_others(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_source stranger = {.run = 999};
    int64_t records = 0;
    ASSERT_OK(bn_path_join(stranger.path, at->folder, "other.jsonl", &err));
    lab_append(stranger.path, "{\"a\":1}\n");
    lab_append(at->source.path, "{\"a\":7}\n");
    ASSERT_OK(bn_ingest_look(at->ingest, &stranger, 5, &err));
    ASSERT_OK(bn_ingest_look(at->ingest, &at->source, 5, &err));
    ASSERT_OK(bn_ingest_commit(at->ingest, at->store, &records, &err));
    assert_losses(at, "a", 1, (double[]){7});
    assert_true(stranger.refused);
    assert_false(at->source.refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line_counts_once_its_newline_is_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_restarted_reader_goes_on_at_the_mark, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_records_said_again_after_a_resume_change_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage_is_passed_over_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_bad_line_has_its_number_in_the_whole_file,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_line_without_end_is_given_up_in_bounded_memory,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_written_anew_does_not_double_records,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_metric_named_twice_in_a_record_keeps_its_last_number,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_times_and_steps_left_out_are_filled_in, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_end_line_before_the_mark_is_recalled, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_run_the_store_refuses_does_not_hold_up_the_others,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
