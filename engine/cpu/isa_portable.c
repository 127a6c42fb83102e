/* Where no instruction set has kernels of its own. */
#include "engine/cpu/isa.h"

static const bn_isa table[] = {
    {"portable", bn_kernels_portable, &bn_rows_portable, &bn_decode_portable, bn_attend_portable},
};

const bn_isa *bn_isa_table(int *count)
{
    *count = 1;
    return table;
}

bool bn_isa_usable(int index)
{
    return index == 0;
}
