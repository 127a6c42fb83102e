/* The commands that tend a home: tag, note, rm, gc, sql, diff, logs, doctor, and the shell's help.
 */
#include <jansson.h>
#include <sys/stat.h>

#include "support/command.h"
#include "support/demo_home.h"
#include "support/store_home.h"

static const char RUN[] = "lr/w64-fp16-lr0.001-s0";
static char home[BN_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    home_make(home);
    bn_store *store = home_open(home, BN_STORE_WRITE);
    bn_error err = {0};
    demo_plan lr = {.name = "lr", .widths = 1, .seeds = 1, .records = 2};
    ASSERT_OK(demo_home_fill(store, &lr, &err));
    bn_store_close(store);
    return 0;
}

static void remove_below_home(const char *name)
{
    char path[BN_PATH_MAX];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(path, home, name, &err));
    (void)unlink(path);
    (void)rmdir(path);
}

static int teardown(void **state)
{
    (void)state;
    remove_below_home(".trash");
    remove_below_home("demo");
    remove_below_home("copy.db");
    home_remove(home);
    return 0;
}

static void make_file(const char *folder, const char *name, const char *text)
{
    char path[BN_PATH_MAX], below[BN_PATH_MAX];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(below, home, folder, &err));
    ASSERT_OK(bn_dir_make(below, 0700, &err));
    ASSERT_OK(bn_path_join(path, below, name, &err));
    ASSERT_OK(bn_file_write(path, text, strlen(text), 0600, &err));
}

static void assert_says(said what, int code, const char *words)
{
    if (what.code != code) fail_msg("exit %d instead of %d: %s", what.code, code, what.err);
    const char *all = code == 0 ? what.out : what.err;
    if (!strstr(all, words)) fail_msg("expected '%s' in: %s", words, all);
    said_release(&what);
}

static void assert_silent(said what)
{
    if (what.code != 0 || *what.out || *what.err) fail_msg("%s%s", what.out, what.err);
    said_release(&what);
}

static void test_a_tagged_run_is_found_by_its_tag(void **state)
{
    (void)state;
    assert_silent(COMMAND("tag", RUN, "best", "paper", "--home", home));
    assert_silent(COMMAND("tag", RUN, "paper", "--remove", "--home", home));
    assert_says(COMMAND("ls", "--tag", "best", "--columns", "sweep,name", "--home", home), 0,
                "sweep  name\nlr     w64-fp16-lr0.001-s0\n");
    assert_says(COMMAND("ls", "--tag", "paper", "--columns", "name", "--home", home), 0, "name\n");
    assert_silent(COMMAND("tag", RUN, "also", "--home", home));
    assert_says(
        COMMAND("ls", "--where", "tags == 'also,best'", "--columns", "tags", "--home", home), 0,
        "tags\nalso,best\n");
    assert_says(COMMAND("tag", RUN, "two words", "--home", home), 2, "one word");
}

/* A note of 100,000 letters, some of two bytes, on two lines. */
static void test_a_long_note_is_kept_whole_and_shown_in_a_line(void **state)
{
    (void)state;
    enum { LETTERS = 100000 };
    static char note[2 * LETTERS + 1];
    size_t length = 0;
    for (int i = 0; i < LETTERS; i++) {
        const char *letter = i == 300 ? "\n" : i % 2 ? "\xC3\xA4" : "x";
        for (; *letter; letter++) note[length++] = *letter;
    }
    note[99999] = '\0'; /* what a system takes as one argument is less than all of it */
    assert_silent(COMMAND("note", RUN, note, "--home", home));
    said shown = COMMAND("show", RUN, "--home", home);
    assert_int_equal(shown.code, 0);
    assert_non_null(strstr(shown.out, "x\xC3\xA4 ... (99999 bytes; --json tells all)"));
    said_release(&shown);
    said told = COMMAND("show", RUN, "--json", "--home", home);
    json_t *json = json_loads(told.out, 0, NULL);
    json_t *notes = json_object_get(json_object_get(json, "run"), "notes");
    json_t *text = json_object_get(json_array_get(notes, json_array_size(notes) - 1), "text");
    assert_string_equal(json_string_value(text), note);
    json_decref(json);
    said_release(&told);
}

static void test_a_note_is_told_by_show(void **state)
{
    (void)state;
    assert_silent(COMMAND("note", RUN, "odd spike at the end", "--home", home));
    assert_says(COMMAND("show", RUN, "--home", home), 0, "odd spike at the end");
}

static void test_a_name_that_fits_several_runs_is_told_apart(void **state)
{
    (void)state;
    bn_store *store = home_open(home, BN_STORE_WRITE);
    bn_error err = {0};
    demo_plan twin = {.name = "lr2", .widths = 1, .seeds = 1, .pending = true};
    ASSERT_OK(demo_home_fill(store, &twin, &err));
    bn_store_close(store);
    assert_says(COMMAND("show", "w64-fp16-lr0.001-s0", "--home", home), 4, "is ambiguous");
    assert_says(COMMAND("rm", "--sweep", "lr2", "--home", home), 0,
                "(lr2/w64-ternary-lr0.0003-s0)");
    assert_says(COMMAND("gc", "--older", "0s", "--home", home), 0, "removed 8 runs");
}

