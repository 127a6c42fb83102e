/* Sweeps of other programs: what they are given, and under which names what they say is found. */
#include <unistd.h>

#include "runner/sweep.h"
#include "support/sweep_lab.h"

static void test_replicates_count_up_from_a_seed_that_is_given(void **state)
{
    sweep_lab *lab = *state;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\nreplicates = 2\n"
              "command = [\"sh\", \"-c\", \"echo $BNEXP_SEED $1\", \"sh\", \"${args}\"]\n"
              "[config]\nseed = 40\n",
              1);
    lab_sweep_run(lab);
    for (int i = 0; i < 2; i++) {
        char dir[BN_PATH_MAX], wanted[32];
        bn_error err = {0};
        ASSERT_OK(bn_path_join(dir, lab->home, lab_row(lab, i).dir, &err));
        char *out = lab_read(dir, "stdout.log");
        (void)snprintf(wanted, sizeof wanted, "%d --seed=%d\n", 40 + i, 40 + i);
        assert_string_equal(out, wanted);
        free(out);
    }
}

static void test_a_metric_is_found_by_the_name_its_program_gives_it(void **state)
{
    sweep_lab *lab = *state;
    bn_sweep_look look;
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\n"
              "metric = { name = \"Validation loss (mean)\", target = 2 }\n"
              "command = [\"sh\", \"-c\", \"echo '{\\\"Validation loss (mean)\\\":${param:x}}' >> "
              "$BNEXP_EVENTS\"]\n"
              "[parameters]\nx = { values = [3, 2, 1] }\n",
              1);
    lab_sweep_run(lab);
    bn_sweeper_look(lab->sweeper, &look);
    assert_true(look.reached);
    assert_int_equal(lab_count(lab, BN_RUN_FINISHED), 2);
}

/* The database is gone, the folders of its runs are not. */
static void forget(const sweep_lab *lab)
{
    static const char *const names[] = {"bnexp.db", "bnexp.db-wal", "bnexp.db-shm"};
    char path[BN_PATH_MAX];
    bn_error err = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ASSERT_OK(bn_path_join(path, lab->home, names[i], &err));
        (void)unlink(path);
    }
}

static void test_a_folder_that_was_there_before_does_not_speak_for_a_new_run(void **state)
{
    sweep_lab *lab = *state;
    char dir[BN_PATH_MAX];
    bn_error err = {0};
    static const char file[] =
        "name = \"s\"\nmethod = \"grid\"\n"
        "command = [\"sh\", \"-c\", \"echo '{\\\"loss\\\":1}' >> $BNEXP_EVENTS\"]\n"
        "[parameters]\nx = { values = [1] }\n";
    for (int life = 0; life < 2; life++) {
        lab_sweep(lab, file, 1);
        lab_sweep_run(lab);
        assert_int_equal(lab_row(lab, 0).next_seq, 1);
        ASSERT_OK(bn_path_join(dir, lab->home, lab_row(lab, 0).dir, &err));
        lab_sweep_close(lab);
        forget(lab);
    }
    char *before = lab_read(dir, "events.jsonl.old");
    assert_string_equal(before, "{\"loss\":1}\n");
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replicates_count_up_from_a_seed_that_is_given,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_a_metric_is_found_by_the_name_its_program_gives_it,
                                        lab_sweep_setup, lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_folder_that_was_there_before_does_not_speak_for_a_new_run, lab_sweep_setup,
            lab_sweep_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
