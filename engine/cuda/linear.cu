/* The three products of a linear layer, operands rounded as ops.h says. Codes meet codes on the
 * int8 tensor cores and take their scales in a pass of their own; floats are the library's. */
#include "engine/cuda/convert.h"

static size_t size_of(int rows, int cols)
{
    return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

static bn_cuda_elements elements_of(bn_act x)
{
    return {x.data, x.dtype, x.rows, x.cols, nullptr};
}

/* The elements in `dtype`: where they are, or made in the slot. NULL: no memory. */
static const void *in_format(bn_cuda *cuda, bn_cuda_slot slot, bn_dtype dtype,
                             const bn_cuda_elements *from)
{
    if (from->dtype == dtype && !from->row_factor) return from->data;
    void *to = bn_cuda_scratch(cuda, slot, size_of(from->rows, from->cols) * bn_dtype_bytes(dtype));
    if (to) bn_cuda_convert(cuda, to, nullptr, dtype, from);
    return to;
}

/* The weight's values in `dtype`, without their scale. */
static const void *values_in(bn_cuda *cuda, const bn_weight *weight, const bn_cuda_form *form,
                             bn_dtype dtype)
{
    if (form->values && form->dtype == dtype) return form->values;
    bn_cuda_elements codes = {form->codes, BN_I8, weight->rows, weight->cols, nullptr};
    return in_format(cuda, BN_CUDA_SLOT_RIGHT, dtype, &codes);
}

static void forward_codes(bn_cuda *cuda, bn_act x, const bn_linear_out *layer)
{
    bn_mat out = layer->out;
    bn_cuda_form form = bn_cuda_form_of(layer->weight);
    bn_cuda_code_product product = {.a = static_cast<const int8_t *>(x.data),
                                    .b = form.codes,
                                    .length = x.cols,
                                    .end = {.out = out.data,
                                            .add = layer->residual,
                                            .row = x.scale,
                                            .column = nullptr,
                                            .scale = form.scale,
                                            .rows = out.rows,
                                            .cols = out.cols}};
    bn_cuda_multiply_codes(cuda, &product);
}

static void forward_floats(bn_cuda *cuda, bn_act x, const bn_linear_out *layer)
{
    const bn_weight *weight = layer->weight;
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_elements input = elements_of(x);
    bool codes = bn_weight_dtype(weight->format.kind) == BN_I8;
    bn_dtype dtype = codes ? x.dtype : form.dtype;
    const void *left = in_format(cuda, BN_CUDA_SLOT_LEFT, dtype, &input);
    const void *right = values_in(cuda, weight, &form, dtype);
    if (!left || !right) return;
    bn_gemm product = {.dtype = dtype,
                       .m = layer->out.rows,
                       .n = layer->out.cols,
                       .k = x.cols,
                       .a_across = false,
                       .b_across = true,
                       .a = left,
                       .b = right,
                       .c = layer->out.data,
                       .alpha = codes ? form.scale : nullptr,
                       .add = layer->residual};
    bn_cuda_gemm(cuda, &product);
}

void bn_cuda_linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    for (int i = 0; i < count && !bn_cuda_failed(cuda); i++) {
        if (x.dtype == BN_I8) {
            forward_codes(cuda, x, &layers[i]);
        } else {
            forward_floats(cuda, x, &layers[i]);
        }
    }
}

/* The operands that dY makes: of dX's product f(dY), of dW's f(dY * t), t the scales of x's codes.
 * NULL where there is no memory. */
struct left_operands {
    const void *of_input, *of_weight;
};

/* What one of a site's layers is given on the way back. */
struct backward_step {
    bn_mat dx;
    bool accumulate; /* dx += instead of = */
    bn_act x;
    const bn_weight *weight;
    bn_mat dy;
    float *dw;
    const void *right;       /* x as dW's product takes it: made once for all layers of a site */
    const float *right_unit; /* of the columns of a float x as codes */
};

/* One pass over dY for both. */
static left_operands round_gradient(bn_cuda *cuda, bn_dtype dtype, const backward_step &step)
{
    bool scaled = step.x.dtype == BN_I8;
    bn_cuda_elements dy = {step.dy.data, BN_F32, step.dy.rows, step.dy.cols,
                           scaled ? step.x.scale : nullptr};
    if (!scaled) {
        const void *both = in_format(cuda, BN_CUDA_SLOT_LEFT, dtype, &dy);
        return {both, both};
    }
    size_t bytes = size_of(dy.rows, dy.cols) * bn_dtype_bytes(dtype);
    bool separate = dtype != BN_F32 && step.dx.data;
    void *to = bn_cuda_scratch(cuda, BN_CUDA_SLOT_LEFT, bytes);
    void *plain = separate ? bn_cuda_scratch(cuda, BN_CUDA_SLOT_PLAIN, bytes) : nullptr;
    if (bn_cuda_failed(cuda)) return {nullptr, nullptr};
    bn_cuda_convert(cuda, to, plain, dtype, &dy);
    return {separate ? plain : step.dy.data, to};
}

