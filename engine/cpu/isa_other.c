#include "engine/cpu/isa.h"

size_t bn_isa_available(bn_isa out[BN_ISA_MAX])
{
    out[0] = (bn_isa){"portable", bn_kernels_portable};
    return 1;
}
