#include <signal.h>

#include "runner/sweep.h"
#include "support/sweep_lab.h"

#define TRAINER "\"sh\", \"" TRAINER_SH "\", \"${param:x}\""

static void test_every_run_of_the_file_is_run_once(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [" TRAINER "]\nreplicates = 2\n"
              "[parameters]\nx = { values = [1, 2, 3] }\n",
              4);
    lab_sweep_run(lab);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 6);
    for (int i = 0; i < 6; i++) {
        bn_run row = lab_row(lab, i);
        assert_int_equal(row.attempt, 1);
        assert_int_equal(row.next_seq, 6);
    }
}

static void test_the_same_file_again_starts_nothing(void **state)
{
    sweep_lab *lab = *state;
    static const char text[] = "name = \"s\"\nmethod = \"grid\"\ncommand = [" TRAINER "]\n"
                               "[parameters]\nx = { values = [1, 2, 3] }\n";
    lab_sweep(lab, text, 2);
    lab_sweep_run(lab);
    lab_sweep_close(lab);
    lab_sweep(lab, text, 2);
    bn_sweep_look look;
    bn_sweeper_look(lab->sweeper, &look);
    assert_true(look.found);
    assert_true(lab_sweep_tick(lab));
    bn_sweeper_look(lab->sweeper, &look);
    assert_int_equal(look.attempts, 0);
    assert_int_equal(look.counts[BN_RUN_FINISHED], 3);
    assert_int_equal(look.state, BN_SWEEP_FINISHED);
}

static void test_a_raised_cap_adds_runs_and_keeps_the_rest(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"random\"\nseed = 1\nrun_cap = 3\ncommand = [" TRAINER
              "]\n[parameters]\nx = { min = 0, max = 1000000 }\n",
              2);
    lab_sweep_run(lab);
    bn_run first = lab_row(lab, 0);
    lab_sweep_close(lab);
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"random\"\nseed = 1\nrun_cap = 5\ncommand = [" TRAINER
              "]\n[parameters]\nx = { min = 0, max = 1000000 }\n",
              2);
    lab_sweep_run(lab);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 5);
    assert_string_equal(lab_row(lab, 0).key, first.key);
    assert_int_equal(lab_row(lab, 0).attempt, 1);
}

static void test_crashes_are_repeated_as_often_as_allowed(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\n"
              "command = [\"sh\", \"-c\", \"test $BNEXP_ATTEMPT = ${param:x} || kill -9 $$\"]\n"
              "[parameters]\nx = { values = [1, 2, 9] }\n[resources]\nretries = 1\n",
              3);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).attempt, 1);
    assert_int_equal(lab_row(lab, 1).attempt, 2);
    assert_int_equal(lab_row(lab, 1).state, BN_RUN_FINISHED);
    assert_int_equal(lab_row(lab, 2).attempt, 2);
    assert_int_equal(lab_row(lab, 2).state, BN_RUN_CRASHED);
    assert_string_equal(lab_row(lab, 2).reason, "signal 9");
}

static void test_what_fails_by_itself_is_not_repeated_unless_named(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [\"sh\", \"-c\", \"exit 3\"]\n"
              "[parameters]\nx = { values = [1] }\n[resources]\nretries = 5\n",
              1);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).attempt, 1);
    lab_sweep_close(lab);
    lab_sweep(lab,
              "name = \"t\"\nmethod = \"grid\"\ncommand = [\"sh\", \"-c\", \"exit 3\"]\n"
              "[parameters]\nx = { values = [1] }\n[resources]\nretries = 1\n"
              "retry_on = [\"failed\"]\n",
              1);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).attempt, 2);
}

