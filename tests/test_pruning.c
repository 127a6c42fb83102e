/* Early termination with real processes: who is ended, what stays of them, what a sweep makes of
 * runs that came to no good end. */
#include "runner/sweep.h"
#include "runner/sweep_lessons.h"
#include "support/sweep_lab.h"

/* Five good runs, number 9 that is bad and protected, number 8 that is bad. */
static void assert_only_the_bad_one_is_ended(sweep_lab *lab, const char *rule, const char *reason)
{
    char text[1024];
    bn_series series;
    bn_error err = {0};
    (void)snprintf(text, sizeof text,
                   "name = \"s\"\nmethod = \"grid\"\nmetric.name = \"loss\"\n"
                   "command = [\"sh\", \"" CONTENDER_SH "\", \"${param:x}\"]\n"
                   "[parameters]\nx = { values = [1, 2, 3, 4, 5, 9, 8] }\n"
                   "[early_terminate]\n%s\nprotect = \"x == 9\"\n[resources]\ngrace = 30\n",
                   rule);
    lab_sweep(lab, text, 2);
    lab_sweep_run(lab);
    for (int i = 0; i < 6; i++) assert_int_equal(lab_row(lab, i).state, BN_RUN_FINISHED);
    bn_run cut = lab_row(lab, 6);
    assert_int_equal(cut.state, BN_RUN_PRUNED);
    if (strncmp(cut.reason, reason, strlen(reason)) != 0) fail_msg("%s", cut.reason);
    assert_int_equal(cut.attempt, 1);
    ASSERT_OK(bn_history_series(lab->store, cut.id, "loss", &series, &err));
    assert_int_equal(series.count, 3);
    assert_true(series.number[2] == 8);
    bn_series_release(&series);
}

static void test_hyperband_ends_the_bad_run_and_keeps_its_data(void **state)
{
    assert_only_the_bad_one_is_ended(*state, "type = \"hyperband\"\nmin_iter = 1",
                                     "pruned: hyperband: 8 is worse than 1 ");
}

static void test_asha_ends_the_bad_run_and_keeps_its_data(void **state)
{
    assert_only_the_bad_one_is_ended(*state, "type = \"asha\"\nmin_iter = 1",
                                     "pruned: asha: 8 at step 1 is number 6 of 7, 3 go on");
}

static void test_median_ends_the_bad_run_and_keeps_its_data(void **state)
{
    assert_only_the_bad_one_is_ended(*state, "type = \"median\"\nmin_iter = 1",
                                     "pruned: median: best 8 by step 3 is worse than the median 1");
}

static void test_threshold_ends_the_bad_run_and_keeps_its_data(void **state)
{
    assert_only_the_bad_one_is_ended(*state, "type = \"threshold\"\nthreshold = 7",
                                     "pruned: threshold: 8 at step 3 is worse than 7");
}

/* Runs of one report each, whose loss is their x; the target is to be printed in. */
static const char AIMED[] = "name = \"s\"\nmethod = \"grid\"\n"
                            "metric = { name = \"loss\", goal = \"%s\", target = %d }\n"
                            "command = [\"sh\", \"-c\", \"echo '{\\\"loss\\\":'$0'}' >> "
                            "$BNEXP_EVENTS\", \"${param:x}\"]\n"
                            "[parameters]\nx = { values = [5, 4, 3, 2, 6] }\n";

static void run_aimed(sweep_lab *lab, const char *goal, int target)
{
    char text[sizeof AIMED + 32];
    (void)snprintf(text, sizeof text, AIMED, goal, target);
    lab_sweep(lab, text, 1);
    lab_sweep_run(lab);
}

static void test_a_sweep_ends_when_its_target_is_reached(void **state)
{
    sweep_lab *lab = *state;
    bn_sweep_look look;
    run_aimed(lab, "minimize", 3);
    bn_sweeper_look(lab->sweeper, &look);
    assert_true(look.reached);
    assert_int_equal(look.state, BN_SWEEP_FINISHED);
    assert_int_equal(look.counts[BN_RUN_FINISHED], 3);
    assert_int_equal(look.counts[BN_RUN_PENDING], 2);
}

static void test_a_harder_target_lets_the_sweep_go_on(void **state)
{
    sweep_lab *lab = *state;
    bn_sweep_look look;
    run_aimed(lab, "minimize", 3);
    lab_sweep_close(lab);
    run_aimed(lab, "minimize", 1);
    bn_sweeper_look(lab->sweeper, &look);
    assert_true(look.found);
    assert_false(look.reached);
    assert_int_equal(look.counts[BN_RUN_FINISHED], 5);
}

static void test_a_target_is_from_the_other_side_when_more_is_better(void **state)
{
    sweep_lab *lab = *state;
    run_aimed(lab, "maximize", 5);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 1); /* the first of them has it */
    lab_sweep_close(lab);
    run_aimed(lab, "maximize", 6);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 5);
}

/* What the only configuration of a sweep counts as, whose run reports 3, 2, 4 and fails. */
static bn_trial trial_of_failure(sweep_lab *lab, const char *impute)
{
    char text[512];
    bn_trial *trials = NULL;
    size_t count = 0;
    bn_error err = {0};
    bn_sweep_look look;
    (void)snprintf(
        text, sizeof text,
        "name = \"%s\"\nmethod = \"tpe\"\nrun_cap = 1\n"
        "metric = { name = \"loss\", impute = \"%s\" }\n"
        "command = [\"sh\", \"-c\", \"for i in 3 2 4; do echo '{\\\"loss\\\":'$i'}'; done >> "
        "$BNEXP_EVENTS; exit 1\"]\n[parameters]\nx = { min = 0.0, max = 1.0 }\n",
        impute, impute);
    lab_sweep(lab, text, 1);
    lab_sweep_run(lab);
    bn_sweeper_look(lab->sweeper, &look);
    bn_classroom room = {.spec = lab->spec, .store = lab->store, .sweep = look.sweep};
    room.runs = bn_sweeper_runs(lab->sweeper, &room.count);
    ASSERT_OK(bn_lessons_trials(&room, &trials, &count, &err));
    assert_int_equal(count, 1);
    bn_trial trial = trials[0];
    free(trials);
    lab_sweep_close(lab);
    return trial;
}

static void test_a_failed_run_counts_as_impute_says(void **state)
{
    bn_trial worst = trial_of_failure(*state, "worst");
    assert_int_equal(worst.state, BN_TRIAL_FAILED);
    assert_true(isnan(worst.value));
    bn_trial best = trial_of_failure(*state, "best");
    assert_int_equal(best.state, BN_TRIAL_COMPLETE);
    assert_true(best.value == 2);
    bn_trial latest = trial_of_failure(*state, "latest");
    assert_int_equal(latest.state, BN_TRIAL_COMPLETE);
    assert_true(latest.value == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hyperband_ends_the_bad_run_and_keeps_its_data,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_asha_ends_the_bad_run_and_keeps_its_data,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_median_ends_the_bad_run_and_keeps_its_data,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_threshold_ends_the_bad_run_and_keeps_its_data,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_sweep_ends_when_its_target_is_reached,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_harder_target_lets_the_sweep_go_on, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_target_is_from_the_other_side_when_more_is_better,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_run_counts_as_impute_says, lab_sweep_setup,
                                        lab_sweep_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
