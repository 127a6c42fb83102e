#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "reporters/wandb_log.h"
#include "support/cmocka_all.h"

typedef struct fixture {
    char dir[64], out[BN_PATH_MAX], err[BN_PATH_MAX];
    bn_wandb_memo memo;
} fixture;

static int setup(void **state)
{
    static fixture at;
    bn_error err = {0};
    at = (fixture){.dir = "/tmp/bnexp-log-XXXXXX"};
    assert_non_null(mkdtemp(at.dir));
    assert_int_equal(bn_path_join(at.out, at.dir, "stdout.log", &err), BN_OK);
    assert_int_equal(bn_path_join(at.err, at.dir, "stderr.log", &err), BN_OK);
    bn_wandb_memo_read(&at.memo, "");
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    (void)unlink(at->out);
    (void)unlink(at->err);
    (void)rmdir(at->dir);
    return 0;
}

static void add(const char *path, const char *words)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    (void)fputs(words, file);
    assert_int_equal(fclose(file), 0);
}

static void check_lines(const fixture *at, const char *expected)
{
    bn_text out = {0};
    bn_wandb_log_lines(&out, &at->memo, at->dir, false);
    assert_string_equal(out.data, expected);
    bn_text_release(&out);
}

#define AT "1970-01-01T00:00:05.000 "

static void test_whole_lines_are_planned(void **state)
{
    fixture *at = *state;
    assert_false(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    add(at->out, "one\ntwo\nthr");
    add(at->err, "bad\n");
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    assert_int_equal(at->memo.plan.line, 3);
    check_lines(at, "\"" AT "one\",\"" AT "two\",\"ERROR " AT "bad\"");
}

static void test_plan_stands_while_files_grow(void **state)
{
    fixture *at = *state;
    add(at->out, "one\n");
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    add(at->out, "two\n");
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 9));
    check_lines(at, "\"" AT "one\"");
    bn_wandb_log_done(&at->memo);
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    assert_int_equal(at->memo.log.line, 1);
    check_lines(at, "\"" AT "two\"");
}

static void test_unfinished_line_counts_at_the_end(void **state)
{
    fixture *at = *state;
    add(at->out, "open");
    assert_false(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, true, 5));
    check_lines(at, "\"" AT "open\"");
    bn_wandb_log_done(&at->memo);
    assert_false(bn_wandb_log_plan(&at->memo, at->dir, true, 5));
}

static void test_plan_of_empty_lines_fits_a_request(void **state)
{
    enum { LINES = 300000 };
    fixture *at = *state;
    FILE *file = fopen(at->out, "w");
    assert_non_null(file);
    for (int i = 0; i < LINES; i++) (void)fputc('\n', file);
    assert_int_equal(fclose(file), 0);
    int64_t lines = 0;
    while (bn_wandb_log_plan(&at->memo, at->dir, false, 5)) {
        bn_text out = {0};
        lines += bn_wandb_log_lines(&out, &at->memo, at->dir, true);
        assert_true(out.length < BN_WANDB_BODY_MAX);
        bn_text_release(&out);
        bn_wandb_log_done(&at->memo);
        assert_int_equal(at->memo.log.line, lines);
    }
    assert_int_equal(lines, LINES);
}

static void test_zero_bytes_take_no_words_away(void **state)
{
    fixture *at = *state;
    FILE *file = fopen(at->out, "w");
    assert_non_null(file);
    assert_int_equal(fwrite("\0a\0\n", 1, 4, file), 4);
    assert_int_equal(fclose(file), 0);
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    check_lines(at, "\"" AT "\xEF\xBF\xBD"
                    "a\xEF\xBF\xBD\"");
}

static void test_lines_that_are_gone_are_not_counted(void **state)
{
    fixture *at = *state;
    add(at->out, "one\ntwo\nthree\n");
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    assert_int_equal(truncate(at->out, 4), 0);
    bn_text out = {0};
    assert_int_equal(bn_wandb_log_lines(&out, &at->memo, at->dir, false), 1);
    bn_text_release(&out);
}