static void test_too_many_first_failures_stop_the_sweep(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [\"sh\", \"-c\", \"exit 3\"]\n"
              "[parameters]\nx = { values = [1, 2, 3, 4, 5, 6] }\n"
              "[resources]\nmax_initial_failures = 2\n",
              1);
    lab_sweep_run(lab);
    bn_sweep_look look;
    bn_sweeper_look(lab->sweeper, &look);
    assert_true(look.gave_up);
    assert_int_equal(look.counts[BN_RUN_FAILED], 2);
    assert_int_equal(look.counts[BN_RUN_PENDING], 4);
}

static void test_a_run_that_takes_too_long_is_stopped(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [\"sleep\", \"1000\"]\n"
              "[parameters]\nx = { values = [1] }\n[resources]\ntimeout = 0.1\ngrace = 0.1\n",
              1);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_FAILED);
    assert_string_equal(lab_row(lab, 0).reason, "timeout: longer than 0.1 s");
}

static void test_a_run_that_goes_silent_is_stopped(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\n"
              "command = [\"sh\", \"-c\", \"echo '{\\\"a\\\":1}' >> $BNEXP_EVENTS; sleep 1000\"]\n"
              "[parameters]\nx = { values = [1] }\n[resources]\nstall_timeout = 0.2\ngrace = 0.1\n",
              1);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_CRASHED);
    assert_string_equal(lab_row(lab, 0).reason, "stalled: nothing heard for 0.2 s");
    assert_int_equal(lab_row(lab, 0).next_seq, 1);
}

/* Until a run has made a file in its folder. */
static void wait_for_file(const sweep_lab *lab, int number, const char *name)
{
    char dir[BN_PATH_MAX], path[BN_PATH_MAX];
    bn_error err = {0};
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    ASSERT_OK(bn_path_join(dir, lab->home, lab_row(lab, number).dir, &err));
    ASSERT_OK(bn_path_join(path, dir, name, &err));
    while (!bn_file_exists(path) && bn_clock_mono_s() < end_s) lab_pause();
    assert_true(bn_file_exists(path));
}

static void test_a_clock_that_jumps_by_days_changes_no_verdict(void **state)
{
    sweep_lab *lab = *state;
    bool done = false;
    bn_error err = {0};
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [" TRAINER ", \"0.02\"]\n"
              "[parameters]\nx = { values = [1, 2, 3] }\n"
              "[resources]\ntimeout = 3600\nstall_timeout = 3600\n",
              2);
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S, day_s = 86400;
    for (int i = 0; !done && bn_clock_mono_s() < end_s; i++) {
        double wall_s = bn_clock_wall_s() + (i % 3 - 1) * 400 * day_s;
        ASSERT_OK(bn_sweeper_tick(lab->sweeper, wall_s, bn_clock_mono_s(), &done, &err));
        lab_pause();
    }
    for (int i = 0; i < 3; i++) {
        bn_run row = lab_row(lab, i);
        assert_int_equal(row.state, BN_RUN_FINISHED);
        assert_int_equal(row.attempt, 1);
        assert_int_equal(row.next_seq, 6);
        assert_true(row.duration_s >= 0);
    }
}

static void test_a_drained_sweep_goes_on_where_it_was(void **state)
{
    sweep_lab *lab = *state;
    static const char text[] =
        "name = \"s\"\nmethod = \"grid\"\n"
        "command = [\"sh\", \"-c\", \"trap 'exit 75' TERM; test -e $BNEXP_RUN_DIR/seen && exit 0;"
        "touch $BNEXP_RUN_DIR/seen; while :; do sleep 0.01; done\"]\n"
        "[parameters]\nx = { values = [1, 2, 3] }\n[resources]\ngrace = 5\n";
    bn_error err = {0};
    lab_sweep(lab, text, 2);
    (void)lab_sweep_tick(lab);
    assert_int_equal(lab_count(lab, BN_RUN_RUNNING), 2);
    wait_for_file(lab, 0, "seen");
    wait_for_file(lab, 1, "seen");
    ASSERT_OK(bn_sweeper_drain(lab->sweeper, false, &err));
    lab_sweep_run(lab);
    assert_int_equal(lab_count(lab, BN_RUN_PREEMPTED), 2);
    assert_int_equal(lab_count(lab, BN_RUN_PENDING), 1);
    lab_sweep_close(lab);
    lab_sweep(lab, text, 2);
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    while (lab_count(lab, BN_RUN_FINISHED) < 2 && bn_clock_mono_s() < end_s) {
        (void)lab_sweep_tick(lab);
        lab_pause();
    }
    assert_int_equal(lab_row(lab, 0).attempt, 2);
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_FINISHED);
    ASSERT_OK(bn_sweeper_drain(lab->sweeper, true, &err));
    lab_sweep_run(lab);
}

