/* Elements of matrices as floats, whatever they are kept in. */
#include "engine/base/half.h"
#include "engine/reference/reference.h"

float bn_reference_get(bn_mat m, size_t i)
{
    switch (m.dtype) {
    case BN_BF16:
        return bn_bf16_to_float(m.half[i]);
    case BN_F16:
        return bn_f16_to_float(m.half[i]);
    case BN_F32:
    case BN_I8:
        break;
    }
    return m.data[i];
}

void bn_reference_put(bn_mat m, size_t i, float value)
{
    switch (m.dtype) {
    case BN_BF16:
        m.half[i] = bn_bf16_from_float(value);
        return;
    case BN_F16:
        m.half[i] = bn_f16_from_float(value);
        return;
    case BN_F32:
    case BN_I8:
        break;
    }
    m.data[i] = value;
}

void bn_reference_get_row(bn_mat m, int r, float *values)
{
    size_t start = (size_t)r * (size_t)m.cols;
    for (int c = 0; c < m.cols; c++) values[c] = bn_reference_get(m, start + (size_t)c);
}

void bn_reference_put_row(bn_mat m, int r, const float *values)
{
    size_t start = (size_t)r * (size_t)m.cols;
    for (int c = 0; c < m.cols; c++) bn_reference_put(m, start + (size_t)c, values[c]);
}
