#include "runner/toml.h"
#include "support/cmocka_all.h"

static bn_toml *parse(const char *text)
{
    bn_toml *document = NULL;
    bn_error err = {0};
    assert_int_equal(bn_toml_parse(&document, text, strlen(text), "x.toml", &err), BN_OK);
    return document;
}

static void test_tables_keep_the_order_and_lines_of_the_file(void **state)
{
    (void)state;
    bn_toml *document = parse("zeta = 1\nalpha = \"a\"\n\n[middle]\nb = true\na = 2.5\n");
    const bn_toml_node *root = bn_toml_root(document);
    assert_int_equal(bn_toml_count(root), 3);
    assert_string_equal(bn_toml_key(root, 0), "zeta");
    assert_string_equal(bn_toml_key(root, 1), "alpha");
    assert_string_equal(bn_toml_key(root, 2), "middle");
    assert_int_equal(bn_toml_key_line(root, 1), 2);
    const bn_toml_node *middle = bn_toml_get(root, "middle");
    assert_string_equal(bn_toml_key(middle, 0), "b");
    assert_int_equal(bn_toml_line(bn_toml_get(middle, "a")), 6);
    bn_toml_close(document);
}

static void test_every_kind_of_value_is_told_apart(void **state)
{
    (void)state;
    bn_toml *document = parse("i = 9007199254740993\nr = 1e-3\nt = 'x'\nb = true\nl = [1, 'a']\n"
                              "d = 2026-01-01\ns = { k = 1 }\n");
    const bn_toml_node *root = bn_toml_root(document);
    const bn_toml_kind kinds[] = {BN_TOML_INT,   BN_TOML_REAL, BN_TOML_TEXT, BN_TOML_BOOL,
                                  BN_TOML_ARRAY, BN_TOML_TIME, BN_TOML_TABLE};
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(bn_toml_kind_of(bn_toml_at(root, i)), kinds[i]);
    }
    assert_true(bn_toml_int(bn_toml_get(root, "i")) == 9007199254740993);
    assert_true(bn_toml_real(bn_toml_get(root, "r")) == 1e-3);
    assert_string_equal(bn_toml_text(bn_toml_get(root, "t")), "x");
    assert_true(bn_toml_bool(bn_toml_get(root, "b")));
    assert_int_equal(bn_toml_count(bn_toml_get(root, "l")), 2);
    assert_null(bn_toml_get(root, "none"));
    assert_null(bn_toml_at(root, 7));
    bn_toml_close(document);
}

static void test_a_syntax_error_names_file_and_line_in_one_line(void **state)
{
    (void)state;
    const char *broken[] = {"a = 1\nb = \xCE\x9A\nc = 1",
                            "a = '''\n'''\xC3\xA9",
                            "a = 1\n[`b]\nc = 1",
                            "a = 1\n`b = 1\nc = 1",
                            "a = 1\nb = = 2\n",
                            "a = 1\na = 2\n",
                            "a = 1\n[b\n",
                            "a = 1\n\"\xff\" = 1"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        bn_toml *document = NULL;
        bn_error err = {0};
        assert_int_equal(bn_toml_parse(&document, broken[i], strlen(broken[i]), "x.toml", &err),
                         BN_EINVAL);
        assert_memory_equal(err.text, "x.toml:2: ", 10);
        assert_null(strchr(err.text, '\n'));
        assert_null(document);
    }
}

static void test_letters_of_all_scripts_may_stand_in_texts_and_comments(void **state)
{
    (void)state;
    bn_toml *document = parse("\xEF\xBB\xBF"
                              "a = 'caf\xC3\xA9' # \xCE\x9A\n"
                              "\"\xCE\x9A\" = \"\\\"\xC3\xA9\"\n"
                              "b = \"\"\"\n\xC3\xA9 \" '\n\"\"\"\n");
    const bn_toml_node *root = bn_toml_root(document);
    assert_string_equal(bn_toml_text(bn_toml_get(root, "a")), "caf\xC3\xA9");
    assert_string_equal(bn_toml_text(bn_toml_get(root, "\xCE\x9A")), "\"\xC3\xA9");
    assert_int_equal(bn_toml_count(root), 3);
    bn_toml_close(document);
}

static void test_deep_nesting_is_refused_not_a_crash(void **state)
{
    (void)state;
    char deep[4096] = "a = ";
    memset(deep + 4, '[', 4000);
    bn_toml *document = NULL;
    bn_error err = {0};
    assert_int_equal(bn_toml_parse(&document, deep, 4004, "x.toml", &err), BN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_keep_the_order_and_lines_of_the_file),
        cmocka_unit_test(test_every_kind_of_value_is_told_apart),
        cmocka_unit_test(test_a_syntax_error_names_file_and_line_in_one_line),
        cmocka_unit_test(test_letters_of_all_scripts_may_stand_in_texts_and_comments),
        cmocka_unit_test(test_deep_nesting_is_refused_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
