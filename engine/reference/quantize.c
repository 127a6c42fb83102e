/* Working forms of weights and activations: BitNet b1.58 (arXiv:2402.17764), BitNet v1
 * (arXiv:2310.11453), W8A8, and the two 16-bit floats. */
#include <math.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/reference/reference.h"

static const float scale_floor = 1e-5F;

float bn_reference_round(float value, bn_dtype dtype)
{
    switch (dtype) {
    case BN_BF16:
        return bn_bf16_to_float(bn_bf16_from_float(value));
    case BN_F16:
        return bn_f16_to_float(bn_f16_from_float(value));
    case BN_F32:
    case BN_I8:
        break;
    }
    return value;
}

float bn_reference_code(float value, float limit)
{
    if (isnan(value)) return 0;
    float code = rintf(value);
    return code > limit ? limit : code < -limit ? -limit : code;
}

/* The largest magnitude; NaN when there is one, since NaN's bits are above infinity's. */
static float abs_max(const float *x, size_t count)
{
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bn_float_bits(x[i]) & 0x7FFFFFFFU;
        if (bits > most) most = bits;
    }
    return bn_float_from_bits(most);
}

static float at_least(float value, float floor)
{
    return value < floor ? floor : value; /* NaN stays */
}

static void quantize_row(bn_act out, int r, const float *y)
{
    int8_t *codes = (int8_t *)out.data + (size_t)r * (size_t)out.cols;
    float most = at_least(abs_max(y, (size_t)out.cols), scale_floor);
    float inverse = 127.0F / most;
    out.scale[r] = most / 127.0F;
    out.sum[r] = 0;
    for (int c = 0; c < out.cols; c++) {
        codes[c] = (int8_t)bn_reference_code(y[c] * inverse, 127.0F);
        out.sum[r] += codes[c];
    }
}

/* A float activation is a matrix. */
static bn_mat matrix_of(bn_act x)
{
    return (bn_mat){.data = x.data, .rows = x.rows, .cols = x.cols, .dtype = x.dtype};
}

void bn_reference_act_write(bn_act out, int r, const float *y)
{
    if (out.dtype == BN_I8) {
        quantize_row(out, r, y);
    } else {
        bn_reference_put_row(matrix_of(out), r, y);
    }
}

void bn_reference_act_read(bn_act x, int r, float *values)
{
    if (x.dtype != BN_I8) {
        bn_reference_get_row(matrix_of(x), r, values);
        return;
    }
    const int8_t *codes = (const int8_t *)x.data + (size_t)r * (size_t)x.cols;
    for (int c = 0; c < x.cols; c++) values[c] = (float)codes[c];
}

size_t bn_reference_weight_form_bytes(void *self, int rows, int cols, bn_weight_format format)
{
    (void)self, (void)format;
    return sizeof(bn_reference_form) + (size_t)rows * (size_t)cols * sizeof(float);
}

/* The lower median of |w|: the smallest magnitude that at least half of the weights do not exceed.
 * Magnitudes order like their bits, so bits are bisected. */
static float abs_median(const float *w, size_t count)
{
    uint32_t low = 0;
    uint32_t high = 0x7FFFFFFFU;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        size_t below = 0;
        for (size_t i = 0; i < count; i++) {
            below += (bn_float_bits(w[i]) & 0x7FFFFFFFU) <= middle;
        }
        if (2 * below >= count) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return bn_float_from_bits(low);
}

static float mean_of(const float *w, size_t count, bool magnitude)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += magnitude ? fabs((double)w[i]) : (double)w[i];
    return (float)(sum / (double)count);
}

static float weight_scale(const bn_weight *weight, size_t count)
{
    const float *w = weight->master;
    float scale = 1;
    switch (weight->format.kind) {
    case BN_WEIGHT_F32:
    case BN_WEIGHT_BF16:
    case BN_WEIGHT_F16:
        return 1;
    case BN_WEIGHT_TERNARY:
        scale = weight->format.median ? abs_median(w, count) : mean_of(w, count, true);
        scale = at_least(scale, scale_floor);
        break;
    case BN_WEIGHT_BINARY:
        scale = mean_of(w, count, true);
        break;
    case BN_WEIGHT_INT8:
        scale = at_least(abs_max(w, count), scale_floor) / 127.0F;
        break;
    }
    return weight->format.fp16_scale ? bn_reference_round(scale, BN_F16) : scale;
}

void bn_reference_weight_prepare(void *self, const bn_weight *weight)
{
    if (bn_host_failed(self)) return;
    bn_reference_form *form = weight->form;
    const float *w = weight->master;
    size_t count = (size_t)weight->rows * (size_t)weight->cols;
    form->scale = weight_scale(weight, count);
    float inverse = 1.0F / form->scale;
    float middle = weight->format.kind == BN_WEIGHT_BINARY ? mean_of(w, count, false) : 0;
    for (size_t i = 0; i < count; i++) {
        switch (weight->format.kind) {
        case BN_WEIGHT_F32:
            form->value[i] = w[i];
            break;
        case BN_WEIGHT_BF16:
            form->value[i] = bn_reference_round(w[i], BN_BF16);
            break;
        case BN_WEIGHT_F16:
            form->value[i] = bn_reference_round(w[i], BN_F16);
            break;
        case BN_WEIGHT_TERNARY:
            form->value[i] = bn_reference_code(w[i] * inverse, 1);
            break;
        case BN_WEIGHT_BINARY:
            form->value[i] = w[i] >= middle ? 1 : -1;
            break;
        case BN_WEIGHT_INT8:
            form->value[i] = bn_reference_code(w[i] * inverse, 127);
            break;
        }
    }
}

void bn_reference_weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale)
{
    if (bn_host_failed(self)) return;
    const bn_reference_form *form = weight->form;
    size_t count = (size_t)weight->rows * (size_t)weight->cols;
    for (size_t i = 0; i < count; i++) codes[i] = (int8_t)form->value[i];
    *scale = form->scale;
}
