#include "runner/search/setting.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bn_setting bn_setting_of_number(bn_setting_kind kind, double number)
{
    bn_setting setting = {.kind = kind, .number = number};
    bn_text text;
    bn_text_fixed(&text, setting.text, sizeof setting.text);
    bn_text_number(&text, number, BN_NONFINITE_BARE);
    return setting;
}

bn_setting bn_setting_of_bool(bool yes)
{
    bn_setting setting = {.kind = BN_SETTING_BOOL, .number = yes};
    (void)snprintf(setting.text, sizeof setting.text, "%s", yes ? "true" : "false");
    return setting;
}

bn_setting bn_setting_of_text(const char *text)
{
    bn_setting setting = {.kind = BN_SETTING_TEXT};
    (void)snprintf(setting.text, sizeof setting.text, "%s", text);
    return setting;
}

bn_setting bn_setting_parse(const char *text)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        return bn_setting_of_bool(text[0] == 't');
    }
    bool digits = text[0] != '\0' && strspn(text, "+-.0123456789eE") == strlen(text);
    char *end = NULL;
    double number = digits ? strtod(text, &end) : 0;
    if (!digits || *end != '\0' || !isfinite(number)) return bn_setting_of_text(text);
    bool whole = strpbrk(text, ".eE") == NULL && fabs(number) < 0x1p53;
    return bn_setting_of_number(whole ? BN_SETTING_INT : BN_SETTING_REAL, number);
}

static bool is_number(const bn_setting *setting)
{
    return setting->kind == BN_SETTING_INT || setting->kind == BN_SETTING_REAL;
}

bool bn_setting_equal(const bn_setting *a, const bn_setting *b)
{
    if (is_number(a) && is_number(b)) return a->number == b->number;
    if (a->kind != b->kind) return false;
    if (a->kind == BN_SETTING_TEXT) return strcmp(a->text, b->text) == 0;
    return a->kind == BN_SETTING_NONE || a->number == b->number;
}

void bn_setting_json(const bn_setting *setting, bn_json *out)
{
    switch (setting->kind) {
    case BN_SETTING_NONE:
        bn_json_string(out, NULL);
        return;
    case BN_SETTING_INT:
    case BN_SETTING_REAL:
        bn_json_real(out, setting->number);
        return;
    case BN_SETTING_BOOL:
        bn_json_bool(out, setting->number != 0);
        return;
    case BN_SETTING_TEXT:
        bn_json_string(out, setting->text);
        return;
    }
}