static void test_file_begun_anew_is_read_from_its_begin(void **state)
{
    fixture *at = *state;
    add(at->out, "first attempt\n");
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    bn_wandb_log_done(&at->memo);
    assert_int_equal(truncate(at->out, 0), 0);
    add(at->out, "second\n");
    assert_true(bn_wandb_log_plan(&at->memo, at->dir, false, 5));
    assert_int_equal(at->memo.plan.line, 2);
    check_lines(at, "\"" AT "second\"");
}

static void test_megabytes_come_in_pieces_and_lose_no_line(void **state)
{
    fixture *at = *state;
    char line[101];
    memset(line, 'x', 99);
    (void)snprintf(line + 99, 2, "\n");
    for (int i = 0; i < 20000; i++) add(at->out, line);
    int pieces = 0;
    for (; bn_wandb_log_plan(&at->memo, at->dir, false, 5); pieces++) {
        bn_wandb_log_done(&at->memo);
    }
    assert_int_equal(at->memo.log.line, 20000);
    assert_int_equal(at->memo.log.out_bytes, 2000000);
    assert_true(pieces > 2);
}

static void test_line_longer_than_a_piece_goes_on_in_the_next(void **state)
{
    fixture *at = *state;
    char *line = malloc(700001);
    assert_non_null(line);
    memset(line, 'x', 700000);
    line[700000] = '\0';
    add(at->out, line);
    add(at->out, "\n");
    free(line);
    int pieces = 0;
    for (; bn_wandb_log_plan(&at->memo, at->dir, false, 5); pieces++) {
        bn_wandb_log_done(&at->memo);
    }
    assert_int_equal(pieces, 2);
    assert_int_equal(at->memo.log.out_bytes, 700001);
}

static void test_memo_comes_back_as_it_was(void **state)
{
    (void)state;
    bn_wandb_memo memo = {
        .place = {.entity = "e \"1\"", .project = "p", .run = "abcd1234", .id = "UnVu"},
        .sweep = {.name = "s", .id = "U3dl"},
        .attempt = 2,
        .metrics = 9,
        .clock = {.start_s = 1795371430.25, .wall_s = 1795371431.5, .step = 70},
        .events = 5,
        .log = {10, 20, 3},
        .plan = {30, 40, 7},
        .plan_read_s = 12.5,
        .files = 3,
    };
    bn_wandb_memo got;
    bn_text text = {0};
    bn_wandb_memo_write(&text, &memo);
    bn_wandb_memo_read(&got, text.data);
    assert_string_equal(got.place.entity, "e \"1\"");
    assert_string_equal(got.sweep.id, "U3dl");
    assert_float_equal(got.clock.wall_s, 1795371431.5, 0);
    assert_int_equal(got.plan.line, 7);
    bn_text again = {0};
    bn_wandb_memo_write(&again, &got);
    assert_string_equal(again.data, text.data);
    bn_text_release(&again);
    bn_text_release(&text);
}

static void test_memo_of_nothing_is_a_run_that_is_not_there(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "{\"run\":7}", "null"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bn_wandb_memo memo;
        bn_wandb_memo_read(&memo, texts[i]);
        assert_string_equal(memo.place.run, "");
        assert_int_equal(memo.clock.step, -1);
        assert_int_equal(memo.log.line, 0);
    }
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(test_whole_lines_are_planned),
        WITH_FILES(test_plan_stands_while_files_grow),
        WITH_FILES(test_unfinished_line_counts_at_the_end),
        WITH_FILES(test_plan_of_empty_lines_fits_a_request),
        WITH_FILES(test_zero_bytes_take_no_words_away),
        WITH_FILES(test_lines_that_are_gone_are_not_counted),
        WITH_FILES(test_file_begun_anew_is_read_from_its_begin),
        WITH_FILES(test_megabytes_come_in_pieces_and_lose_no_line),
        WITH_FILES(test_line_longer_than_a_piece_goes_on_in_the_next),
        cmocka_unit_test(test_memo_comes_back_as_it_was),
        cmocka_unit_test(test_memo_of_nothing_is_a_run_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
