#include "engine/cpu/isa.h"

#include <stdio.h>
#include <string.h>

static void list_usable(char *out, size_t size)
{
    int count;
    const bn_isa *table = bn_isa_table(&count);
    size_t length = 0;
    out[0] = '\0';
    for (int i = 0; i < count && length < size; i++) {
        if (!bn_isa_usable(i)) continue;
        int more = snprintf(out + length, size - length, "%s%s", length ? ", " : "", table[i].name);
        length += more > 0 ? (size_t)more : 0;
    }
}

bn_status bn_isa_choose(const bn_isa **out, const char *name, bn_error *err)
{
    int count;
    const bn_isa *table = bn_isa_table(&count);
    bool best = !name || !name[0];
    *out = NULL;
    for (int i = count - 1; i >= 0; i--) {
        if (!best && strcmp(table[i].name, name) != 0) continue;
        if (bn_isa_usable(i)) {
            *out = &table[i];
            return BN_OK;
        }
        if (!best) return bn_fail(err, BN_EINVAL, "BNEXP_ISA: this processor has no %s", name);
    }
    char known[128];
    list_usable(known, sizeof known);
    return bn_fail(err, BN_EINVAL, "BNEXP_ISA: '%s' is not one of %s", name ? name : "", known);
}
