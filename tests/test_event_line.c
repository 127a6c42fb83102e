#include <stdio.h>
#include <stdlib.h>

#include "engine/base/rng.h"
#include "runner/fleet/event_line.h"
#include "support/cmocka_all.h"

/* The event of a line that must be understood. Static: an event is too large for the stack. */
static const bn_event *parsed(const char *line)
{
    static bn_event event;
    const char *why = bn_event_line_parse(line, strlen(line), &event);
    if (why) fail_msg("%s: %s", line, why);
    return &event;
}

static void assert_refused(const char *line, const char *why)
{
    static bn_event event;
    const char *said = bn_event_line_parse(line, strlen(line), &event);
    if (!said) fail_msg("%s: was understood", line);
    assert_string_equal(said, why);
}

static void test_a_record_of_ours_reads_as_it_was_written(void **state)
{
    (void)state;
    const bn_event *e =
        parsed("{\"type\":\"record\",\"seq\":12,\"step\":120,\"wall_s\":1795371430.9,"
               "\"values\":{\"train/loss\":3.1,\"val/loss\":\"NaN\",\"x\":\"-Infinity\"}}");
    assert_int_equal(e->kind, BN_EVENT_RECORD);
    assert_int_equal(e->seq, 12);
    assert_int_equal(e->step, 120);
    assert_true(e->wall_s == 1795371430.9);
    assert_int_equal(e->count, 3);
    assert_string_equal(e->values[0].key, "train/loss");
    assert_true(e->values[0].number == 3.1);
    assert_true(isnan(e->values[1].number));
    assert_true(isinf(e->values[2].number) && e->values[2].number < 0);
}

static void test_begin_and_end_lines_tell_host_device_and_how(void **state)
{
    (void)state;
    const bn_event *e = parsed("{\"type\":\"begin\",\"attempt\":2,\"pid\":1,\"host\":\"n\\u00e9\","
                               "\"device\":\"cpu \\\"x\\\"\",\"model/params\":1066240}");
    assert_int_equal(e->kind, BN_EVENT_BEGIN);
    assert_int_equal(e->attempt, 2);
    assert_string_equal(e->host, "n\xC3\xA9");
    assert_string_equal(e->device, "cpu \"x\"");
    e = parsed("{\"type\":\"end\",\"how\":\"diverged\",\"reason\":\"at step\\n40\"}");
    assert_int_equal(e->kind, BN_EVENT_END);
    assert_string_equal(e->how, "diverged");
    assert_string_equal(e->reason, "at step 40");
}

static void test_other_programs_may_leave_out_all_but_numbers(void **state)
{
    (void)state;
    const bn_event *e =
        parsed(" {\"step\": 5, \"loss (val)\": 1e-3, \"tag\": \"x\", \"m\": [1,{}]} ");
    assert_int_equal(e->seq, -1);
    assert_int_equal(e->step, 5);
    assert_true(isnan(e->wall_s));
    assert_int_equal(e->count, 1);
    assert_string_equal(e->values[0].key, "loss__val_");
    e = parsed("{\"loss\": NaN, \"lr\": -Infinity}");
    assert_true(isnan(e->values[0].number) && isinf(e->values[1].number));
}

static void test_escapes_that_would_break_a_line_become_blanks(void **state)
{
    (void)state;
    const bn_event *e =
        parsed("{\"type\":\"end\",\"how\":\"failed\",\"reason\":\"a\\b\\f\\n\\r\\tb\\\\\\/\"}");
    assert_string_equal(e->reason, "a     b\\/");
}

static void test_what_says_nothing_says_why(void **state)
{
    (void)state;
    assert_refused("", "not a JSON object");
    assert_refused("loss 3.1", "not a JSON object");
    assert_refused("{\"loss\":3", "cut short");
    assert_refused("{\"loss\":3}x", "more behind the object");
    assert_refused("{\"a\":\"b\"}", "no number in it");
    assert_refused("{\"seq\":-1,\"a\":1}", "a seq, step or attempt that is no count");
    assert_refused("{\"seq\":1.5,\"a\":1}", "a seq, step or attempt that is no count");
    assert_refused("{\"a\":1e}", "a number that is none");
    assert_refused("{\"type\":\"recrod\",\"a\":1}", "a type that is not begin, record or end");
    assert_refused("{\"values\":3}", "'values' must be an object");
    assert_refused("{\"a\":\"\\q\",\"b\":1}", "a text with a bad escape");
}

static void test_depth_and_width_have_limits(void **state)
{
    (void)state;
    char *line = calloc(1, 200000);
    assert_non_null(line);
    memcpy(line, "{\"x\":", 5);
    memset(line + 5, '[', 100000);
    assert_refused(line, "nested too deeply");
    size_t length = 1;
    line[0] = '{';
    for (int i = 0; i <= BN_RECORD_VALUES_MAX; i++) {
        length += (size_t)snprintf(line + length, 32, "%s\"k%d\":%d", i ? "," : "", i, i);
    }
    (void)snprintf(line + length, 2, "}");
    assert_refused(line, "more values than a record may have");
    free(line);
}

/* Any bytes: an event or a reason, never a crash. The sanitizers watch. */
static void test_any_bytes_give_an_event_or_a_reason(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "{\"type\":\"record\",\"seq\":1,\"step\":2,\"values\":{\"a\":1.5,\"b\":\"NaN\"}}",
        "{\"type\":\"end\",\"how\":\"x\",\"reason\":\"\\u12ab\\\\\"}", "{\"a\":[1,{\"b\":null}]}"};
    static bn_event event;
    uint64_t key = bn_rng_key(7, "lines", 0);
    for (uint64_t round = 0; round < 30000; round++) {
        const char *seed = seeds[round % 3];
        size_t bytes = strlen(seed);
        char *line = malloc(bytes + 1);
        assert_non_null(line);
        memcpy(line, seed, bytes + 1);
        for (uint64_t i = 0; i < 1 + round % 4; i++) {
            uint64_t bits = bn_rng_bits(key, round * 8 + i);
            line[bits % bytes] = (char)(bits >> 32);
        }
        size_t cut = bn_rng_below(key, round * 8 + 5, bytes + 1);
        (void)bn_event_line_parse(line, cut, &event);
        assert_true(event.count <= BN_RECORD_VALUES_MAX);
        free(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_of_ours_reads_as_it_was_written),
        cmocka_unit_test(test_begin_and_end_lines_tell_host_device_and_how),
        cmocka_unit_test(test_other_programs_may_leave_out_all_but_numbers),
        cmocka_unit_test(test_escapes_that_would_break_a_line_become_blanks),
        cmocka_unit_test(test_what_says_nothing_says_why),
        cmocka_unit_test(test_depth_and_width_have_limits),
        cmocka_unit_test(test_any_bytes_give_an_event_or_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