/* dx = s * f(dy) W,  dw += f(dy * t)^T f(x). */
static void backward_in_floats(bn_cuda *cuda, const backward_step &step)
{
    bn_act x = step.x;
    const bn_weight *weight = step.weight;
    bn_cuda_form form = bn_cuda_form_of(weight);
    left_operands left = round_gradient(cuda, form.dtype, step);
    if (bn_cuda_failed(cuda)) return;
    bn_gemm for_input = {.dtype = form.dtype,
                         .m = x.rows,
                         .n = weight->cols,
                         .k = weight->rows,
                         .a_across = false,
                         .b_across = false,
                         .a = left.of_input,
                         .b = form.values,
                         .c = step.dx.data,
                         .alpha = form.codes ? form.scale : nullptr,
                         .add = step.accumulate ? step.dx.data : nullptr};
    bn_gemm for_weight = {.dtype = form.dtype,
                          .m = weight->rows,
                          .n = weight->cols,
                          .k = x.rows,
                          .a_across = true,
                          .b_across = false,
                          .a = left.of_weight,
                          .b = step.right,
                          .c = step.dw,
                          .alpha = nullptr,
                          .add = step.dw};
    if (step.dx.data) bn_cuda_gemm(cuda, &for_input);
    bn_cuda_gemm(cuda, &for_weight);
}

/* dY as codes [lines, length], and the unit of each line. */
struct coded {
    int8_t *codes;
    float *unit;
};

/* false: no memory. */
static bool take(bn_cuda *cuda, coded *c, int lines, int length)
{
    size_t unit_bytes = static_cast<size_t>(lines) * sizeof(float);
    c->codes =
        static_cast<int8_t *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_LEFT, size_of(lines, length)));
    c->unit = static_cast<float *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_LINES, unit_bytes));
    return !bn_cuda_failed(cuda);
}

/* dx = (unit of dy's row * s) * (dy's codes x W's codes). */
static void input_in_codes(bn_cuda *cuda, const backward_step &step)
{
    const bn_weight *weight = step.weight;
    coded c = {};
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_elements dy = {step.dy.data, BN_F32, step.dy.rows, step.dy.cols, nullptr};
    if (!take(cuda, &c, dy.rows, weight->rows)) return;
    bn_cuda_quantize_rows(cuda, c.codes, c.unit, &dy);
    bn_cuda_code_product product = {.a = c.codes,
                                    .b = form.turned,
                                    .length = weight->rows,
                                    .end = {.out = step.dx.data,
                                            .add = step.accumulate ? step.dx.data : nullptr,
                                            .row = c.unit,
                                            .column = nullptr,
                                            .scale = form.scale,
                                            .rows = dy.rows,
                                            .cols = weight->cols}};
    bn_cuda_multiply_codes(cuda, &product);
}

/* dw += (unit of dy's column * unit of x's) * (dy^T's codes x x's codes); x's own codes have none.
 */
static void weight_in_codes(bn_cuda *cuda, const backward_step &step)
{
    coded c = {};
    bn_cuda_elements dy = {step.dy.data, BN_F32, step.dy.rows, step.dy.cols,
                           step.x.dtype == BN_I8 ? step.x.scale : nullptr};
    if (!take(cuda, &c, step.weight->rows, step.x.rows)) return;
    bn_cuda_quantize_columns(cuda, c.codes, c.unit, &dy);
    bn_cuda_code_product product = {.a = c.codes,
                                    .b = static_cast<const int8_t *>(step.right),
                                    .length = step.x.rows,
                                    .end = {.out = step.dw,
                                            .add = step.dw,
                                            .row = c.unit,
                                            .column = step.right_unit,
                                            .scale = nullptr,
                                            .rows = step.weight->rows,
                                            .cols = step.weight->cols}};
    bn_cuda_multiply_codes(cuda, &product);
}

/* x^T as codes, with their units behind them where they are not x's own. */
static void turn_input(bn_cuda *cuda, backward_step *step)
{
    bn_act x = step->x;
    size_t bytes = (size_of(x.rows, x.cols) + sizeof(float) - 1) / sizeof(float) * sizeof(float);
    auto *codes = static_cast<int8_t *>(bn_cuda_scratch(
        cuda, BN_CUDA_SLOT_RIGHT, bytes + static_cast<size_t>(x.cols) * sizeof(float)));
    if (!codes) return;
    step->right = codes;
    if (x.dtype == BN_I8) {
        bn_cuda_turn(cuda, codes, static_cast<const int8_t *>(x.data), x.rows, x.cols);
        return;
    }
    float *unit = reinterpret_cast<float *>(codes + bytes);
    bn_cuda_elements input = elements_of(x);
    bn_cuda_quantize_columns(cuda, codes, unit, &input);
    step->right_unit = unit;
}

void bn_cuda_linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                             int count)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    bn_dtype dtype = bn_cuda_form_of(layers[0].weight).dtype; /* one for all */
    backward_step step = {};
    step.dx = dx;
    step.x = x;
    if (dtype == BN_I8) {
        turn_input(cuda, &step);
    } else {
        bn_cuda_elements input = elements_of(x);
        step.right = in_format(cuda, BN_CUDA_SLOT_RIGHT, dtype, &input);
    }
    for (int i = 0; i < count && !bn_cuda_failed(cuda); i++) {
        step.accumulate = i > 0;
        step.weight = layers[i].weight;
        step.dy = layers[i].dy;
        step.dw = layers[i].dw;
        if (dtype != BN_I8) backward_in_floats(cuda, step);
        if (dtype == BN_I8 && dx.data) input_in_codes(cuda, step);
        if (dtype == BN_I8) weight_in_codes(cuda, step);
    }
}
