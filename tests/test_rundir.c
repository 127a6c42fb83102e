#include "runner/fleet/rundir.h"
#include "support/fleet_lab.h"

static bn_rundir example(void)
{
    bn_rundir run = {.key = "k3v9x2aa", .attempt = 2};
    bn_error err = {0};
    (void)snprintf(run.name, sizeof run.name, "ternary \"lr\" \\ 1e-3");
    (void)snprintf(run.sweep, sizeof run.sweep, "lr");
    bn_config_init(&run.config);
    ASSERT_OK(bn_config_preset(&run.config, "tiny", &err));
    ASSERT_OK(bn_config_set(&run.config, "optim.lr", "0.00123456789012345", &err));
    ASSERT_OK(bn_config_set(&run.config, "data.path", "/a b/\"c\"\\d\xC3\xA9.txt", &err));
    ASSERT_OK(bn_config_resolve(&run.config, &err));
    return run;
}

static void test_what_is_made_reads_back_the_same(void **state)
{
    bn_rundir wrote = example(), read;
    bn_error err = {0};
    ASSERT_OK(bn_rundir_make(*state, &wrote, &err));
    ASSERT_OK(bn_rundir_read(*state, &read, &err));
    assert_string_equal(read.key, wrote.key);
    assert_string_equal(read.name, wrote.name);
    assert_string_equal(read.sweep, wrote.sweep);
    assert_int_equal(read.attempt, 2);
    assert_memory_equal(&read.config, &wrote.config, sizeof read.config);
}

static void test_the_next_attempt_replaces_the_file(void **state)
{
    bn_rundir run = example(), read;
    bn_error err = {0};
    ASSERT_OK(bn_rundir_make(*state, &run, &err));
    run.attempt = 3;
    ASSERT_OK(bn_rundir_make(*state, &run, &err));
    ASSERT_OK(bn_rundir_read(*state, &read, &err));
    assert_int_equal(read.attempt, 3);
}

static void test_mistakes_name_file_line_and_the_nearest_name(void **state)
{
    const char *dir = *state;
    bn_rundir read;
    bn_error err = {0};
    lab_write(dir, "run.toml", "id = \"x\"\nnmae = \"y\"\n");
    assert_int_equal(bn_rundir_read(dir, &read, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "run.toml:2: "));
    assert_non_null(strstr(err.text, "did you mean 'name'?"));
    err = (bn_error){0};
    lab_write(dir, "run.toml", "[config]\n\n\"optim.lrr\" = 1\n");
    assert_int_equal(bn_rundir_read(dir, &read, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "run.toml:3: "));
    assert_non_null(strstr(err.text, "did you mean 'optim.lr'?"));
    err = (bn_error){0};
    lab_write(dir, "run.toml", "[config]\n\"train.steps\" = [1]\n");
    assert_int_equal(bn_rundir_read(dir, &read, &err), BN_EINVAL);
}

static void test_a_folder_that_is_no_run_is_told(void **state)
{
    bn_rundir read;
    bn_error err = {0};
    assert_int_equal(bn_rundir_read(*state, &read, &err), BN_ENOENT);
    assert_non_null(strstr(err.text, "run.toml"));
}

static void test_another_programs_run_is_not_trained_here(void **state)
{
    bn_rundir run = example(), read;
    bn_error err = {0};
    ASSERT_OK(bn_rundir_make_external(*state, &run, "{\"lr\":0.1}", &err));
    char *json = lab_read(*state, "config.json");
    assert_string_equal(json, "{\"lr\":0.1}\n");
    free(json);
    assert_int_equal(bn_rundir_read(*state, &read, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "another program"));
}

static void test_last_words_are_the_last_line_that_says_something(void **state)
{
    const char *dir = *state;
    char words[64];
    bn_rundir_last_words(dir, words, sizeof words);
    assert_string_equal(words, "");
    lab_write(dir, "stderr.log", "first\nValueError: \x1b[1mbad\x1b[0m\n\n  \n");
    bn_rundir_last_words(dir, words, sizeof words);
    assert_string_equal(words, "ValueError:  [1mbad [0m");
    lab_write(dir, "stderr.log", "no newline");
    bn_rundir_last_words(dir, words, sizeof words);
    assert_string_equal(words, "no newline");
    bn_rundir_last_words(dir, words, 4);
    assert_string_equal(words, "no ");
}

static void test_a_half_line_is_cut_off_before_the_next_attempt(void **state)
{
    const char *dir = *state;
    bn_error err = {0};
    char long_line[10000];
    ASSERT_OK(bn_rundir_mend_events(dir, &err));
    memset(long_line, 'x', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = '\0';
    long_line[20] = '\n';
    lab_write(dir, "events.jsonl", long_line);
    ASSERT_OK(bn_rundir_mend_events(dir, &err));
    char *text = lab_read(dir, "events.jsonl");
    assert_int_equal(strlen(text), 21);
    free(text);
    lab_write(dir, "events.jsonl", "half");
    ASSERT_OK(bn_rundir_mend_events(dir, &err));
    text = lab_read(dir, "events.jsonl");
    assert_string_equal(text, "");
    free(text);
}

static void test_a_lock_is_held_once_and_freed_with_its_descriptor(void **state)
{
    bn_error err = {0};
    int first = -1, second = -1;
    ASSERT_OK(bn_rundir_lock(*state, &first, &err));
    assert_int_equal(bn_rundir_lock(*state, &second, &err), BN_EAGAIN);
    (void)close(first);
    err = (bn_error){0};
    ASSERT_OK(bn_rundir_lock(*state, &second, &err));
    (void)close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_made_reads_back_the_same, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(test_the_next_attempt_replaces_the_file, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(test_mistakes_name_file_line_and_the_nearest_name,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(test_a_folder_that_is_no_run_is_told, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(test_another_programs_run_is_not_trained_here, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(test_last_words_are_the_last_line_that_says_something,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(test_a_half_line_is_cut_off_before_the_next_attempt,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(test_a_lock_is_held_once_and_freed_with_its_descriptor,
                                        scratch_open, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
