#include "runner/cli/options.h"
#include "support/cmocka_all.h"

typedef struct parsed {
    bool dry;
    int64_t jobs;
    const char *home;
    bn_option_list sets, arguments;
    bool help;
} parsed;

static bn_status parse(parsed *p, int argc, const char **argv, bn_error *err)
{
    const bn_option table[] = {
        {"--dry-run", 'n', BN_OPTION_FLAG, &p->dry, NULL, "only say"},
        {"--jobs", 'j', BN_OPTION_INT, &p->jobs, "N", "at a time"},
        {"--home", 0, BN_OPTION_TEXT, &p->home, "DIR", "where"},
        {"--set", 0, BN_OPTION_LIST, &p->sets, "KNOB=VALUE", "override"},
    };
    const bn_options options = {"bnexp sweep FILE", "", table, 4, 1, 1};
    char *words[16];
    for (int i = 0; i < argc; i++) words[i] = (char *)(uintptr_t)argv[i];
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

static void test_a_number_must_be_one(void **state)
{
    (void)state;
    parsed p = {0};
    bn_error err = {0};
    const char *argv[] = {"sweep", "--jobs", "many", "lr.toml"};
    assert_int_equal(parse(&p, 4, argv, &err), BN_EINVAL);
    assert_string_equal(err.text, "--jobs must be a whole number, is 'many'");
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
        cmocka_unit_test(test_a_number_must_be_one),
        cmocka_unit_test(test_a_missing_argument_shows_the_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