static void test_a_canceled_sweep_ends_its_runs(void **state)
{
    sweep_lab *lab = *state;
    bn_sweep_look look;
    bn_error err = {0};
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [\"sleep\", \"1000\"]\n"
              "[parameters]\nx = { values = [1, 2] }\n[resources]\ngrace = 5\n",
              1);
    (void)lab_sweep_tick(lab);
    bn_sweeper_look(lab->sweeper, &look);
    ASSERT_OK(bn_sweep_set_state(lab->store, look.sweep, BN_SWEEP_CANCELED, &err));
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_KILLED);
    assert_int_equal(lab_row(lab, 1).state, BN_RUN_PENDING);
}

static void test_a_sweep_that_is_canceled_while_its_last_run_ends_is_not_finished(void **state)
{
    sweep_lab *lab = *state;
    bn_sweep_look look;
    bn_sweep row;
    bn_error err = {0};
    bool done = false;
    /* A clock that stands: the wish is not due to be read. */
    double mono_s = bn_clock_mono_s(), end_s = mono_s + LAB_PATIENCE_S;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [\"true\"]\n"
              "[parameters]\nx = { values = [1] }\n",
              1);
    ASSERT_OK(bn_sweeper_tick(lab->sweeper, bn_clock_wall_s(), mono_s, &done, &err));
    bn_sweeper_look(lab->sweeper, &look);
    ASSERT_OK(bn_sweep_set_state(lab->store, look.sweep, BN_SWEEP_CANCELED, &err));
    while (!done && bn_clock_mono_s() < end_s) {
        ASSERT_OK(bn_sweeper_tick(lab->sweeper, bn_clock_wall_s(), mono_s, &done, &err));
        lab_pause();
    }
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_FINISHED);
    ASSERT_OK(bn_sweep_get(lab->store, look.sweep, &row, &err));
    assert_int_equal(row.state, BN_SWEEP_CANCELED);
}

static void test_what_has_finished_elsewhere_is_skipped(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\ncommand = [" TRAINER "]\n"
              "[parameters]\nx = { values = [1, 2] }\n",
              2);
    lab_sweep_run(lab);
    bn_run twin = lab_row(lab, 1);
    lab_sweep_close(lab);
    lab_sweep(lab,
              "name = \"t\"\nmethod = \"grid\"\ncommand = [" TRAINER "]\n"
              "[parameters]\nx = { values = [2, 3] }\n",
              2);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_SKIPPED);
    assert_non_null(strstr(lab_row(lab, 0).reason, twin.key));
    assert_int_equal(lab_row(lab, 1).state, BN_RUN_FINISHED);
}

static void test_a_program_learns_its_place_from_its_environment(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\nreplicates = 2\n"
              "command = [\"sh\", \"-c\", \"cat $BNEXP_CONFIG; echo $BNEXP_SEED $BNEXP_ATTEMPT; "
              "echo $1 $2 $3\", \"sh\", \"${args}\", \"${run_id}\"]\n"
              "[parameters]\nlr = { values = [0.1] }\n",
              1);
    lab_sweep_run(lab);
    bn_run row = lab_row(lab, 1);
    char dir[BN_PATH_MAX], wanted[256];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(dir, lab->home, row.dir, &err));
    char *out = lab_read(dir, "stdout.log");
    (void)snprintf(wanted, sizeof wanted, "{\"lr\":0.1,\"seed\":1}\n1 1\n--lr=0.1 --seed=1 %s\n",
                   row.key);
    assert_string_equal(out, wanted);
    free(out);
}

