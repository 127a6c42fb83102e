/* What the reading commands say of a home whose numbers are known. */
#include <jansson.h>

#include "support/command.h"
#include "support/demo_home.h"
#include "support/store_home.h"

static char home[BN_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    home_make(home);
    bn_store *store = home_open(home, BN_STORE_WRITE);
    bn_error err = {0};
    demo_plan lr = {.name = "lr", .widths = 1, .seeds = 2, .records = 4};
    demo_plan later = {.name = "later", .widths = 1, .seeds = 1, .pending = true};
    ASSERT_OK(demo_home_fill(store, &lr, &err));
    ASSERT_OK(demo_home_fill(store, &later, &err));
    bn_store_close(store);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    home_remove(home);
    return 0;
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    if (!json) fail_msg("not JSON: %s: %.200s", error.text, text);
    return json;
}

static void test_ls_json_keeps_its_shape(void **state)
{
    (void)state;
    static const char *const members[] = {"id",     "name",    "sweep",     "state",
                                          "reason", "attempt", "config",    "latest",
                                          "best",   "created", "duration_s"};
    said what = COMMAND("ls", "--home", home, "--sweep", "lr", "--json");
    assert_int_equal(what.code, 0);
    json_t *json = parse(what.out), *runs = json_object_get(json, "runs");
    assert_int_equal(json_integer_value(json_object_get(json, "schema_version")), 1);
    assert_int_equal(json_array_size(runs), 16);
    json_t *run = json_array_get(runs, 0);
    assert_int_equal(json_object_size(run), sizeof members / sizeof members[0]);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        assert_non_null(json_object_get(run, members[i]));
    }
    double best = json_number_value(json_object_get(json_object_get(run, "best"), "val/loss"));
    assert_true(fabs(best - demo_loss(true, 0, 0, 0)) < 1e-9);
    assert_non_null(json_object_get(json_object_get(run, "config"), "optim.lr"));
    json_decref(json);
    said_release(&what);
}

static void test_pending_runs_have_no_duration_and_no_numbers(void **state)
{
    (void)state;
    said what = COMMAND("ls", "--home", home, "--state", "pending", "--json");
    json_t *json = parse(what.out), *runs = json_object_get(json, "runs");
    assert_int_equal(json_array_size(runs), 8);
    json_t *run = json_array_get(runs, 0);
    assert_true(json_is_null(json_object_get(run, "duration_s")));
    assert_int_equal(json_object_size(json_object_get(run, "latest")), 0);
    json_decref(json);
    said_release(&what);
}

static void test_ls_sorts_and_limits(void **state)
{
    (void)state;
    said what = COMMAND("ls", "--home", home, "--sweep", "lr", "--sort", "val/loss", "--limit", "1",
                        "--columns", "name,optim.lr,val/loss:min");
    assert_int_equal(what.code, 0);
    assert_non_null(strstr(what.out, "\nw64-fp16-lr0.001-s0"));
    assert_null(strstr(what.out, "ternary"));
    said_release(&what);
}

static void test_ls_of_metrics_and_sweeps(void **state)
{
    (void)state;
    said what = COMMAND("ls", "metrics", "--home", home, "--json");
    json_t *json = parse(what.out);
    assert_int_equal(json_array_size(json_object_get(json, "metrics")), 6);
    json_decref(json);
    said_release(&what);
    what = COMMAND("ls", "sweeps", "--home", home, "--json");
    json = parse(what.out);
    json_t *sweep = json_array_get(json_object_get(json, "sweeps"), 0);
    json_t *states = json_object_get(sweep, "runs");
    assert_int_equal(json_integer_value(json_object_get(states, "finished")), 16);
    json_decref(json);
    said_release(&what);
}

static void assert_refused(said what, int code, const char *words)
{
    assert_int_equal(what.code, code);
    assert_string_equal(what.out, "");
    if (!strstr(what.err, words)) fail_msg("expected '%s' in: %s", words, what.err);
    assert_ptr_equal(strchr(what.err, '\n'), what.err + strlen(what.err) - 1); /* one line */
    said_release(&what);
}

static void test_mistakes_are_told_in_one_line(void **state)
{
    (void)state;
    assert_refused(COMMAND("ls", "--home", home, "--sort", "val/los"), 2,
                   "did you mean 'val/loss'");
    assert_refused(COMMAND("ls", "--home", home, "--state", "finnished"), 2,
                   "did you mean 'finished'");
    assert_refused(COMMAND("ls", "metric", "--home", home), 2, "did you mean 'metrics'");
    assert_refused(COMMAND("ls", "--home", home, "--sweep", "la"), 3, "no sweep 'la'");
    assert_refused(COMMAND("ls", "--home", "/tmp/no/such/home"), 3, "bnexp sweep FILE");
    assert_refused(COMMAND("show", "w64-fp16-lr0.001-s7", "--home", home), 3, "did you mean");
    assert_refused(COMMAND("show", "--home", home), 2, "usage: bnexp show RUN");
    assert_refused(COMMAND("export", "--home", home, "--format", "xml"), 2, "csv, jsonl");
    assert_refused(COMMAND("export", "--home", home, "--out", "/tmp/no/such/dir/x"), 1, "create");
}

