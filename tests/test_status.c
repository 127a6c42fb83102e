#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "support/cmocka_all.h"

static void test_first_failure_is_the_one_kept(void **state)
{
    (void)state;
    bn_error err = {0};
    (void)bn_fail(&err, BN_EIO, "disk %d", 1);
    assert_int_equal(bn_fail(&err, BN_EINVAL, "later"), BN_EIO);
    assert_string_equal(err.text, "disk 1");
}

static void test_context_goes_in_front(void **state)
{
    (void)state;
    bn_error err = {0};
    (void)bn_fail(&err, BN_EIO, "no space");
    assert_int_equal(bn_fail_in(&err, "run %d", 7), BN_EIO);
    assert_string_equal(err.text, "run 7: no space");
}

static void test_a_message_is_one_line_whatever_is_in_it(void **state)
{
    (void)state;
    bn_error err = {0};
    (void)bn_fail(&err, BN_EINVAL, "is '%s'", "ra\n\tdom\x7f");
    assert_string_equal(err.text, "is 'ra  dom '");
    (void)bn_fail_in(&err, "%s", "a\rb");
    assert_string_equal(err.text, "a b: is 'ra  dom '");
}

static void test_a_message_is_whole_characters_wherever_it_was_cut(void **state)
{
    (void)state;
    bn_error err = {0};
    (void)bn_fail(&err, BN_EINVAL, "is '%.3s...' and '%s'", "\xC3\xA4\xC3\xB6",
                  "\xFF\xC2\x9B"
                  "2J");
    assert_string_equal(err.text, "is '\xC3\xA4?...' and '? 2J'");
    for (size_t filled = sizeof err.text - 6; filled < sizeof err.text; filled++) {
        bn_error cut = {0};
        (void)bn_fail(&cut, BN_EINVAL, "%*s\xF0\x9F\xA6\x8A", (int)filled, "");
        assert_true(bn_utf8_valid(cut.text));
        assert_null(strchr(cut.text, '?'));
        (void)bn_fail_in(&cut, "\xE2\x82\xAC%s", "");
        assert_true(bn_utf8_valid(cut.text));
        assert_null(strchr(cut.text, '?'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_failure_is_the_one_kept),
        cmocka_unit_test(test_context_goes_in_front),
        cmocka_unit_test(test_a_message_is_one_line_whatever_is_in_it),
        cmocka_unit_test(test_a_message_is_whole_characters_wherever_it_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
