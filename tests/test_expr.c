#include <stdio.h>

#include "engine/base/rng.h"
#include "runner/search/expr.h"
#include "support/cmocka_all.h"

/* lr = 0.01, width = 64, quant = "ternary", on = true, odd name = 7; nothing else. */
static bool lookup(const void *self, const char *name, bn_setting *out)
{
    (void)self;
    if (strcmp(name, "optim.lr") == 0) *out = bn_setting_parse("0.01");
    if (strcmp(name, "width") == 0) *out = bn_setting_parse("64");
    if (strcmp(name, "quant") == 0) *out = bn_setting_of_text("ternary");
    if (strcmp(name, "on") == 0) *out = bn_setting_of_bool(true);
    if (strcmp(name, "val/loss") == 0) *out = bn_setting_parse("7");
    return strstr("optim.lr width quant on val/loss", name) != NULL;
}

static bn_setting value_of(const char *text)
{
    bn_expr *expr = NULL;
    bn_error err = {0};
    if (bn_expr_compile(&expr, text, &err) != BN_OK) fail_msg("%s: %s", text, err.text);
    bn_setting value = bn_expr_value(expr, lookup, NULL);
    bn_expr_free(expr);
    return value;
}

static void test_formulas_have_pythons_values(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double number;
    } cases[] = {
        {"1 + 2 * 3", 7},
        {"(1 + 2) * 3", 9},
        {"10 - 4 - 3", 3},
        {"-2 ** 2", -4},
        {"2 ** 3 ** 2", 512},
        {"2 ** -1", 0.5},
        {"7 % 3", 1},
        {"-7 % 3", 2},
        {"7 % -3", -2},
        {"1e-3 * 1_000", 1},
        {"1e3-2", 998},
        {".5 + 2.", 2.5},
        {"min(3, 1, 2)", 1},
        {"max(3)", 3},
        {"round(2.5) + round(3.5)", 6},
        {"floor(-0.5) + ceil(0.5)", 0},
        {"abs(-3) + sqrt(16) + log(exp(2))", 9},
        {"if(width > 32, 1, 2)", 1},
        {"if(quant == 'fp16', 1, 2)", 2},
        {"optim.lr * (256 / width)", 0.04},
        {"`val/loss` + 1", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double number = value_of(cases[i].text).number;
        if (fabs(number - cases[i].number) > 1e-15) fail_msg("%s is %g", cases[i].text, number);
    }
}

static void test_conditions_are_what_they_say(void **state)
{
    (void)state;
    const char *yes[] = {
        "quant == \"ternary\" and optim.lr > 1e-3",
        "quant in ('fp16', \"ternary\")",
        "width in [32, 64]",
        "not quant in ('fp16', 'bf16')",
        "on",
        "!(width < 64) && width <= 64",
        "false or width != 63",
        "not not on",
        "1 < 2",
        "'a' < 'b'",
        "missing != 3",
        "width % 4 == 0",
        "`val/loss`",
    };
    const char *no[] = {
        "missing",      "missing == missing",
        "missing < 3",  "missing >= 3",
        "quant < 3",    "quant == 3",
        "on == 1",      "0",
        "''",           "0 / 0",
        "0 / 0 == 0/0", "quant + 1",
        "-quant",       "min(quant, 1) == 1",
        "not on",       "width in (1, 2)",
    };
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        bn_setting value = value_of(yes[i]);
        bool true_text = value.kind == BN_SETTING_TEXT && *value.text;
        if (value.number == 0 && !true_text) fail_msg("%s is not true", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        bn_expr *expr = NULL;
        bn_error err = {0};
        assert_int_equal(bn_expr_compile(&expr, no[i], &err), BN_OK);
        if (bn_expr_true(expr, lookup, NULL)) fail_msg("%s is true", no[i]);
        bn_expr_free(expr);
    }
}

