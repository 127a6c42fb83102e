/* The three products of a linear layer, operands rounded as ops.h says, sums in double. */
#include <math.h>

#include "engine/base/half.h"
#include "engine/reference/reference.h"

/* An operand after rounding: value[row * cols + col], line l of the sum also times unit[l]. */
typedef struct operand {
    float *value;
    float *unit;
    int rows, cols;
} operand;

static size_t size_of(int rows, int cols)
{
    return (size_t)rows * (size_t)cols;
}

typedef struct strided {
    const float *at;
    size_t step;
} strided;

typedef struct strided_out {
    float *at;
    size_t step;
} strided_out;

/* Rounded once, at the end. */
static float dot(strided a, strided b, int length)
{
    double sum = 0;
    for (size_t k = 0; k < (size_t)length; k++) {
        sum += (double)a.at[k * a.step] * (double)b.at[k * b.step];
    }
    return (float)sum;
}

/* x as floats, codes without their scale. */
static void read_act(bn_act x, float *value)
{
    for (int r = 0; r < x.rows; r++) bn_reference_act_read(x, r, value + size_of(r, x.cols));
}

static void multiply(const bn_linear_out *layer, bn_act x, const float *value)
{
    const bn_weight *weight = layer->weight;
    const bn_reference_form *form = weight->form;
    for (int r = 0; r < x.rows; r++) {
        float scale = x.dtype == BN_I8 ? x.scale[r] * form->scale : form->scale;
        for (int o = 0; o < weight->rows; o++) {
            float sum = dot((strided){value + size_of(r, x.cols), 1},
                            (strided){form->value + size_of(o, x.cols), 1}, x.cols);
            size_t at = size_of(r, weight->rows) + (size_t)o;
            float before = layer->residual ? layer->residual[at] : 0.0F;
            bn_reference_put(layer->out, at, before + sum * scale);
        }
    }
}

void bn_reference_linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count)
{
    float *value = bn_reference_scratch(self, size_of(x.rows, x.cols));
    if (!value) return;
    read_act(x, value);
    bn_dtype dtype = bn_weight_dtype(layers[0].weight->format.kind);
    for (size_t i = 0; i < size_of(x.rows, x.cols) && dtype != BN_I8; i++) {
        value[i] = bn_reference_round(value[i], dtype);
    }
    for (int i = 0; i < count; i++) multiply(&layers[i], x, value);
}

/* The sums' own lines through a matrix: element k of line l is at [l * line_step + k * step]. */
typedef struct lines {
    int count, length;
    size_t line_step, step;
} lines;

/* Float formats one by one; I8 to codes of the line's own unit. */
static void round_line(strided_out line, int length, bn_dtype dtype, float *unit)
{
    uint32_t most = 0;
    for (size_t k = 0; k < (size_t)length; k++) {
        float *v = &line.at[k * line.step];
        *v = bn_reference_round(*v, dtype);
        uint32_t magnitude = bn_float_bits(*v) & 0x7FFFFFFFU;
        if (magnitude > most) most = magnitude;
    }
    *unit = 1;
    if (dtype != BN_I8) return;
    float limit = bn_float_from_bits(most); /* NaN where the line has one */
    float inverse = most > 0 ? 127.0F / limit : 0.0F;
    *unit = limit / 127.0F;
    for (size_t k = 0; k < (size_t)length; k++) {
        float *v = &line.at[k * line.step];
        *v = bn_reference_code(*v * inverse, 127);
    }
}

static void round_lines(operand a, lines l, bn_dtype dtype)
{
    for (int line = 0; line < l.count; line++) {
        round_line((strided_out){a.value + (size_t)line * l.line_step, l.step}, l.length, dtype,
                   &a.unit[line]);
    }
}

/* dx = or += one layer's share. */
static void backward_input(bn_mat dx, const bn_linear_grad *layer, operand dy, bool add)
{
    const bn_weight *weight = layer->weight;
    const bn_reference_form *form = weight->form;
    int outs = weight->rows;
    int ins = weight->cols;
    for (int r = 0; r < dy.rows; r++) {
        bn_reference_get_row(layer->dy, r, dy.value + size_of(r, outs));
    }
    round_lines(dy, (lines){.count = dy.rows, .length = outs, .line_step = (size_t)outs, .step = 1},
                bn_weight_backward_dtype(weight->format));
    for (int r = 0; r < dy.rows; r++) {
        for (int i = 0; i < ins; i++) {
            float sum = dot((strided){dy.value + size_of(r, outs), 1},
                            (strided){form->value + i, (size_t)ins}, outs);
            size_t at = size_of(r, ins) + (size_t)i;
            float value = sum * (dy.unit[r] * form->scale);
            bn_reference_put(dx, at, add ? bn_reference_get(dx, at) + value : value);
        }
    }
}

static void backward_weight(bn_act x, const bn_linear_grad *layer, operand dy, operand in)
{
    bn_dtype dtype = bn_weight_backward_dtype(layer->weight->format);
    for (int r = 0; r < dy.rows; r++) {
        float scale = x.dtype == BN_I8 ? x.scale[r] : 1;
        for (int o = 0; o < dy.cols; o++) {
            size_t k = size_of(r, dy.cols) + (size_t)o;
            dy.value[k] = bn_reference_get(layer->dy, k) * scale;
        }
    }
    read_act(x, in.value);
    round_lines(
        dy, (lines){.count = dy.cols, .length = dy.rows, .line_step = 1, .step = (size_t)dy.cols},
        dtype);
    round_lines(
        in, (lines){.count = in.cols, .length = in.rows, .line_step = 1, .step = (size_t)in.cols},
        x.dtype == BN_I8 && dtype == BN_I8 ? BN_F32 : dtype);
    for (int o = 0; o < dy.cols; o++) {
        for (int i = 0; i < in.cols; i++) {
            float sum = dot((strided){dy.value + o, (size_t)dy.cols},
                            (strided){in.value + i, (size_t)in.cols}, dy.rows);
            layer->dw[size_of(o, in.cols) + (size_t)i] += sum * (dy.unit[o] * in.unit[i]);
        }
    }
}

static void backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layer, bool add)
{
    const bn_weight *weight = layer->weight;
    int rows = x.rows;
    size_t most_units = (size_t)rows + (size_t)weight->rows;
    size_t dy_count = size_of(rows, weight->rows);
    size_t x_count = size_of(rows, weight->cols);
    float *scratch =
        bn_reference_scratch(self, dy_count + x_count + most_units + (size_t)weight->cols);
    if (!scratch) return;
    float *units = scratch + dy_count + x_count;
    operand dy = {.value = scratch, .unit = units, .rows = rows, .cols = weight->rows};
    operand in = {.value = scratch + dy_count,
                  .unit = units + most_units,
                  .rows = rows,
                  .cols = weight->cols};
    if (dx.data) backward_input(dx, layer, dy, add);
    backward_weight(x, layer, dy, in);
}

void bn_reference_linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                                  int count)
{
    for (int i = 0; i < count; i++) backward(self, dx, x, &layers[i], i > 0);
}
