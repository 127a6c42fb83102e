#include <signal.h>
#include <sys/wait.h>

#include "engine/base/text.h"
#include "runner/fleet/fleet.h"
#include "support/fleet_lab.h"

typedef struct fixture {
    char *home;
    bn_store *store;
    int64_t sweep;
    bn_fleet *fleet;
} fixture;

static int setup(void **state)
{
    static fixture at;
    void *home = NULL;
    if (scratch_open(&home) != 0) return 1;
    at = (fixture){.home = home};
    at.store = home_open(at.home, BN_STORE_WRITE);
    at.sweep = home_sweep(at.store, "lr");
    at.fleet = lab_fleet(at.store, at.home, 4);
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    void *home = at->home;
    bn_fleet_close(at->fleet);
    bn_store_close(at->store);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return scratch_close(&home);
}

static const bn_member *only_member(const bn_fleet *fleet)
{
    assert_int_equal(bn_fleet_count(fleet), 1);
    return bn_fleet_at(fleet, 0);
}

/* A manager that dies without a word: its memory is gone, its runs and rows are not. */
static void forget(fixture *at)
{
    bn_fleet_close(at->fleet);
    at->fleet = lab_fleet(at->store, at->home, 4);
}

static void test_a_run_is_started_heard_and_judged(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    lab_start(at->fleet, &run, "echo '{\"loss\":2}' >> $BNEXP_EVENTS; echo bye >&2");
    assert_int_equal(lab_run(at->store, run.id).state, BN_RUN_RUNNING);
    lab_drain(at->fleet);
    bn_run row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_FINISHED);
    assert_int_equal(row.attempt, 1);
    assert_int_equal(row.exit_code, 0);
    assert_int_equal(row.next_seq, 1);
    assert_true(row.duration_s >= 0 && row.ended_s >= row.started_s);
    assert_true(*row.host && *row.token);
}

/* The clock is set two days on while the run is under way. */
static void test_a_clock_that_is_set_changes_no_duration(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    double begin_s = bn_clock_mono_s(), end_s = begin_s + LAB_PATIENCE_S;
    bn_run run = home_run(at->store, at->sweep, 0);
    lab_start(at->fleet, &run, "exit 0");
    while (bn_fleet_count(at->fleet) > 0 && bn_clock_mono_s() < end_s) {
        double wall_s = bn_clock_wall_s() + 2 * 86400;
        ASSERT_OK(bn_fleet_tick(at->fleet, wall_s, bn_clock_mono_s(), &err));
        ASSERT_OK(bn_fleet_commit(at->fleet, wall_s, &err));
        lab_pause();
    }
    bn_run row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_FINISHED);
    assert_true(row.duration_s > 0 && row.duration_s <= bn_clock_mono_s() - begin_s);
}

static void test_a_crash_keeps_its_records_and_its_last_words(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    lab_start(at->fleet, &run,
              "printf '{\"loss\":2}\\n{\"lo' >> $BNEXP_EVENTS; echo 'disk on fire' >&2; exit 3");
    lab_drain(at->fleet);
    bn_run row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_FAILED);
    assert_string_equal(row.reason, "exit 3: disk on fire");
    assert_int_equal(row.exit_code, 3);
    assert_int_equal(row.next_seq, 1);
}

static void test_a_living_run_is_adopted_and_heard_to_its_end(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_error err = {0};
    bool taken = false;
    lab_start(at->fleet, &run,
              "echo '{\"loss\":2}' >> $BNEXP_EVENTS; until test -e go; do sleep 0.01; done;"
              "echo '{\"loss\":1}' >> $BNEXP_EVENTS");
    forget(at);
    bn_run row = lab_run(at->store, run.id);
    ASSERT_OK(bn_fleet_adopt(at->fleet, &row, &taken, &err));
    assert_true(taken);
    lab_tick(at->fleet);
    assert_int_equal(only_member(at->fleet)->phase, BN_PHASE_RUNNING);
    lab_write(only_member(at->fleet)->dir, "go", "");
    lab_drain(at->fleet);
    row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_FINISHED);
    assert_int_equal(row.attempt, 1);
    assert_int_equal(row.next_seq, 2);
}

