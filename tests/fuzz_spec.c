/* libFuzzer target: any bytes as a sweep file. It is refused in one line, or its points satisfy its
 * space and have harmless names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runner/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_point(const bn_spec *spec, const bn_point *point)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    char name[96];
    bn_point again = *point;
    if (bn_space_complete(&spec->space, &again) >= 0) abort();
    bn_spec_run_name(spec, point, 0, name);
    if (!*name || strlen(name) > 64 || strspn(name, plain) != strlen(name)) abort();
    for (int i = 0; i < point->count; i++) {
        const bn_parameter *p = &spec->space.params[i];
        if (p->derived || point->values[i].kind == BN_SETTING_NONE) continue;
        if (!bn_parameter_holds(p, &point->values[i])) abort();
    }
}

static void check_spec(const bn_spec *spec)
{
    bn_search *search = NULL;
    bn_error err = {0};
    if (bn_search_open(&search, &spec->space, &spec->search, &err) != BN_OK) abort();
    for (int64_t i = 0; i < 5; i++) {
        bn_point point;
        if (bn_search_suggest(search, i, NULL, 0, &point, &err) != BN_OK) break;
        check_point(spec, &point);
    }
    bn_search_close(search);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    bn_spec spec;
    bn_error err = {0};
    if (!text) return 0;
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (bn_spec_parse(&spec, "f.toml", text, NULL, 0, &err) == BN_OK) {
        check_spec(&spec);
        bn_spec_release(&spec);
    } else if (err.status == BN_OK || !err.text[0] || strchr(err.text, '\n')) {
        abort(); /* refused without a reason, or in several lines */
    }
    free(text);
    return 0;
}