static const char *const LAB_GPUS[] = {"GPU-a", "GPU-b", "GPU-c", "GPU-d"};

/* Two runs at once, each of which ends when it has seen the other's devices: so both slots are in
 * use, whatever the machine's speed. */
static void test_each_slot_has_its_own_gpus(void **state)
{
    sweep_lab *lab = *state;
    bn_error err = {0};
    char meeting[BN_PATH_MAX], text[BN_PATH_MAX + 512];
    ASSERT_OK(bn_path_join(meeting, lab->home, "meeting", &err));
    ASSERT_OK(bn_dir_make(meeting, 0700, &err));
    (void)snprintf(text, sizeof text,
                   "name = \"s\"\nmethod = \"grid\"\n"
                   "command = [\"sh\", \"-c\", \"echo $CUDA_VISIBLE_DEVICES ${gpu}; "
                   ">$1/$CUDA_VISIBLE_DEVICES; n=0; "
                   "while [ ! -f $1/GPU-a,GPU-b -o ! -f $1/GPU-c,GPU-d ] && [ $n -lt 1000 ]; do "
                   "sleep 0.02; n=$((n + 1)); done; [ $n -lt 1000 ]\", \"sh\", \"%s\"]\n"
                   "[resources]\ngpus = 2\n"
                   "[parameters]\nx = { values = [1, 2] }\n",
                   meeting);
    lab->gpu_ids = LAB_GPUS;
    lab->gpu_count = 4;
    lab_sweep(lab, text, 2);
    lab_sweep_run(lab);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 2);
    char *said[2];
    for (int i = 0; i < 2; i++) {
        char dir[BN_PATH_MAX];
        ASSERT_OK(bn_path_join(dir, lab->home, lab_row(lab, i).dir, &err));
        said[i] = lab_read(dir, "stdout.log");
    }
    bool first = strncmp(said[0], "GPU-a", 5) == 0;
    assert_string_equal(said[!first], "GPU-a,GPU-b GPU-a,GPU-b\n");
    assert_string_equal(said[first], "GPU-c,GPU-d GPU-c,GPU-d\n");
    free(said[0]);
    free(said[1]);
}

static void test_a_method_that_learns_goes_on_where_it_was(void **state)
{
    sweep_lab *lab = *state;
    static const char file[] =
        "name = \"s\"\nmethod = \"tpe\"\nseed = 3\nreplicates = 2\nrun_cap = %d\n"
        "metric = { name = \"loss\", goal = \"minimize\" }\n"
        "command = [\"sh\", \"-c\", \"echo '{\\\"loss\\\":${param:x}}' >> $BNEXP_EVENTS\"]\n"
        "[parameters]\nx = { min = 0.0, max = 1.0 }\ny = { values = [\"a\", \"b\"] }\n";
    char text[512];
    (void)snprintf(text, sizeof text, file, 13); /* cuts a configuration's replicates apart */
    lab_sweep(lab, text, 1);
    lab_sweep_run(lab);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 13);
    bn_run first = lab_row(lab, 0), cut = lab_row(lab, 12);
    lab_sweep_close(lab);
    (void)snprintf(text, sizeof text, file, 16);
    lab_sweep(lab, text, 2);
    lab_sweep_run(lab);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 16);
    assert_string_equal(lab_row(lab, 0).key, first.key);
    char *a = NULL, *b = NULL;
    bn_error err = {0};
    ASSERT_OK(bn_run_config(lab->store, cut.id, &a, &err));
    ASSERT_OK(bn_run_config(lab->store, lab_row(lab, 13).id, &b, &err));
    size_t same = (size_t)(strstr(a, "\"seed\"") - a);
    assert_memory_equal(a, b, same); /* the same point, another seed */
    assert_string_not_equal(a, b);
    free(a);
    free(b);
}

