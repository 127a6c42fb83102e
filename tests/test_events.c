#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/events.h"
#include "support/cmocka_all.h"
#include "support/scratch.h"

static bn_events *open_ok(const char *path)
{
    bn_error err = {0};
    bn_events *ev = NULL;
    assert_int_equal(bn_events_open(&ev, path, &err), BN_OK);
    return ev;
}

static void flush_ok(bn_events *ev)
{
    bn_error err = {0};
    assert_int_equal(bn_events_flush(ev, true, &err), BN_OK);
}

static char *read_all(const char *path)
{
    bn_error err = {0};
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(bn_file_read(path, 1 << 24, &text, &size, &err), BN_OK);
    return text;
}

static bn_record record_of(int64_t seq, const bn_value *values, size_t count)
{
    return (bn_record){.seq = seq, .step = seq * 10, .wall_s = 1.5, .values = values, count};
}

static void test_a_record_is_one_line_of_json(void **state)
{
    char path[BN_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/events.jsonl", (const char *)*state);
    const bn_value values[] = {{"train/loss", 0.1}, {"val/loss", (double)NAN}, {"x", -INFINITY}};
    bn_record record = record_of(3, values, 3);
    bn_events *ev = open_ok(path);
    bn_events_record(ev, &record);
    bn_events_end(ev, "finished", "");
    flush_ok(ev);
    bn_events_close(ev);
    char *text = read_all(path);
    assert_string_equal(text,
                        "{\"type\":\"record\",\"seq\":3,\"step\":30,\"wall_s\":1.5,\"values\":{"
                        "\"train/loss\":0.1,\"val/loss\":\"NaN\",\"x\":\"-Infinity\"}}\n"
                        "{\"type\":\"end\",\"how\":\"finished\",\"reason\":\"\"}\n");
    free(text);
}

static void test_a_begin_line_says_who_runs_where(void **state)
{
    char path[BN_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/events.jsonl", (const char *)*state);
    const bn_value extra[] = {{"model/params", 1066240}};
    bn_events *ev = open_ok(path);
    bn_events_begin(ev, 2, "cpu \"fast\"", extra, 1);
    flush_ok(ev);
    bn_events_close(ev);
    json_t *line = json_load_file(path, 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "type")), "begin");
    assert_int_equal(json_integer_value(json_object_get(line, "attempt")), 2);
    assert_int_equal(json_integer_value(json_object_get(line, "pid")), getpid());
    assert_string_equal(json_string_value(json_object_get(line, "device")), "cpu \"fast\"");
    assert_true(json_number_value(json_object_get(line, "model/params")) == 1066240);
    json_decref(line);
}

static void test_nothing_is_in_the_file_before_a_flush(void **state)
{
    char path[BN_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/events.jsonl", (const char *)*state);
    bn_events *ev = open_ok(path);
    bn_events_end(ev, "finished", "");
    char *text = read_all(path);
    assert_string_equal(text, "");
    free(text);
    bn_events_close(ev);
}

static void test_a_cut_line_is_cut_off_and_whole_ones_stay(void **state)
{
    const char *path = scratch_write(*state, "events.jsonl", "{\"a\":1}\n{\"b\":", 13);
    bn_events *ev = open_ok(path);
    bn_events_end(ev, "stopped", "x");
    flush_ok(ev);
    bn_events_close(ev);
    char *text = read_all(path);
    assert_string_equal(text,
                        "{\"a\":1}\n{\"type\":\"end\",\"how\":\"stopped\",\"reason\":\"x\"}\n");
    free(text);
}

static void test_a_file_of_one_long_cut_line_becomes_empty(void **state)
{
    char *line = calloc(1, 10000);
    memset(line, 'x', 9999);
    const char *path = scratch_write(*state, "events.jsonl", line, 9999);
    bn_events_close(open_ok(path));
    char *text = read_all(path);
    assert_string_equal(text, "");
    free(text);
    free(line);
}

static void test_a_long_cut_line_behind_a_whole_one_is_found(void **state)
{
    char *line = calloc(1, 10000);
    memset(line, 'x', 9999);
    line[3] = '\n';
    const char *path = scratch_write(*state, "events.jsonl", line, 9999);
    bn_events_close(open_ok(path));
    char *text = read_all(path);
    assert_string_equal(text, "xxx\n");
    free(text);
    free(line);
}

static void test_a_failed_write_sticks_and_is_told_at_the_flush(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_events *ev = NULL;
    assert_int_equal(bn_events_open(&ev, "/nowhere/events.jsonl", &err), BN_EIO);
    assert_null(ev);
    assert_non_null(strstr(err.text, "/nowhere/events.jsonl"));
}

static void test_a_line_over_the_limit_is_refused(void **state)
{
    char path[BN_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/events.jsonl", (const char *)*state);
    char *reason = calloc(1, BN_EVENTS_LINE_MAX + 1);
    memset(reason, 'r', BN_EVENTS_LINE_MAX);
    bn_error err = {0};
    bn_events *ev = open_ok(path);
    bn_events_end(ev, "failed", reason);
    assert_int_equal(bn_events_flush(ev, false, &err), BN_EINVAL);
    bn_events_close(ev);
    char *text = read_all(path);
    assert_string_equal(text, "");
    free(text);
    free(reason);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(test_a_record_is_one_line_of_json),
        TEST(test_a_begin_line_says_who_runs_where),
        TEST(test_nothing_is_in_the_file_before_a_flush),
        TEST(test_a_cut_line_is_cut_off_and_whole_ones_stay),
        TEST(test_a_file_of_one_long_cut_line_becomes_empty),
        TEST(test_a_long_cut_line_behind_a_whole_one_is_found),
        TEST(test_a_failed_write_sticks_and_is_told_at_the_flush),
        TEST(test_a_line_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
