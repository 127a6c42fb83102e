#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "engine/base/file.h"
#include "runner/fleet/process.h"
#include "support/fleet_lab.h"

/* Starts `sh -c script` in the folder. */
static bn_identity start(const char *dir, const char *script, const char *const *env)
{
    bn_identity identity;
    bn_error err = {0};
    const char *argv[] = {"sh", "-c", script, NULL};
    bn_launch launch = {.dir = dir, .argv = argv, .env = env, .attempt = 3};
    ASSERT_OK(bn_process_start(&launch, &identity, &err));
    return identity;
}

/* Looks until the folder's run is over. */
static bn_process_note wait_end(const char *dir)
{
    bn_process_note note;
    bn_error err = {0};
    bool alive = true;
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    while (alive && bn_clock_mono_s() < end_s) {
        ASSERT_OK(bn_process_look(dir, &note, &alive, &err));
        if (alive) lab_pause();
    }
    assert_false(alive);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return note;
}

static void test_output_and_exit_code_are_kept_in_the_folder(void **state)
{
    const char *dir = *state;
    (void)start(dir, "echo out; echo err >&2; exit 7", NULL);
    bn_process_note note = wait_end(dir);
    assert_true(note.how.known);
    assert_int_equal(note.how.code, 7);
    assert_int_equal(note.attempt, 3);
    char *out = lab_read(dir, "stdout.log"), *log = lab_read(dir, "stderr.log");
    assert_string_equal(out, "out\n");
    assert_string_equal(log, "err\n");
    free(out);
    free(log);
}

static void test_a_signal_is_told_from_an_exit(void **state)
{
    const char *dir = *state;
    (void)start(dir, "kill -SEGV $$", NULL);
    bn_process_note note = wait_end(dir);
    assert_true(note.how.known);
    assert_int_equal(note.how.signal, SIGSEGV);
    assert_int_equal(note.how.code, -1);
}

static void test_a_program_that_cannot_start_says_so_in_its_log(void **state)
{
    const char *dir = *state;
    bn_identity identity;
    bn_error err = {0};
    const char *argv[] = {"no-such-program-here", NULL};
    bn_launch launch = {.dir = dir, .argv = argv, .attempt = 1};
    char words[200];
    ASSERT_OK(bn_process_start(&launch, &identity, &err));
    assert_int_equal(wait_end(dir).how.code, 127);
    bn_rundir_last_words(dir, words, sizeof words);
    assert_non_null(strstr(words, "cannot start 'no-such-program-here'"));
    assert_non_null(strstr(words, "No such file"));
}

static void test_only_allowed_variables_and_no_descriptors_are_inherited(void **state)
{
    const char *dir = *state;
    const char *env[] = {"BNEXP_ATTEMPT=5", "PATH=/usr/bin:/bin", NULL};
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "s3cret", 1), 0);
    int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    assert_true(leak >= 0);
    (void)start(dir, "env; ls /proc/$$/fd", env);
    (void)wait_end(dir);
    (void)close(leak);
    char *out = lab_read(dir, "stdout.log");
    assert_null(strstr(out, "s3cret"));
    assert_non_null(strstr(out, "BNEXP_ATTEMPT=5\n"));
    assert_non_null(strstr(out, "PATH=/usr/bin:/bin\n"));
    assert_non_null(strstr(out, "0\n1\n2\n"));
    assert_null(strstr(out, "0\n1\n2\n3"));
    free(out);
}

static void test_a_folder_has_at_most_one_run_at_a_time(void **state)
{
    const char *dir = *state;
    bn_identity second;
    bn_error err = {0};
    const char *argv[] = {"true", NULL};
    bn_launch launch = {.dir = dir, .argv = argv, .attempt = 4};
    bn_identity first = start(dir, "while :; do sleep 0.01; done", NULL);
    assert_true(bn_identity_alive(&first));
    assert_int_equal(bn_process_start(&launch, &second, &err), BN_EAGAIN);
    err = (bn_error){0};
    ASSERT_OK(bn_identity_signal(&first, SIGKILL, &err));
    (void)wait_end(dir);
    ASSERT_OK(bn_process_start(&launch, &second, &err));
    assert_int_equal(wait_end(dir).attempt, 4);
}

static void test_a_killed_shepherd_takes_its_program_along(void **state)
{
    const char *dir = *state;
    bn_identity shepherd = start(dir, "echo $$ > pid; exec sleep 1000", NULL);
    char path[BN_PATH_MAX];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(path, dir, "pid", &err));
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    while (!bn_file_exists(path) && bn_clock_mono_s() < end_s) lab_pause();
    char *text = NULL;
    while (!text || !*text) {
        free(text);
        text = lab_read(dir, "pid");
    }
    pid_t program = (pid_t)strtol(text, NULL, 10);
    free(text);
    assert_int_equal(kill((pid_t)shepherd.pid, SIGKILL), 0); /* alone, not its group */
    bn_process_note note = wait_end(dir);
    assert_false(note.how.known);
    while (kill(program, 0) == 0 && bn_clock_mono_s() < end_s) lab_pause();
    assert_int_equal(kill(program, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void test_a_recycled_pid_is_not_the_run(void **state)
{
    (void)state;
    bn_identity self, other;
    bn_error err = {0};
    bn_token token;
    ASSERT_OK(bn_identity_self(&self, &err));
    assert_true(bn_identity_alive(&self));
    bn_identity_text(&self, &token);
    ASSERT_OK(bn_identity_parse(token.text, &other, &err));
    assert_true(bn_identity_alive(&other));
    other.start_ticks++;
    assert_false(bn_identity_alive(&other));
    ASSERT_OK(bn_identity_signal(&other, SIGKILL, &err)); /* we live on */
    other = self;
    other.boot[0] = 'x';
    assert_false(bn_identity_alive(&other));
    assert_int_equal(bn_identity_parse("12 x", &other, &err), BN_EINVAL);
}

static void test_a_folder_where_nothing_ran_says_so(void **state)
{
    bn_process_note note;
    bn_error err = {0};
    bool alive = true;
    assert_int_equal(bn_process_look(*state, &note, &alive, &err), BN_ENOENT);
    assert_false(alive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_output_and_exit_code_are_kept_in_the_folder,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(test_a_signal_is_told_from_an_exit, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(test_a_program_that_cannot_start_says_so_in_its_log,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(
            test_only_allowed_variables_and_no_descriptors_are_inherited, scratch_open,
            scratch_close),
        cmocka_unit_test_setup_teardown(test_a_folder_has_at_most_one_run_at_a_time, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(test_a_killed_shepherd_takes_its_program_along,
                                        scratch_open, scratch_close),
        cmocka_unit_test(test_a_recycled_pid_is_not_the_run),
        cmocka_unit_test_setup_teardown(test_a_folder_where_nothing_ran_says_so, scratch_open,
                                        scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