static void test_a_sweep_where_a_run_is_wanted_is_told_so(void **state)
{
    (void)state;
    assert_says(COMMAND("show", "lr", "--home", home), 3,
                "'lr' is a sweep, not a run; 'bnexp ls --sweep lr' lists its runs");
}

static void test_watch_tells_a_sweep_in_words_and_in_json(void **state)
{
    (void)state;
    assert_says(COMMAND("watch", "lr", "--once", "--home", home), 0,
                "lr (running, nobody manages it): ");
    said what = COMMAND("watch", "lr", "--once", "--json", "--home", home);
    json_error_t why;
    json_t *root = json_loads(what.out, 0, &why), *counts = json_object_get(root, "counts");
    assert_non_null(root);
    assert_int_equal(what.out[strlen(what.out) - 1], '\n');
    assert_string_equal(json_string_value(json_object_get(root, "sweep")), "lr");
    assert_false(json_is_true(json_object_get(root, "managed")));
    assert_true(json_integer_value(json_object_get(counts, "finished")) > 0);
    assert_true(json_is_real(json_object_get(root, "best")));
    json_decref(root);
    said_release(&what);
}

static void test_help_of_a_command_is_its_own(void **state)
{
    (void)state;
    assert_says(COMMAND("help", "gc"), 0, "usage: bnexp gc ");
    assert_says(COMMAND("help"), 0, "usage: bnexp COMMAND");
    assert_says(COMMAND("help", "sweeep"), 2, "did you mean 'sweep'?");
}

static void test_a_typo_in_home_makes_no_home(void **state)
{
    (void)state;
    assert_says(COMMAND("note", RUN, "x", "--home", "/tmp/no/such/home"), 3, "there is no");
    assert_says(COMMAND("rm", RUN, "--home", "/tmp/no/such/home"), 3, "there is no");
    assert_says(COMMAND("gc", "--home", "/tmp/no/such/home"), 3, "there is no");
    assert_false(bn_file_exists("/tmp/no/such/home"));
}

static void test_where_filters_by_knobs_and_metrics(void **state)
{
    (void)state;
    assert_says(COMMAND("ls", "--home", home, "--columns", "name", "--where",
                        "quant.variant == 'ternary' and optim.lr > 1e-3 and `val/loss` < 2.6"),
                0, "name\nw64-ternary-lr0.003-s0\n");
    assert_says(COMMAND("ls", "--home", home, "--where", "1 +"), 2, "--where: column 4");
    assert_says(COMMAND("ls", "--home", home, "--where", "quant.varient == 1"), 2,
                "did you mean 'quant.variant'?");
}

static void test_diff_tells_only_what_differs(void **state)
{
    (void)state;
    said what = COMMAND("diff", RUN, "w64-fp16-lr0.003-s0", "--home", home, "--json");
    json_t *json = json_loads(what.out, 0, NULL);
    assert_non_null(json);
    json_t *knobs = json_object_get(json, "knobs");
    assert_int_equal(json_array_size(knobs), 1);
    json_t *knob = json_array_get(knobs, 0);
    assert_string_equal(json_string_value(json_object_get(knob, "name")), "optim.lr");
    assert_true(json_real_value(json_object_get(knob, "b")) == 0.003);
    assert_int_equal(json_array_size(json_object_get(json, "metrics")), 6);
    json_decref(json);
    said_release(&what);
}

static void test_sql_reads_and_nothing_else(void **state)
{
    (void)state;
    assert_says(COMMAND("sql", "SELECT count(*) AS runs FROM run", "--home", home), 0, "runs\n8\n");
    assert_says(COMMAND("sql", "SELECT 9e999, NULL, 'x'", "--json", "--home", home), 0,
                "\"rows\":[[null,null,\"x\"]]");
    assert_says(COMMAND("sql", "DELETE FROM run", "--home", home), 2, "only statements that read");
    assert_says(COMMAND("sql", "SELECT missing FROM run", "--home", home), 2, "no such column");
}

static void test_logs_print_the_last_lines(void **state)
{
    (void)state;
    make_file("demo/5", "stdout.log", "one\ntwo\nthree\n"); /* w64-fp16-lr0.001-s0 is number 5 */
    assert_says(COMMAND("logs", RUN, "-n", "2", "--home", home), 0, "two\nthree\n");
    said what = COMMAND("logs", RUN, "-f", "-n", "1", "--home", home); /* ended: does not wait */
    assert_int_equal(what.code, 0);
    assert_string_equal(what.out, "three\n");
    said_release(&what);
    assert_says(COMMAND("logs", RUN, "--stderr", "--home", home), 3, "has no stderr.log");
    remove_below_home("demo/5/stdout.log");
    remove_below_home("demo/5");
}