static void test_mistakes_name_their_column(void **state)
{
    (void)state;
    const char *cases[][2] = {
        {"", "column 1: expected a value, found the end"},
        {"1 +", "column 4: expected a value, found the end"},
        {"(1", "column 3: expected ')', found the end"},
        {"1 2", "column 3: expected the end or an operator, found '2'"},
        {"a = 1", "column 3: expected '==' to compare, found '='"},
        {"'abc", "column 1: the ' is never closed"},
        {"1.2.3", "column 1: expected a number, found '1.2.3'"},
        {"mn(1, 2)", "column 1: there is no function 'mn'; did you mean 'min'?"},
        {"sqrt(1, 2)", "column 1: 'sqrt' takes 1 argument, not 2"},
        {"if(1, 2)", "column 1: 'if' takes 3 arguments, not 2"},
        {"min()", "column 5: expected a value, found ')'"},
        {"a in 3", "column 6: expected '(' or '[', found '3'"},
        {"1 + and", "column 5: expected a value, found 'and'"},
        {"a $ b", "column 3: expected the end or an operator, found '$'"},
        {"1e999", "column 1: expected a number, found '1e999'"},
        {"``", "column 2: expected a name, found ''"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bn_expr *expr = NULL;
        bn_error err = {0};
        assert_int_equal(bn_expr_compile(&expr, cases[i][0], &err), BN_EINVAL);
        assert_string_equal(err.text, cases[i][1]);
        assert_null(expr);
    }
}

static void test_size_and_depth_have_limits(void **state)
{
    (void)state;
    char text[4000];
    const char *repeated[] = {"(", "-", "not ", "1 + ", "2 ** "};
    for (size_t i = 0; i < sizeof repeated / sizeof repeated[0]; i++) {
        size_t length = 0;
        while (length < 1900) {
            (void)snprintf(text + length, sizeof text - length, "%s", repeated[i]);
            length += strlen(repeated[i]);
        }
        (void)snprintf(text + length, sizeof text - length, "1");
        bn_expr *expr = NULL;
        bn_error err = {0};
        bn_status status = bn_expr_compile(&expr, text, &err);
        if (i == 3) assert_int_equal(status, BN_EINVAL); /* too many nodes */
        if (i != 3) assert_non_null(strstr(err.text, "deeper"));
        bn_expr_free(expr);
    }
    memset(text, ' ', sizeof text);
    text[sizeof text - 1] = '\0';
    bn_expr *expr = NULL;
    bn_error err = {0};
    assert_int_equal(bn_expr_compile(&expr, text, &err), BN_EINVAL);
}

static void test_names_are_listed_once(void **state)
{
    (void)state;
    bn_expr *expr = NULL;
    bn_error err = {0};
    assert_int_equal(bn_expr_compile(&expr, "a + b.c * a - min(`d-e`, true)", &err), BN_OK);
    assert_int_equal(bn_expr_name_count(expr), 3);
    assert_string_equal(bn_expr_name(expr, 0), "a");
    assert_string_equal(bn_expr_name(expr, 1), "b.c");
    assert_string_equal(bn_expr_name(expr, 2), "d-e");
    bn_expr_free(expr);
}

/* Any sequence of tokens either compiles and has a value or is refused in words. */
static void test_no_sequence_of_tokens_is_beyond_it(void **state)
{
    (void)state;
    const char *tokens[] = {"1",    "a",   "(", ")", "+",   "-",  "*",    "/",  "%",
                            "**",   "==",  "<", ",", "and", "or", "not",  "in", "'x'",
                            "min(", "if(", "[", "]", "0.5", "on", "quant"};
    int compiled = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        char text[256] = "";
        size_t length = 0, count = 1 + bn_rng_below(1, i, 9);
        for (size_t k = 0; k < count; k++) {
            size_t pick = bn_rng_below(i, k, sizeof tokens / sizeof tokens[0]);
            (void)snprintf(text + length, sizeof text - length, "%s ", tokens[pick]);
            length = strlen(text);
        }
        bn_expr *expr = NULL;
        bn_error err = {0};
        if (bn_expr_compile(&expr, text, &err) == BN_OK) {
            (void)bn_expr_true(expr, lookup, NULL);
            compiled++;
        } else {
            assert_true(strlen(err.text) > 10);
        }
        bn_expr_free(expr);
    }
    assert_true(compiled > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas_have_pythons_values),
        cmocka_unit_test(test_conditions_are_what_they_say),
        cmocka_unit_test(test_mistakes_name_their_column),
        cmocka_unit_test(test_size_and_depth_have_limits),
        cmocka_unit_test(test_names_are_listed_once),
        cmocka_unit_test(test_no_sequence_of_tokens_is_beyond_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