static void test_a_run_that_ended_unwatched_is_judged_by_its_folder(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_error err = {0};
    bn_process_note note;
    bool taken = false, alive = true;
    char dir[BN_PATH_MAX];
    lab_start(at->fleet, &run, "echo '{\"loss\":2}' >> $BNEXP_EVENTS; exit 4");
    forget(at);
    ASSERT_OK(bn_path_join(dir, at->home, run.dir, &err));
    while (alive) {
        ASSERT_OK(bn_process_look(dir, &note, &alive, &err));
        lab_pause();
    }
    bn_run row = lab_run(at->store, run.id);
    ASSERT_OK(bn_fleet_adopt(at->fleet, &row, &taken, &err));
    lab_drain(at->fleet);
    row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_FAILED);
    assert_string_equal(row.reason, "exit 4");
    assert_int_equal(row.next_seq, 1);
}

static void test_an_intent_without_a_deed_waits_again(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_error err = {0};
    bool taken = true;
    ASSERT_OK(bn_fleet_plan(at->fleet, &run, &err));
    ASSERT_OK(bn_fleet_commit(at->fleet, 10, &err));
    forget(at); /* killed between the row and the process */
    bn_run row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_RUNNING);
    ASSERT_OK(bn_fleet_adopt(at->fleet, &row, &taken, &err));
    assert_false(taken);
    lab_tick(at->fleet);
    assert_int_equal(lab_run(at->store, run.id).state, BN_RUN_PENDING);
}

static void test_another_sweeps_intent_is_given_a_minute_by_a_clock_that_was_not_set_back(
    void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_error err = {0};
    ASSERT_OK(bn_fleet_plan(at->fleet, &run, &err));
    ASSERT_OK(bn_fleet_commit(at->fleet, 1000, &err));
    forget(at);
    bn_run row = lab_run(at->store, run.id);
    ASSERT_OK(bn_fleet_adopt_dead(at->fleet, &row, 1059, &err));
    lab_tick(at->fleet);
    assert_int_equal(lab_run(at->store, run.id).state, BN_RUN_RUNNING);
    ASSERT_OK(bn_fleet_adopt_dead(at->fleet, &row, 500, &err)); /* begun in the future */
    lab_tick(at->fleet);
    assert_int_equal(lab_run(at->store, run.id).state, BN_RUN_PENDING);
}

static void test_grace_is_given_and_then_over(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_error err = {0};
    lab_start(at->fleet, &run, "trap '' TERM; while :; do sleep 0.01; done");
    ASSERT_OK(bn_fleet_ask(at->fleet, only_member(at->fleet), BN_ASK_TIMEOUT, "too long", &err));
    const char *why = NULL;
    bn_run row = lab_run(at->store, run.id);
    assert_int_equal(bn_ask_parse(row.reason, &why), BN_ASK_TIMEOUT);
    lab_drain(at->fleet);
    row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_FAILED);
    assert_string_equal(row.reason, "timeout: too long");
}

static void test_what_was_asked_of_a_run_outlives_its_manager(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_error err = {0};
    bool taken = false;
    lab_start(at->fleet, &run, "trap 'exit 75' TERM; while :; do sleep 0.01; done");
    ASSERT_OK(bn_fleet_ask(at->fleet, only_member(at->fleet), BN_ASK_PRUNE, "median", &err));
    forget(at);
    bn_run row = lab_run(at->store, run.id);
    ASSERT_OK(bn_fleet_adopt(at->fleet, &row, &taken, &err));
    lab_drain(at->fleet);
    row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_PRUNED);
    assert_string_equal(row.reason, "pruned: median");
}

