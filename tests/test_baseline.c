/* What [baseline] of a sweep's file makes of bnexp compare. The runs are a shell's: their losses
 * are known. */
#include <jansson.h>

#include "support/command.h"
#include "support/store_home.h"

static char home[BN_PATH_MAX], file[BN_PATH_MAX];

static int setup(void **state)
{
    bn_error err = {0};
    (void)state;
    home_make(home);
    ASSERT_OK(bn_path_join(file, home, "s.toml", &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    home_remove(home);
    return 0;
}

/* loss = lr, +1 for adam, +10 for seed 1, +100 for seed 2: at one lr adam - sgd is 1, whatever the
 * seed. The sgd run of seed 0 fails at lr 4. */
static void run_named(const char *name, const char *tail, int code)
{
    char text[1024];
    bn_error err = {0};
    (void)snprintf(
        text, sizeof text,
        "name = \"%s\"\nmethod = \"grid\"\nreplicates = 3\nmetric = { name = \"loss\" }\n"
        "command = [\"sh\", \"-c\", \"a=0; s=0; [ $1 = adam ] && a=1; [ $3 = 1 ] && s=10; "
        "[ $3 = 2 ] && s=100; [ $1$2$3 = sgd40 ] && exit 1; "
        "echo '{\\\"loss\\\":'$(($2 + a + s))'}' >> $BNEXP_EVENTS\", \"sh\", \"${param:opt}\", "
        "\"${param:lr}\", \"${seed}\"]\n"
        "[parameters]\nopt = { values = [\"adam\", \"sgd\"] }\nlr = { values = [4, 2] }\n%s",
        name, tail);
    ASSERT_OK(bn_file_write(file, text, strlen(text), 0600, &err));
    said what = COMMAND("sweep", file, "--home", home, "--json");
    assert_int_equal(what.code, code);
    said_release(&what);
}

static void run_sweep(const char *baseline)
{
    run_named("s", baseline, 6);
}

/* Of sweep "s", with another one as if they were one when it is named. */
static json_t *compare_with(const char *other)
{
    json_error_t error;
    said what = COMMAND("compare", "--home", home, "--json", "s", other);
    if (what.code != 0) fail_msg("%s", what.err);
    json_t *root = json_loads(what.out, 0, &error);
    json_t *sweep = json_array_get(json_object_get(root, "sweeps"), 0);
    assert_non_null(sweep);
    json_incref(sweep);
    json_decref(root);
    said_release(&what);
    return sweep;
}

static json_t *compare(void)
{
    return compare_with(NULL);
}

static void assert_word(const json_t *object, const char *key, const char *wanted)
{
    assert_string_equal(json_string_value(json_object_get(object, key)), wanted);
}

static void test_where_names_the_sides_and_the_one_to_measure_against(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'opt == \"sgd\"'\n");
    json_t *sweep = compare();
    assert_word(sweep, "by", "opt");
    assert_word(sweep, "baseline", "sgd");
    json_decref(sweep);
}

/* Twins of one seed, although the baseline's first one is missing. */
static void test_twins_are_of_one_seed(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'opt == \"sgd\"'\npair_on = [\"lr\", \"seed\"]\n");
    json_t *sweep = compare();
    const json_t *pairs = json_array_get(json_object_get(sweep, "differences"), 0);
    assert_int_equal(json_integer_value(json_object_get(pairs, "pairs")), 5);
    assert_true(json_number_value(json_object_get(pairs, "mean")) == 1);
    json_decref(sweep);
}

/* Seeds 0 to 2 and 3 to 5. */
static void test_sweeps_of_other_seeds_are_compared_as_one(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'opt == \"sgd\"'\n");
    run_named("t", "[config]\nseed = 3\n", 0);
    json_t *sweep = compare_with("t");
    assert_word(sweep, "sweep", "s + t");
    const json_t *pairs = json_array_get(json_object_get(sweep, "differences"), 0);
    assert_int_equal(json_integer_value(json_object_get(pairs, "pairs")), 11);
    assert_true(json_number_value(json_object_get(pairs, "mean")) == 1);
    json_decref(sweep);
}

/* What one sweep varied and the other did not is a shape of both. */
static void test_what_one_of_several_sweeps_varied_tells_their_runs_apart(void **state)
{
    (void)state;
    run_sweep("width = { values = [1, 2] }\n[baseline]\nwhere = 'opt == \"sgd\"'\n");
    run_named("t", "[config]\nseed = 3\nwidth = 2\n", 0);
    json_t *sweep = compare_with("t");
    const json_t *cells = json_object_get(sweep, "cells");
    assert_int_equal(json_array_size(cells), 8);
    int runs = 0;
    for (size_t i = 0; i < 8; i++) {
        const json_t *cell = json_array_get(cells, i);
        if (!strstr(json_string_value(json_object_get(cell, "shape")), "width=2")) continue;
        runs += (int)json_integer_value(json_object_get(cell, "runs"));
    }
    assert_int_equal(runs, 23); /* 12 and 12 without the one that failed */
    json_decref(sweep);
}

/* A run that was skipped for one that is compared too brings nothing of its own. */
static void test_numbers_count_once(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'opt == \"sgd\"'\n");
    run_named("t", "", 6);
    json_t *sweep = compare_with("t");
    const json_t *pairs = json_array_get(json_object_get(sweep, "differences"), 0);
    assert_int_equal(json_integer_value(json_object_get(pairs, "pairs")), 5);
    json_decref(sweep);
}

static void test_pair_on_lets_each_side_choose_the_rest(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'opt == \"sgd\"'\npair_on = [\"seed\"]\n");
    json_t *sweep = compare();
    const json_t *cells = json_object_get(sweep, "cells");
    assert_int_equal(json_array_size(cells), 2);
    assert_word(json_array_get(cells, 0), "setting", "lr=2");
    assert_word(json_array_get(cells, 1), "setting", "lr=2");
    json_decref(sweep);
}

static void test_a_side_may_be_told_by_several_parameters(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'opt == \"sgd\" and lr == 2'\n");
    json_t *sweep = compare();
    assert_word(sweep, "by", "opt,lr");
    assert_word(sweep, "baseline", "sgd 2");
    json_decref(sweep);
}

static void test_a_baseline_of_many_sides_is_refused(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'lr > 1'\n");
    said what = COMMAND("compare", "--home", home, "--sweep", "s");
    assert_int_equal(what.code, 2);
    assert_non_null(strstr(what.err, "true for several sides of lr, 4 and 2"));
    said_release(&what);
}

/* Changing [baseline] asks nothing new of the runs. */
static void test_the_file_given_last_speaks(void **state)
{
    (void)state;
    run_sweep("[baseline]\nwhere = 'opt == \"sgd\"'\n");
    run_sweep("[baseline]\nwhere = 'opt == \"adam\"'\n");
    json_t *sweep = compare();
    assert_word(sweep, "baseline", "adam");
    json_decref(sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_where_names_the_sides_and_the_one_to_measure_against,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_twins_are_of_one_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweeps_of_other_seeds_are_compared_as_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_what_one_of_several_sweeps_varied_tells_their_runs_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_count_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pair_on_lets_each_side_choose_the_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_side_may_be_told_by_several_parameters, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_baseline_of_many_sides_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_file_given_last_speaks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
