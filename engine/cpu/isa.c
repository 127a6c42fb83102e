#include "engine/cpu/isa.h"

#include <stdio.h>
#include <string.h>

bn_status bn_isa_choose(bn_isa *out, const char *forced, bn_error *err)
{
    bn_isa sets[BN_ISA_MAX];
    char names[80] = "";
    size_t count = bn_isa_available(sets), length = 0;
    for (size_t i = 0; i < count; i++) {
        if (!forced || forced[0] == '\0' || strcmp(sets[i].name, forced) == 0) {
            *out = sets[i];
            return BN_OK;
        }
        int more =
            snprintf(names + length, sizeof names - length, "%s%s", i ? ", " : "", sets[i].name);
        length += more > 0 && length + (size_t)more < sizeof names ? (size_t)more : 0;
    }
    return bn_fail(err, BN_EINVAL, "BNEXP_ISA is '%.40s'; this machine has %s", forced, names);
}