static void test_show_json_tells_the_attempts(void **state)
{
    (void)state;
    said what = COMMAND("show", "lr/w64-fp16-lr0.001-s1", "--home", home, "--json");
    assert_int_equal(what.code, 0);
    json_t *json = parse(what.out), *run = json_object_get(json, "run");
    json_t *attempt = json_array_get(json_object_get(run, "attempts"), 0);
    assert_string_equal(json_string_value(json_object_get(attempt, "state")), "finished");
    assert_string_equal(json_string_value(json_object_get(attempt, "started")),
                        "2023-11-14T22:13:20.000Z");
    assert_int_equal(json_array_size(json_object_get(run, "metrics")), 6);
    json_decref(json);
    said_release(&what);
}

static void test_show_is_readable(void **state)
{
    (void)state;
    said what = COMMAND("show", "lr/w64-fp16-lr0.001-s1", "--home", home);
    assert_int_equal(what.code, 0);
    assert_non_null(strstr(what.out, "duration  1m 05s"));
    assert_non_null(strstr(what.out, "optim.lr       0.001   varied"));
    said_release(&what);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

static void test_compare_says_the_gap_at_each_sides_best(void **state)
{
    (void)state;
    said what = COMMAND("compare", "--home", home, "--sweep", "lr");
    assert_int_equal(what.code, 0);
    assert_non_null(strstr(what.out, "2.5760 \xC2\xB1 0.0085  +0.0710 (+2.8 %)"));
    assert_non_null(strstr(what.out, "2 pairs: 0 won, 0 tied, 2 lost; fewer than 5, no interval"));
    said_release(&what);
}

static void test_compare_json_covers_every_sweep(void **state)
{
    (void)state;
    said what = COMMAND("compare", "--home", home, "--json");
    assert_int_equal(what.code, 0);
    json_t *json = parse(what.out), *sweeps = json_object_get(json, "sweeps");
    assert_int_equal(json_array_size(sweeps), 2);
    json_t *cells = json_object_get(json_array_get(sweeps, 0), "cells");
    assert_int_equal(json_array_size(cells), 2);
    assert_int_equal(json_array_size(json_object_get(json_array_get(sweeps, 1), "cells")), 0);
    json_decref(json);
    said_release(&what);
}

static void test_export_jsonl_writes_every_record_and_keeps_nan(void **state)
{
    (void)state;
    said what = COMMAND("export", "--home", home, "--format", "jsonl");
    assert_int_equal(what.code, 0);
    assert_int_equal(count_lines(what.out), 16 * 4);
    *strchr(what.out, '\n') = '\0';
    json_t *json = parse(what.out), *values = json_object_get(json, "values");
    assert_int_equal(json_object_size(json), 5);
    assert_string_equal(json_string_value(json_object_get(values, "train/loss")), "NaN");
    assert_true(json_is_number(json_object_get(values, "val/loss")));
    json_decref(json);
    said_release(&what);
}

static void test_export_csv_writes_one_line_a_number(void **state)
{
    (void)state;
    said what = COMMAND("export", "--home", home, "--format", "csv", "--metric", "train/loss",
                        "--run", "lr/w64-fp16-lr0.001-s0");
    assert_int_equal(what.code, 0);
    assert_int_equal(strncmp(what.out, "run,name,seq,step,wall_s,key,value\n", 35), 0);
    assert_int_equal(count_lines(what.out), 5);
    assert_non_null(strstr(what.out, ",w64-fp16-lr0.001-s0,0,0,1700000000,train/loss,NaN\n"));
    assert_non_null(strstr(what.out, ",w64-fp16-lr0.001-s0,3,30,1700000003,train/loss,2.5\n"));
    said_release(&what);
}

static void test_export_to_a_file_leaves_no_part_behind(void **state)
{
    (void)state;
    char path[BN_PATH_MAX + 16], part[BN_PATH_MAX + 32], *data = NULL;
    size_t size = 0;
    bn_error err = {0};
    (void)snprintf(path, sizeof path, "%s/all.csv", home);
    (void)snprintf(part, sizeof part, "%s.part", path);
    said what = COMMAND("export", "--home", home, "--format", "csv", "--out", path);
    assert_int_equal(what.code, 0);
    assert_string_equal(what.out, "");
    ASSERT_OK(bn_file_read(path, 1 << 20, &data, &size, &err));
    assert_int_equal(count_lines(data), 1 + 16 * 4 * 6);
    assert_false(bn_file_exists(part));
    assert_int_equal(unlink(path), 0);
    free(data);
    said_release(&what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ls_json_keeps_its_shape),
        cmocka_unit_test(test_pending_runs_have_no_duration_and_no_numbers),
        cmocka_unit_test(test_ls_sorts_and_limits),
        cmocka_unit_test(test_ls_of_metrics_and_sweeps),
        cmocka_unit_test(test_mistakes_are_told_in_one_line),
        cmocka_unit_test(test_show_json_tells_the_attempts),
        cmocka_unit_test(test_show_is_readable),
        cmocka_unit_test(test_compare_says_the_gap_at_each_sides_best),
        cmocka_unit_test(test_compare_json_covers_every_sweep),
        cmocka_unit_test(test_export_jsonl_writes_every_record_and_keeps_nan),
        cmocka_unit_test(test_export_csv_writes_one_line_a_number),
        cmocka_unit_test(test_export_to_a_file_leaves_no_part_behind),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
