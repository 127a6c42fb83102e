#include "runner/spec_macro.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/nearest.h"

typedef struct macro_row {
    const char *name; /* one that ends in ':' has a name of the user's behind it */
    bool alone;       /* only as a word of its own: it becomes several words, or a program */
} macro_row;

static const macro_row MACROS[] = {
    {"env", true},
    {"interpreter", true},
    {"program", true},
    {"args", true},
    {"args_no_equals", true},
    {"args_no_hyphens", true},
    {"args_no_boolean_flags", true},
    {"args_append_hydra", true},
    {"args_override_hydra", true},
    {"args_json", false},
    {"args_json_file", false},
    {"run_id", false},
    {"run_dir", false},
    {"seed", false},
    {"slot", false},
    {"attempt", false},
    {"gpu", false},
    {"envvar:", false},
    {"param:", false},
};
enum { MACRO_COUNT = sizeof MACROS / sizeof MACROS[0] };

size_t bn_macro_at(const char *text, char name[BN_MACRO_MAX])
{
    const char *close = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
    if (!close) return 0;
    (void)snprintf(name, BN_MACRO_MAX, "%.*s", (int)(close - text - 2), text + 2);
    return (size_t)(close + 1 - text);
}

static const macro_row *find(const char *name)
{
    for (size_t i = 0; i < MACRO_COUNT; i++) {
        size_t length = strlen(MACROS[i].name);
        bool open = MACROS[i].name[length - 1] == ':';
        if (open ? strncmp(MACROS[i].name, name, length) == 0 : strcmp(MACROS[i].name, name) == 0) {
            return &MACROS[i];
        }
    }
    return NULL;
}

bn_status bn_macro_check(const char *name, bool whole, bn_error *err)
{
    const macro_row *row = find(name);
    if (row && row->alone && !whole) {
        return bn_fail(err, BN_EINVAL, "'command': ${%s} must be a word of its own", name);
    }
    if (row) return BN_OK;
    const char *near = bn_nearest(name, &MACROS[0].name, MACRO_COUNT, sizeof MACROS[0]);
    return bn_fail(err, BN_EINVAL, "'command' has an unknown macro ${%.40s}%s%s%s", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

const char *bn_macro_parameter(const char *name)
{
    return strncmp(name, "param:", 6) == 0 ? name + 6 : NULL;
}
