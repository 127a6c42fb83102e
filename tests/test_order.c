/* In which order the runs of a sweep start: one at a time, each says so. */
#include "runner/sweep.h"
#include "support/sweep_lab.h"

/* Runs the sweep and reads in which order "opt lr seed" were. */
static void assert_order(sweep_lab *lab, const char *head, const char *tail, const char *wanted)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "name = \"s\"\nreplicates = 2\n%s\n"
                   "command = [\"sh\", \"-c\", \"echo $1 $2 $3 >> %s/said\", \"sh\", "
                   "\"${param:opt}\", \"${param:lr}\", \"${seed}\"]\n"
                   "[parameters]\nopt = { values = [\"a\", \"b\"] }\nlr = { values = [4, 2] }\n%s",
                   head, lab->home, tail);
    lab_sweep(lab, text, 1);
    lab_sweep_run(lab);
    char *said = lab_read(lab->home, "said");
    assert_string_equal(said, wanted);
    free(said);
}

static void test_seeds_come_round_by_round(void **state)
{
    assert_order(*state, "method = \"grid\"", "",
                 "a 4 0\na 2 0\nb 4 0\nb 2 0\na 4 1\na 2 1\nb 4 1\nb 2 1\n");
}

static void test_twins_start_together(void **state)
{
    assert_order(*state, "method = \"grid\"", "[baseline]\nwhere = 'opt == \"b\"'\n",
                 "a 4 0\nb 4 0\na 2 0\nb 2 0\na 4 1\nb 4 1\na 2 1\nb 2 1\n");
}

/* What comes first is what the numbers say; they and the names stay. */
static void test_an_order_that_is_asked_for_is_kept(void **state)
{
    sweep_lab *lab = *state;
    char wanted[256] = "";
    lab_sweep(lab,
              "name = \"s\"\nmethod = \"grid\"\norder = \"shuffle\"\nreplicates = 2\nseed = 5\n"
              "command = [\"sh\", \"-c\", \"echo $1 >> $2/../said\", \"sh\", \"${param:x}\", "
              "\"${run_dir}\"]\n"
              "[parameters]\nx = { values = [1, 2, 3, 4, 5] }\n"
              "[baseline]\nwhere = \"x == 1\"\n",
              1);
    lab_sweep_run(lab);
    for (int i = 0; i < 10; i++) {
        int number = i < 5 ? 2 * i : 2 * (i - 5) + 1;
        size_t length = strlen(wanted);
        (void)snprintf(wanted + length, sizeof wanted - length, "%c\n",
                       lab_row(lab, number).name[1]);
    }
    char folder[BN_PATH_MAX];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(folder, lab->home, "s", &err));
    char *said = lab_read(folder, "said");
    assert_string_equal(said, wanted);
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seeds_come_round_by_round, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_twins_start_together, lab_sweep_setup,
                                        lab_sweep_teardown),
        cmocka_unit_test_setup_teardown(test_an_order_that_is_asked_for_is_kept, lab_sweep_setup,
                                        lab_sweep_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