static void test_a_run_moved_by_somebody_else_is_not_started(void **state)
{
    fixture *at = *state;
    bn_run first = home_run(at->store, at->sweep, 0), second = home_run(at->store, at->sweep, 1);
    bn_error err = {0};
    bn_run_change cancel = {.from = BN_RUN_PENDING, .to = BN_RUN_KILLED, .exit_code = -1};
    ASSERT_OK(bn_fleet_plan(at->fleet, &first, &err));
    ASSERT_OK(bn_fleet_plan(at->fleet, &second, &err));
    ASSERT_OK(bn_run_move(at->store, first.id, &cancel, &err));
    ASSERT_OK(bn_fleet_commit(at->fleet, 10, &err));
    assert_int_equal(only_member(at->fleet)->run.id, second.id);
    assert_int_equal(only_member(at->fleet)->phase, BN_PHASE_BEGUN);
    assert_int_equal(lab_run(at->store, first.id).state, BN_RUN_KILLED);
}

static void test_sixty_four_runs_at_once_are_all_heard(void **state)
{
    fixture *at = *state;
    enum { RUNS = 64 };
    bn_run runs[RUNS];
    bn_fleet_close(at->fleet);
    at->fleet = lab_fleet(at->store, at->home, RUNS);
    for (int i = 0; i < RUNS; i++) runs[i] = home_run(at->store, at->sweep, i);
    for (int i = 0; i < RUNS; i++) {
        lab_start(at->fleet, &runs[i],
                  "for i in 1 2 3 4 5; do echo '{\"loss\":'$i'}' >> $BNEXP_EVENTS; done");
    }
    lab_drain(at->fleet);
    for (int i = 0; i < RUNS; i++) {
        bn_run row = lab_run(at->store, runs[i].id);
        assert_int_equal(row.state, BN_RUN_FINISHED);
        assert_int_equal(row.next_seq, 5);
    }
}

static void test_a_run_that_never_reports_ends_like_any_other(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    lab_start(at->fleet, &run, "exit 0");
    lab_drain(at->fleet);
    bn_run row = lab_run(at->store, run.id);
    assert_int_equal(row.state, BN_RUN_FINISHED);
    assert_int_equal(row.next_seq, 0);
}

/* Adds a fact to a text. */
static void see_fact(void *self, const bn_run_fact *fact)
{
    bn_text_addf(self, "%s: %s;", fact->name, fact->value);
}

static void test_lines_passed_over_are_counted_over_all_attempts(void **state)
{
    fixture *at = *state;
    char words[512];
    bn_text text;
    bn_error err = {0};
    bn_run runs[2] = {home_run(at->store, at->sweep, 0), home_run(at->store, at->sweep, 1)};
    const bn_run_fact before = {BN_FACT_INVALID, "3 passed over; the first: events.jsonl:9: why"};
    ASSERT_OK(bn_run_set_origin(at->store, runs[1].id, &before, 1, &err));
    for (int i = 0; i < 2; i++) {
        lab_start(at->fleet, &runs[i],
                  "printf '{\"a\":1}\\n{\"a\":1,\"step\":-1}\\nno\\n{\"a\":2}\\n' > $BNEXP_EVENTS");
    }
    lab_drain(at->fleet);
    assert_int_equal(lab_run(at->store, runs[0].id).next_seq, 2);
    bn_text_fixed(&text, words, sizeof words);
    ASSERT_OK(bn_run_each_with(at->store, at->sweep, BN_FACT_INVALID, see_fact, &text, &err));
    assert_non_null(strstr(words, "run-0: 2 passed over; the first: events.jsonl:2: a seq"));
    assert_non_null(strstr(words, "run-1: 5 passed over; the first: events.jsonl:9: why;"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_run_is_started_heard_and_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_clock_that_is_set_changes_no_duration, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_crash_keeps_its_records_and_its_last_words, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_living_run_is_adopted_and_heard_to_its_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_ended_unwatched_is_judged_by_its_folder,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_intent_without_a_deed_waits_again, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_another_sweeps_intent_is_given_a_minute_by_a_clock_that_was_not_set_back, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_grace_is_given_and_then_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_asked_of_a_run_outlives_its_manager, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_run_moved_by_somebody_else_is_not_started, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sixty_four_runs_at_once_are_all_heard, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_lines_passed_over_are_counted_over_all_attempts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_never_reports_ends_like_any_other, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
