/* The three products of a linear layer, operands rounded as ops.h says. Codes meet codes on the
 * int8 tensor cores and take their scales in a pass of their own; floats are the library's. */
#include "engine/cuda/convert.h"

static size_t size_of(int rows, int cols)
{
    return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

/* Codes without their scales. */
static bn_cuda_elements elements_of(bn_act x)
{
    return {x.data, x.dtype, x.rows, x.cols, nullptr};
}

static bn_cuda_elements elements_of(bn_mat m, const float *row_factor)
{
    return {m.data, m.dtype, m.rows, m.cols, row_factor};
}

/* The elements in `dtype`: where they are, or made in the slot. NULL: no memory. */
static const void *in_format(bn_cuda *cuda, bn_cuda_slot slot, bn_dtype dtype,
                             const bn_cuda_elements *from)
{
    if (from->dtype == dtype && !from->row_factor) return from->data;
    void *to = bn_cuda_scratch(cuda, slot, size_of(from->rows, from->cols) * bn_dtype_bytes(dtype));
    if (to) bn_cuda_convert(cuda, to, dtype, from);
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
    bn_cuda_form form = bn_cuda_form_of(layer->weight);
    bn_cuda_code_product product = {.a = static_cast<const int8_t *>(x.data),
                                    .b = form.codes,
                                    .length = x.cols,
                                    .end = {.out = layer->out,
                                            .add = layer->residual,
                                            .row = x.scale,
                                            .column = nullptr,
                                            .scale = form.scale}};
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
                       .out = layer->out.dtype,
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
    bn_cuda_multiply(cuda, &product);
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

/* dx = s * f(dy) W,  dw += f(dy)^T f(t * x). */
static void backward_in_floats(bn_cuda *cuda, const backward_step &step)
{
    const bn_weight *weight = step.weight;
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_elements dy = elements_of(step.dy, nullptr);
    const void *left = in_format(cuda, BN_CUDA_SLOT_LEFT, form.dtype, &dy);
    if (!left) return;
    bn_gemm for_input = {.dtype = form.dtype,
                         .out = step.dx.dtype,
                         .m = dy.rows,
                         .n = weight->cols,
                         .k = weight->rows,
                         .a_across = false,
                         .b_across = false,
                         .a = left,
                         .b = form.values,
                         .c = step.dx.data,
                         .alpha = form.codes ? form.scale : nullptr,
                         .add = step.accumulate ? step.dx.data : nullptr};
    bn_gemm for_weight = {.dtype = form.dtype,
                          .out = BN_F32,
                          .m = weight->rows,
                          .n = weight->cols,
                          .k = dy.rows,
                          .a_across = true,
                          .b_across = false,
                          .a = left,
                          .b = step.right,
                          .c = step.dw,
                          .alpha = nullptr,
                          .add = step.dw};
    if (step.dx.data) bn_cuda_multiply(cuda, &for_input);
    bn_cuda_gemm(cuda, &for_weight);
}

/* dY as codes: of its rows where dX is wanted, of the columns of dY * t, and their units. false: no
 * memory. */
static bool encode_gradient(bn_cuda *cuda, bn_cuda_codes *to, const backward_step &step)
{
    int rows = step.dy.rows, cols = step.dy.cols;
    size_t lines = static_cast<size_t>(rows) + static_cast<size_t>(cols);
    bn_cuda_elements dy = elements_of(step.dy, step.x.dtype == BN_I8 ? step.x.scale : nullptr);
    *to = {};
    to->by_column =
        static_cast<int8_t *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_TURNED, size_of(rows, cols)));
    to->column_unit =
        static_cast<float *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_LINES, lines * sizeof(float)));
    if (step.dx.data) {
        to->by_row =
            static_cast<int8_t *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_LEFT, size_of(rows, cols)));
        to->row_unit = to->column_unit + cols;
    }
    if (bn_cuda_failed(cuda)) return false;
    bn_cuda_quantize(cuda, to, &dy);
    return !bn_cuda_failed(cuda);
}

/* dx = (unit of dy's row * s) * (dy's codes x W's codes); dw += (unit of dy's column * unit of x's)
 * * (dy^T's codes x x's codes), where x's own codes have none. */
static void backward_in_codes(bn_cuda *cuda, const backward_step &step)
{
    const bn_weight *weight = step.weight;
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_codes dy;
    if (!encode_gradient(cuda, &dy, step)) return;
    bn_cuda_code_product for_input = {.a = dy.by_row,
                                      .b = form.turned,
                                      .length = weight->rows,
                                      .end = {.out = step.dx,
                                              .add = step.accumulate ? step.dx.data : nullptr,
                                              .row = dy.row_unit,
                                              .column = nullptr,
                                              .scale = form.scale}};
    bn_mat dw = {};
    dw.data = step.dw;
    dw.rows = weight->rows;
    dw.cols = weight->cols;
    bn_cuda_code_product for_weight = {.a = dy.by_column,
                                       .b = static_cast<const int8_t *>(step.right),
                                       .length = step.dy.rows,
                                       .end = {.out = dw,
                                               .add = step.dw,
                                               .row = dy.column_unit,
                                               .column = step.right_unit,
                                               .scale = nullptr}};
    if (step.dx.data) bn_cuda_multiply_codes(cuda, &for_input);
    bn_cuda_multiply_codes(cuda, &for_weight);
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
    bn_cuda_codes to = {nullptr, nullptr, codes, reinterpret_cast<float *>(codes + bytes)};
    bn_cuda_elements input = elements_of(x);
    bn_cuda_quantize(cuda, &to, &input);
    step->right_unit = to.column_unit;
}

/* x as dW's product takes it. In floats codes bring their scale t along, so that dY serves both
 * products as it is: x is smaller than all of a site's dY together, and read once a site. */
static void prepare_input(bn_cuda *cuda, backward_step *step, bn_dtype dtype)
{
    if (dtype == BN_I8) {
        turn_input(cuda, step);
        return;
    }
    bn_cuda_elements input = elements_of(step->x);
    if (step->x.dtype == BN_I8) input.row_factor = step->x.scale;
    step->right = in_format(cuda, BN_CUDA_SLOT_RIGHT, dtype, &input);
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
    prepare_input(cuda, &step, dtype);
    for (int i = 0; i < count && !bn_cuda_failed(cuda); i++) {
        step.accumulate = i > 0;
        step.weight = layers[i].weight;
        step.dy = layers[i].dy;
        step.dw = layers[i].dw;
        if (dtype == BN_I8) {
            backward_in_codes(cuda, step);
        } else {
            backward_in_floats(cuda, step);
        }
    }
}
