#include <signal.h>
#include <sys/wait.h>

#include "runner/fleet/nursery.h"
#include "support/fleet_lab.h"

typedef struct fixture {
    char *dir;
    bn_nursery *nursery;
} fixture;

static int setup(void **state)
{
    static fixture at;
    void *dir = NULL;
    bn_error err = {0};
    if (scratch_open(&dir) != 0) return 1;
    at = (fixture){.dir = dir};
    ASSERT_OK(bn_nursery_open(&at.nursery, &err));
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    void *dir = at->dir;
    bn_nursery_close(at->nursery);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return scratch_close(&dir);
}

/* A folder of a run's own below the fixture's. */
static void folder(const fixture *at, const char *name, char out[BN_PATH_MAX])
{
    bn_error err = {0};
    ASSERT_OK(bn_path_join(out, at->dir, name, &err));
    ASSERT_OK(bn_dir_make(out, 0700, &err));
}

static bn_identity start(const fixture *at, const char *dir, const char *script)
{
    bn_identity identity;
    bn_error err = {0};
    const char *argv[] = {"sh", "-c", script, NULL}, *env[] = {"GREETING=hello you", NULL};
    bn_launch launch = {.dir = dir, .argv = argv, .env = env, .attempt = 2};
    ASSERT_OK(bn_nursery_start(at->nursery, &launch, &identity, &err));
    return identity;
}

/* As a manager waits: as long as it is held there is no need to look. */
static bn_process_note wait_end(const fixture *at, const char *dir, const bn_identity *identity)
{
    bn_process_note note;
    bn_error err = {0};
    bool alive = true;
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    while (bn_nursery_holds(at->nursery, identity->pid) && bn_clock_mono_s() < end_s) lab_pause();
    while (alive && bn_clock_mono_s() < end_s) {
        ASSERT_OK(bn_process_look(dir, &note, &alive, &err));
        if (alive) lab_pause();
    }
    assert_false(alive);
    return note;
}

static void test_a_run_starts_as_it_was_told_and_its_end_is_known(void **state)
{
    const fixture *at = *state;
    char dir[BN_PATH_MAX];
    folder(at, "run", dir);
    bn_identity identity = start(at, dir, "echo $GREETING; pwd; exit 7");
    bn_process_note note = wait_end(at, dir, &identity);
    assert_true(note.how.known);
    assert_int_equal(note.how.code, 7);
    assert_int_equal(note.attempt, 2);
    assert_int_equal(note.identity.pid, identity.pid);
    char *out = lab_read(dir, "stdout.log"), wanted[BN_PATH_MAX + 32];
    (void)snprintf(wanted, sizeof wanted, "hello you\n%s\n", dir);
    assert_string_equal(out, wanted);
    free(out);
}

static void test_an_end_wakes_the_manager(void **state)
{
    const fixture *at = *state;
    char dir[BN_PATH_MAX];
    sigset_t child;
    const struct timespec patience = {.tv_sec = LAB_PATIENCE_S};
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    folder(at, "run", dir);
    bn_identity identity = start(at, dir, "exit 0");
    assert_int_equal(sigtimedwait(&child, NULL, &patience), SIGCHLD);
    assert_false(bn_nursery_holds(at->nursery, identity.pid)); /* at once: told before woken */
    (void)wait_end(at, dir, &identity);
}

static void test_a_folder_that_is_running_is_refused_here_too(void **state)
{
    const fixture *at = *state;
    char dir[BN_PATH_MAX];
    bn_identity second;
    bn_error err = {0};
    const char *argv[] = {"true", NULL};
    folder(at, "run", dir);
    bn_identity first = start(at, dir, "exec sleep 1000");
    bn_launch launch = {.dir = dir, .argv = argv, .attempt = 3};
    assert_int_equal(bn_nursery_start(at->nursery, &launch, &second, &err), BN_EAGAIN);
    assert_non_null(strstr(err.text, "is running already"));
    assert_true(bn_nursery_holds(at->nursery, first.pid));
    err = (bn_error){0};
    ASSERT_OK(bn_identity_signal(&first, SIGKILL, &err));
    (void)wait_end(at, dir, &first);
}

static void test_what_is_too_long_to_tell_is_started_all_the_same(void **state)
{
    const fixture *at = *state;
    enum { BYTES = 120 * 1024 };
    char dir[BN_PATH_MAX], *script = malloc(BYTES + 16);
    assert_non_null(script);
    memset(script, ' ', BYTES);
    (void)snprintf(script + BYTES, 16, "exit 9");
    folder(at, "run", dir);
    bn_identity identity = start(at, dir, script);
    free(script);
    assert_int_equal(wait_end(at, dir, &identity).how.code, 9);
}

/* The process that does the forks: the parent of a shepherd. */
static pid_t parent_of(int64_t pid)
{
    char path[64], *text = NULL, *place = NULL;
    size_t bytes = 0;
    bn_error err = {0};
    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    ASSERT_OK(bn_file_read(path, 4096, &text, &bytes, &err));
    place = strrchr(text, ')');
    assert_non_null(place);
    pid_t parent = (pid_t)strtol(place + 4, NULL, 10); /* ") S 4711" */
    free(text);
    return parent;
}

static void test_a_killed_nursery_costs_no_run_and_no_start(void **state)
{
    const fixture *at = *state;
    char before[BN_PATH_MAX], after[BN_PATH_MAX];
    bn_error err = {0};
    folder(at, "before", before);
    folder(at, "after", after);
    bn_identity living = start(at, before, "exec sleep 1000");
    pid_t nursery = parent_of(living.pid);
    assert_int_not_equal(nursery, getpid());
    assert_int_equal(kill(nursery, SIGKILL), 0);
    bn_identity next = start(at, after, "exit 3");
    assert_int_equal(wait_end(at, after, &next).how.code, 3);
    assert_true(bn_identity_alive(&living));
    assert_false(bn_nursery_holds(at->nursery, living.pid)); /* look instead */
    ASSERT_OK(bn_identity_signal(&living, SIGKILL, &err));
    (void)wait_end(at, before, &living);
}

static void test_a_killed_manager_takes_the_nursery_along_and_leaves_the_run(void **state)
{
    const fixture *at = *state;
    char dir[BN_PATH_MAX];
    bn_process_note note;
    bn_error err = {0};
    bool alive = false;
    folder(at, "run", dir);
    pid_t manager = fork();
    if (manager == 0) {
        fixture own = {.dir = at->dir};
        if (bn_nursery_open(&own.nursery, &err) != BN_OK) _exit(1);
        (void)start(&own, dir, "exec sleep 1000");
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(manager, NULL, 0), manager);
    ASSERT_OK(bn_process_look(dir, &note, &alive, &err));
    assert_true(alive);
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    pid_t parent = parent_of(note.identity.pid), first = parent;
    while (parent == first && kill(first, 0) == 0 && first != 1 && bn_clock_mono_s() < end_s) {
        lab_pause();
        parent = parent_of(note.identity.pid);
    }
    assert_true(bn_clock_mono_s() < end_s);
    assert_true(bn_identity_alive(&note.identity));
    ASSERT_OK(bn_identity_signal(&note.identity, SIGKILL, &err));
    (void)wait_end(at, dir, &note.identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_run_starts_as_it_was_told_and_its_end_is_known,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_wakes_the_manager, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_that_is_running_is_refused_here_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_too_long_to_tell_is_started_all_the_same,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_killed_nursery_costs_no_run_and_no_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_a_killed_manager_takes_the_nursery_along_and_leaves_the_run, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