static void test_a_removed_run_waits_in_the_trash_until_gc(void **state)
{
    (void)state;
    char folder[BN_PATH_MAX];
    bn_error err = {0};
    make_file("demo/7", "events.jsonl", "{}\n");
    make_file("demo/7/checkpoint/deep", "weights", "1234");
    ASSERT_OK(bn_path_join(folder, home, "demo/7", &err));
    assert_says(COMMAND("rm", "w64-fp16-lr0.01-s0", "--home", home), 0, "removed ");
    assert_false(bn_file_exists(folder));
    assert_says(COMMAND("show", "w64-fp16-lr0.01-s0", "--home", home), 3, "there is no run");
    assert_says(COMMAND("gc", "--home", home), 0,
                "removed 0 runs for good, 0 B of files\n"
                "1 run in the trash is younger than 30d; --older 0s takes it too\n");
    assert_says(COMMAND("gc", "--older", "0s", "--dry-run", "--home", home), 0,
                "would remove 1 run ");
    assert_says(COMMAND("gc", "--older", "0s", "--home", home), 0, "removed 1 run ");
    assert_says(COMMAND("sql", "SELECT count(*) AS runs FROM run", "--home", home), 0, "runs\n7\n");
    assert_says(COMMAND("gc", "--older", "soon", "--home", home), 2, "like 30d");
    assert_says(COMMAND("rm", "--home", home), 2, "name runs, or one --sweep");
}

static void test_doctor_finds_a_broken_database(void **state)
{
    (void)state;
    char bad[] = "/tmp/bn_doctor_XXXXXX", path[BN_PATH_MAX], copy[BN_PATH_MAX + 16];
    bn_error err = {0};
    (void)snprintf(copy, sizeof copy, "%s/copy.db", home);
    assert_says(COMMAND("doctor", "--home", home, "--backup", copy), 0, "ok     integrity");
    assert_says(COMMAND("doctor", "--home", home, "--backup", copy), 2, "exists already");
    assert_non_null(mkdtemp(bad));
    ASSERT_OK(bn_path_join(path, bad, "bnexp.db", &err));
    ASSERT_OK(bn_file_write(path, "not a database, and long enough to tell", 39, 0600, &err));
    said what = COMMAND("doctor", "--home", bad);
    assert_int_equal(what.code, 1);
    assert_non_null(strstr(what.out, "wrong  database"));
    assert_non_null(strstr(what.out, "move bnexp.db"));
    assert_non_null(strstr(what.out, "look   run folders  not looked at"));
    said_release(&what);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(bad), 0);
}

static void test_every_command_is_in_the_manual_and_completes(void **state)
{
    (void)state;
    said words = COMMAND("completion", "words"), manual = COMMAND("man");
    assert_int_equal(words.code, 0);
    assert_int_equal(manual.code, 0);
    size_t count = 0;
    for (char *word = words.out, *next = NULL; *word; word = next, count++) {
        char heading[64];
        next = strchr(word, '\n') + 1;
        next[-1] = '\0';
        (void)snprintf(heading, sizeof heading, "\n.SS %s\n", word);
        bool plain = strcmp(word, "help") == 0 || strcmp(word, "version") == 0;
        if (!plain && !strstr(manual.out, heading)) fail_msg("no manual for %s", word);
    }
    assert_true(count >= 10);
    said_release(&words);
    said_release(&manual);
    assert_says(COMMAND("completion", "bash"), 0, "complete -o default -F _bnexp bnexp");
    assert_says(COMMAND("completion", "bsh"), 2, "did you mean 'bash'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tagged_run_is_found_by_its_tag),
        cmocka_unit_test(test_a_note_is_told_by_show),
        cmocka_unit_test(test_a_long_note_is_kept_whole_and_shown_in_a_line),
        cmocka_unit_test(test_a_name_that_fits_several_runs_is_told_apart),
        cmocka_unit_test(test_a_sweep_where_a_run_is_wanted_is_told_so),
        cmocka_unit_test(test_watch_tells_a_sweep_in_words_and_in_json),
        cmocka_unit_test(test_help_of_a_command_is_its_own),
        cmocka_unit_test(test_a_typo_in_home_makes_no_home),
        cmocka_unit_test(test_where_filters_by_knobs_and_metrics),
        cmocka_unit_test(test_diff_tells_only_what_differs),
        cmocka_unit_test(test_sql_reads_and_nothing_else),
        cmocka_unit_test(test_logs_print_the_last_lines),
        cmocka_unit_test(test_a_removed_run_waits_in_the_trash_until_gc),
        cmocka_unit_test(test_doctor_finds_a_broken_database),
        cmocka_unit_test(test_every_command_is_in_the_manual_and_completes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
