#include <stdbool.h>

#include "engine/cpu/isa.h"

static bool have_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool have_avx512vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

size_t bn_isa_available(bn_isa out[BN_ISA_MAX])
{
    size_t count = 0;
    if (have_avx512vnni()) out[count++] = (bn_isa){"avx512vnni", bn_kernels_avx512vnni};
    if (have_avx2()) out[count++] = (bn_isa){"avx2", bn_kernels_avx2};
    out[count++] = (bn_isa){"portable", bn_kernels_portable};
    return count;
}
