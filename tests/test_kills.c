/* The kill matrix: SIGKILL to the manager at every step it takes, and to managers and runs at
 * random moments. Whatever happens, the sweep ends with the same runs, the same records, each once.
 */
#include <signal.h>
#include <unistd.h>

#include "engine/base/rng.h"
#include "runner/fleet/process.h"
#include "support/sweep_lab.h"

enum { RUNS = 4, RECORDS = 6, RANDOM_KILLS = 150, STEPS_MAX = 400 };

/* Steps are the calls between which a manager's world changes. Counted in the child only; when the
 * counter reaches 0 the child is gone, before (odd) or after (even) the call. */
static int steps_left = -1;

static void step(void)
{
    if (steps_left > 0 && --steps_left == 0) (void)kill(getpid(), SIGKILL);
}

/* The linker puts these in front of the real ones; the names are its own.
 * NOLINTBEGIN(*-identifier*) */
bn_status __real_bn_history_append(bn_store *, const bn_history_batch *, size_t, bn_error *);
bn_status __wrap_bn_history_append(bn_store *, const bn_history_batch *, size_t, bn_error *);
bn_status __real_bn_run_move_all(bn_store *, const int64_t *, const bn_run_change *, size_t,
                                 bn_error *);
bn_status __wrap_bn_run_move_all(bn_store *, const int64_t *, const bn_run_change *, size_t,
                                 bn_error *);
bn_status __real_bn_process_start(const bn_launch *, bn_identity *, bn_error *);
bn_status __wrap_bn_process_start(const bn_launch *, bn_identity *, bn_error *);
bn_status __real_bn_run_add_all(bn_store *, const bn_run_new *, size_t, bn_error *);
bn_status __wrap_bn_run_add_all(bn_store *, const bn_run_new *, size_t, bn_error *);
bn_status __real_bn_rundir_lock(const char *, int *, bn_error *);
bn_status __wrap_bn_rundir_lock(const char *, int *, bn_error *);

bn_status __wrap_bn_history_append(bn_store *store, const bn_history_batch *batches, size_t count,
                                   bn_error *err)
{
    step();
    bn_status status = __real_bn_history_append(store, batches, count, err);
    step();
    return status;
}

bn_status __wrap_bn_run_move_all(bn_store *store, const int64_t *runs, const bn_run_change *changes,
                                 size_t count, bn_error *err)
{
    step();
    bn_status status = __real_bn_run_move_all(store, runs, changes, count, err);
    step();
    return status;
}

bn_status __wrap_bn_process_start(const bn_launch *launch, bn_identity *out, bn_error *err)
{
    step();
    bn_status status = __real_bn_process_start(launch, out, err);
    step();
    return status;
}

bn_status __wrap_bn_run_add_all(bn_store *store, const bn_run_new *runs, size_t count,
                                bn_error *err)
{
    step();
    bn_status status = __real_bn_run_add_all(store, runs, count, err);
    step();
    return status;
}

bn_status __wrap_bn_rundir_lock(const char *dir, int *fd, bn_error *err)
{
    step();
    bn_status status = __real_bn_rundir_lock(dir, fd, err);
    step();
    return status;
}

/* NOLINTEND(*-identifier*) */

static const char SWEEP[] = "name = \"s\"\nmethod = \"grid\"\n"
                            "command = [\"sh\", \"" TRAINER_SH "\", \"${param:x}\", \"0.004\"]\n"
                            "[parameters]\nx = { values = [1, 2, 3, 4] }\n"
                            "[resources]\nretries = 1000\n";

/* A manager's whole life, in a process of its own. after: steps until it is killed; -1: it lives.
 */
static pid_t start_manager(const char *home, int after)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    sweep_lab lab = {.home = strdup(home)};
    if (!lab.home) _exit(1);
    steps_left = after;
    lab_sweep(&lab, SWEEP, 2);
    lab_sweep_run(&lab);
    lab_sweep_close(&lab);
    _exit(0);
}

