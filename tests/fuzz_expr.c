/* libFuzzer target: any bytes as a formula. It is refused in one line or has a value, the same one
 * each time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runner/search/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Values of all kinds, by the name's length. */
static bool lookup(const void *self, const char *name, bn_setting *out)
{
    (void)self;
    switch (strlen(name) % 5) {
    case 0:
        *out = bn_setting_of_text("ternary");
        return true;
    case 1:
        *out = bn_setting_of_number(BN_SETTING_INT, 64);
        return true;
    case 2:
        *out = bn_setting_of_number(BN_SETTING_REAL, -1e-3);
        return true;
    case 3:
        *out = bn_setting_of_bool(true);
        return true;
    default:
        return false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char text[4096];
    bn_expr *expr = NULL;
    bn_error err = {0};
    if (size >= sizeof text) return 0;
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (bn_expr_compile(&expr, text, &err) != BN_OK) {
        if (err.status == BN_OK || !err.text[0] || expr) abort();
        return 0;
    }
    bn_setting first = bn_expr_value(expr, lookup, NULL);
    bn_setting second = bn_expr_value(expr, lookup, NULL);
    if (first.kind != second.kind || strcmp(first.text, second.text) != 0) abort();
    (void)bn_expr_true(expr, lookup, NULL);
    bn_expr_free(expr);
    return 0;
}