static void test_a_run_that_is_worse_than_the_rule_allows_is_pruned(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\n"
              "metric = { name = \"loss\", goal = \"minimize\" }\n"
              "command = [\"sh\", \"-c\", \"trap 'exit 75' TERM; for i in 1 2 3; do "
              "echo '{\\\"step\\\":'$i',\\\"loss\\\":${param:x}}' >> $BNEXP_EVENTS; done; "
              "test ${param:x} = 1 && exit 0; while :; do sleep 0.01; done\"]\n"
              "[parameters]\nx = { values = [1, 9, 8] }\n"
              "[early_terminate]\ntype = \"threshold\"\nthreshold = 5.0\nmin_iter = 2\n"
              "[resources]\ngrace = 5\n",
              2);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_FINISHED);
    assert_int_equal(lab_row(lab, 1).state, BN_RUN_PRUNED);
    assert_int_equal(lab_row(lab, 2).state, BN_RUN_PRUNED);
    assert_non_null(strstr(lab_row(lab, 1).reason, "pruned: "));
    assert_int_equal(lab_row(lab, 1).next_seq, 3);
}

static void test_a_run_whose_metric_is_no_number_has_failed(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\n"
              "metric = { name = \"loss\", goal = \"minimize\" }\n"
              "command = [\"sh\", \"-c\", \"trap 'exit 75' TERM; echo '{\\\"loss\\\":NaN}' >> "
              "$BNEXP_EVENTS; while :; do sleep 0.01; done\"]\n"
              "[parameters]\nx = { values = [1] }\n[resources]\ngrace = 5\n",
              1);
    lab_sweep_run(lab);
    assert_int_equal(lab_row(lab, 0).state, BN_RUN_FAILED);
    assert_non_null(strstr(lab_row(lab, 0).reason, "diverged"));
}

static void test_a_flooded_log_is_cut_and_the_sweep_goes_on(void **state)
{
    sweep_lab *lab = *state;
    char path[BN_PATH_MAX], dir[BN_PATH_MAX];
    struct stat info;
    bn_error err = {0};
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\n"
              "command = [\"sh\", \"-c\", \"head -c 90000000 /dev/zero >&2; sleep 1.2\"]\n"
              "[parameters]\nx = { values = [1] }\n",
              1);
    lab_sweep_run(lab);
    bn_run row = lab_row(lab, 0);
    assert_int_equal(row.state, BN_RUN_FINISHED);
    ASSERT_OK(bn_path_join(dir, lab->home, row.dir, &err));
    ASSERT_OK(bn_path_join(path, dir, "stderr.log", &err));
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size < 64 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_run_of_the_file_is_run_once, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_the_same_file_again_starts_nothing, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_raised_cap_adds_runs_and_keeps_the_rest,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_crashes_are_repeated_as_often_as_allowed,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_what_fails_by_itself_is_not_repeated_unless_named,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_too_many_first_failures_stop_the_sweep,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_takes_too_long_is_stopped, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_goes_silent_is_stopped, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_clock_that_jumps_by_days_changes_no_verdict,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_drained_sweep_goes_on_where_it_was, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_canceled_sweep_ends_its_runs, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_sweep_that_is_canceled_while_its_last_run_ends_is_not_finished, lab_sweep_setup,
            lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_what_has_finished_elsewhere_is_skipped,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_program_learns_its_place_from_its_environment,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_each_slot_has_its_own_gpus, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_flooded_log_is_cut_and_the_sweep_goes_on,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_method_that_learns_goes_on_where_it_was,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_is_worse_than_the_rule_allows_is_pruned,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_run_whose_metric_is_no_number_has_failed,
                                        lab_sweep_setup, lab_sweep_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