/* True when the manager came to the end of the sweep, false when it was killed. */
static bool wait_manager(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return false;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

static void assert_run_is_whole(bn_store *store, const bn_run *run)
{
    bn_series series;
    bn_error err = {0};
    assert_int_equal(run->state, BN_RUN_FINISHED);
    assert_int_equal(run->next_seq, RECORDS);
    ASSERT_OK(bn_history_series(store, run->id, "val/loss", &series, &err));
    assert_int_equal(series.count, RECORDS);
    for (int i = 0; i < RECORDS; i++) {
        double wanted = run->number + 1 + (RECORDS - i) / 10.0;
        assert_int_equal(series.seq[i], i);
        assert_true(fabs(series.number[i] - wanted) < 1e-9);
    }
    bn_series_release(&series);
}

/* The same as of a sweep that nothing happened to. attempts_max: 1 where no run was killed. */
static void assert_sweep_is_whole(const char *home, int attempts_max)
{
    bn_store *store = home_open(home, BN_STORE_READ);
    bn_run *runs = NULL;
    size_t count = 0;
    bn_error err = {0};
    ASSERT_OK(bn_run_list(store, 0, &runs, &count, &err));
    assert_int_equal(count, RUNS);
    for (size_t i = 0; i < count; i++) {
        assert_run_is_whole(store, &runs[i]);
        if (runs[i].attempt > attempts_max) {
            fail_msg("run %d took %d attempts: %s", runs[i].number, runs[i].attempt,
                     runs[i].reason);
        }
    }
    free(runs);
    bn_store_close(store);
}

static void test_a_manager_killed_at_every_step_loses_and_doubles_nothing(void **state)
{
    (void)state;
    bool finished = false;
    int steps = 1;
    for (; !finished && steps < STEPS_MAX; steps++) {
        void *home = NULL;
        assert_int_equal(scratch_open(&home), 0);
        finished = wait_manager(start_manager(home, steps));
        if (!finished) assert_true(wait_manager(start_manager(home, -1)));
        /* An intent without a deed takes a number: hence two. */
        assert_sweep_is_whole(home, 2);
        (void)scratch_close(&home);
    }
    assert_true(finished);
    assert_true(steps > 20);
}

/* Kills a living run of the home, if there is one: its whole group, or its shepherd alone. */
static void kill_some_run(const char *home, uint64_t bits)
{
    static const char *const names[RUNS] = {"x1", "x2", "x3", "x4"};
    for (uint64_t i = 0; i < RUNS; i++) {
        char dir[BN_PATH_MAX];
        bn_process_note note;
        bool alive = false;
        bn_error err = {0};
        (void)snprintf(dir, sizeof dir, "%s/s/%s", home, names[(bits + i) % RUNS]);
        if (bn_process_look(dir, &note, &alive, &err) != BN_OK || !alive) continue;
        pid_t pid = (pid_t)note.identity.pid;
        if (pid <= 1) continue;
        (void)kill(bits & 64 ? pid : -pid, SIGKILL);
        return;
    }
}

static void wait_a_little(uint64_t bits)
{
    double end_s = bn_clock_mono_s() + 0.25 * (double)(bits >> 40) / (double)(1 << 24);
    while (bn_clock_mono_s() < end_s) lab_pause();
}

static void test_random_kills_of_managers_and_runs_lose_and_double_nothing(void **state)
{
    (void)state;
    uint64_t key = bn_rng_key(20, "kills", 0), round = 0;
    int kills = 0;
    while (kills < RANDOM_KILLS) {
        void *home = NULL;
        bool finished = false;
        assert_int_equal(scratch_open(&home), 0);
        for (int tries = 0; !finished && tries < 12; tries++, round++) {
            uint64_t bits = bn_rng_bits(key, round);
            pid_t manager = start_manager(home, -1);
            wait_a_little(bits);
            if (bits & 1) kill_some_run(home, bits >> 8);
            if (bits & 2) (void)kill(manager, SIGKILL);
            if ((bits & 3) == 3) kill_some_run(home, bits >> 16);
            kills += (bits & 1 ? 1 : 0) + (bits & 2 ? 1 : 0);
            finished = wait_manager(manager);
        }
        if (!finished) assert_true(wait_manager(start_manager(home, -1)));
        assert_sweep_is_whole(home, 1000);
        (void)scratch_close(&home);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_manager_killed_at_every_step_loses_and_doubles_nothing),
        cmocka_unit_test(test_random_kills_of_managers_and_runs_lose_and_double_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
