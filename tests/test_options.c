#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runner/cli/options.h"
#include "support/cmocka_all.h"

typedef struct parsed {
    bool dry;
    int64_t jobs;
    double wait_s;
    const char *home;
    bn_option_list sets, arguments;
    bool help;
} parsed;

static bn_status parse(parsed *p, int argc, const char **argv, bn_error *err)
{
    const bn_option table[] = {
        {"--dry-run", 'n', BN_OPTION_FLAG, &p->dry, NULL, "only say"},
        {"--jobs", 'j', BN_OPTION_INT, &p->jobs, "N", "at a time"},
        {"--wait", 0, BN_OPTION_REAL, &p->wait_s, "S", "between"},
        {"--home", 0, BN_OPTION_TEXT, &p->home, "DIR", "where"},
        {"--set", 0, BN_OPTION_LIST, &p->sets, "KNOB=VALUE", "override"},
    };
    const bn_option_range ranges[] = {{&p->jobs, 1, 64, false}, {&p->wait_s, 0, INFINITY, true}};
    const bn_options options = {"bnexp sweep FILE", "", table, 5, 1, 1, ranges, 2};
    char *words[16];
    memcpy(words, argv, (size_t)argc * sizeof *words); /* main's argv is not const */
    return bn_options_parse(&options, argc, words, &p->arguments, &p->help, err);
}

static void test_flags_values_lists_and_arguments_are_told_apart(void **state)
{
    (void)state;
    parsed p = {0};
    bn_error err = {0};
    const char *argv[] = {"sweep", "-n", "--jobs=4", "lr.toml", "--set", "a=1", "--set", "b=2"};
    assert_int_equal(parse(&p, 8, argv, &err), BN_OK);
    assert_true(p.dry);
    assert_int_equal(p.jobs, 4);
    assert_string_equal(p.arguments.items[0], "lr.toml");
    assert_int_equal(p.sets.count, 2);
    assert_string_equal(p.sets.items[1], "b=2");
}

static void test_a_misspelt_option_names_the_nearest(void **state)
{
    (void)state;
    parsed p = {0};
    bn_error err = {0};
    const char *argv[] = {"sweep", "--job", "4", "lr.toml"};
    assert_int_equal(parse(&p, 4, argv, &err), BN_EINVAL);
    assert_string_equal(err.text, "there is no option '--job'; did you mean '--jobs'?");
}

static void test_what_is_no_number_in_range_is_refused_with_what_is_expected(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "many", "", "4x", "4 ", "4.5", "0", "-1", "65", "99999999999999999999", "nan"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        parsed p = {.jobs = 7};
        bn_error err = {0};
        char expected[128];
        const char *argv[] = {"sweep", "--jobs", wrong[i], "lr.toml"};
        (void)snprintf(expected, sizeof expected,
                       "--jobs must be a whole number from 1 to 64, is '%s'", wrong[i]);
        assert_int_equal(parse(&p, 4, argv, &err), BN_EINVAL);
        assert_string_equal(err.text, expected);
        assert_int_equal(p.jobs, 7);
    }
}

static void test_a_bound_may_be_left_out_or_be_too_little_itself(void **state)
{
    (void)state;
    parsed p = {0};
    bn_error err = {0};
    const char *good[] = {"sweep", "--wait=1e9", "lr.toml"};
    assert_int_equal(parse(&p, 3, good, &err), BN_OK);
    assert_true(p.wait_s == 1e9);
    static const char *const wrong[] = {"--wait=0", "--wait=-1", "--wait=inf", "--wait=nan"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bn_error refused = {0};
        const char *argv[] = {"sweep", wrong[i], "lr.toml"};
        assert_int_equal(parse(&p, 3, argv, &refused), BN_EINVAL);
        assert_non_null(strstr(refused.text, "--wait must be a number above 0, is '"));
    }
}

static void test_a_missing_argument_shows_the_usage(void **state)
{
    (void)state;
    parsed p = {0};
    bn_error err = {0};
    const char *argv[] = {"sweep"};
    assert_int_equal(parse(&p, 1, argv, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "bnexp sweep FILE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_values_lists_and_arguments_are_told_apart),
        cmocka_unit_test(test_a_misspelt_option_names_the_nearest),
        cmocka_unit_test(test_what_is_no_number_in_range_is_refused_with_what_is_expected),
        cmocka_unit_test(test_a_bound_may_be_left_out_or_be_too_little_itself),
        cmocka_unit_test(test_a_missing_argument_shows_the_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
