#include "engine/cpu/wide.h"

#include <string.h>

const float *bn_wide_read(const bn_rows *rows, bn_dtype dtype, const void *from, float *to,
                          size_t count)
{
    switch (dtype) {
    case BN_F32:
        return from;
    case BN_BF16:
        rows->from_bf16(to, from, count);
        break;
    case BN_F16:
        rows->from_f16(to, from, count);
        break;
    case BN_I8:
        rows->from_i8(to, from, count);
        break;
    }
    return to;
}

float *bn_wide_get(const bn_rows *rows, const bn_mat *m, size_t i, float *to, size_t count)
{
    if (m->dtype == BN_F32) return m->data + i;
    (void)bn_wide_read(rows, m->dtype, m->half + i, to, count);
    return to;
}

float *bn_wide_place(const bn_mat *m, size_t i, float *to)
{
    return m->dtype == BN_F32 ? m->data + i : to;
}

void bn_wide_put(const bn_rows *rows, const bn_mat *m, size_t i, const float *from, size_t count)
{
    switch (m->dtype) {
    case BN_F32:
        if (from != m->data + i) memcpy(m->data + i, from, count * sizeof *from);
        break;
    case BN_BF16:
        rows->to_bf16(m->half + i, from, 1, count);
        break;
    case BN_F16:
        rows->to_f16(m->half + i, from, 1, count);
        break;
    case BN_I8:
        break;
    }
}
