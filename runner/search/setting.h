/* setting.h - one value that a parameter or a knob can take. */
#ifndef BN_RUNNER_SEARCH_SETTING_H
#define BN_RUNNER_SEARCH_SETTING_H

#include <stdbool.h>

#include "engine/base/text.h"

enum { BN_VALUE_TEXT_MAX = 192 };

typedef enum bn_setting_kind {
    BN_SETTING_NONE,
    BN_SETTING_INT,
    BN_SETTING_REAL,
    BN_SETTING_BOOL,
    BN_SETTING_TEXT
} bn_setting_kind;

/* One value a parameter can take. */
typedef struct bn_setting {
    bn_setting_kind kind; /* NONE: the parameter is absent from this point (its `when` is false) */
    double number;        /* INT, REAL; BOOL as 0 or 1 */
    char text[BN_VALUE_TEXT_MAX]; /* TEXT; otherwise the number as text, as a knob would take it */
} bn_setting;

/* Makes settings. Text longer than BN_VALUE_TEXT_MAX - 1 bytes is cut: check before. */
bn_setting bn_setting_of_number(bn_setting_kind kind, double number);
bn_setting bn_setting_of_bool(bool yes);
bn_setting bn_setting_of_text(const char *text);

/* What a knob or a person types: 3 and 3.0 are the integer 3 and the real 3; true and false;
 * anything else is text. */
bn_setting bn_setting_parse(const char *text);

/* Same kind of thing and same value; the integer 3 equals the real 3. */
bool bn_setting_equal(const bn_setting *a, const bn_setting *b);

/* A setting as a JSON value. */
void bn_setting_json(const bn_setting *setting, bn_json *out);

#endif
