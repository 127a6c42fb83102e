/* The instruction sets of x86-64. */
#include "engine/cpu/isa.h"

static bool always(void)
{
    return true;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512vnni(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

/* Every processor but Cooper Lake that has the one has the other. */
static bool has_avx512bf16(void)
{
    return has_avx512vnni() && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("avx512vbmi");
}

static const bn_isa table[] = {
    {"portable", bn_kernels_portable, &bn_rows_portable, &bn_decode_portable, bn_attend_portable},
    {"avx2", bn_kernels_avx2, &bn_rows_avx2, &bn_decode_avx2, bn_attend_avx2},
    {"avx512vnni", bn_kernels_avx512vnni, &bn_rows_avx512, &bn_decode_avx512vnni, bn_attend_avx512},
    {"avx512bf16", bn_kernels_avx512bf16, &bn_rows_avx512bf16, &bn_decode_avx512vbmi,
     bn_attend_avx512bf16},
};
static bool (*const usable[])(void) = {always, has_avx2, has_avx512vnni, has_avx512bf16};

const bn_isa *bn_isa_table(int *count)
{
    *count = (int)(sizeof table / sizeof table[0]);
    return table;
}

bool bn_isa_usable(int index)
{
    return usable[index]();
}
