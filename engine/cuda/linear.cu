/* The three products of a linear layer, operands rounded as ops.h says. Codes meet codes on the
 * int8 tensor cores and take their scales in a pass of their own; floats are the library's. */
#include "engine/cuda/convert.h"

static size_t size_of(int rows, int cols)
{
    return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

static size_t bytes_of(bn_dtype dtype)
{
    return dtype == BN_F32 ? 4 : dtype == BN_I8 ? 1 : 2;
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
    void *to = bn_cuda_scratch(cuda, slot, size_of(from->rows, from->cols) * bytes_of(dtype));
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

static void forward_codes(bn_cuda *cuda, bn_mat out, const float *residual, bn_act x,
                          const bn_weight *weight)
{
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_code_product product = {.a = static_cast<const int8_t *>(x.data),
                                    .b = form.codes,
                                    .length = x.cols,
                                    .end = {.out = out.data,
                                            .add = residual,
                                            .row = x.scale,
                                            .column = nullptr,
                                            .scale = form.scale,
                                            .rows = out.rows,
                                            .cols = out.cols}};
    bn_cuda_multiply_codes(cuda, &product);
}

void bn_cuda_linear_forward(void *self, bn_mat out, const float *residual, bn_act x,
                            const bn_weight *weight)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    if (x.dtype == BN_I8) {
        forward_codes(cuda, out, residual, x, weight);
        return;
    }
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_elements input = elements_of(x);
    bool codes = bn_cuda_is_low_bit(weight->format.kind);
    bn_dtype dtype = codes ? x.dtype : form.dtype;
    const void *left = in_format(cuda, BN_CUDA_SLOT_LEFT, dtype, &input);
    const void *right = values_in(cuda, weight, &form, dtype);
    if (!left || !right) return;
    bn_gemm product = {.dtype = dtype,
                       .m = out.rows,
                       .n = out.cols,
                       .k = x.cols,
                       .a_across = false,
                       .b_across = true,
                       .a = left,
                       .b = right,
                       .c = out.data,
                       .alpha = codes ? form.scale : nullptr,
                       .add = residual};
    bn_cuda_gemm(cuda, &product);
}

/* The operands that dY makes: of dX's product f(dY), of dW's f(dY * t), t the scales of x's codes.
 * NULL where there is no memory. */
struct left_operands {
    const void *of_input, *of_weight;
};

/* One pass over dY for both. */
static left_operands round_gradient(bn_cuda *cuda, bn_act x, bn_dtype dtype,
                                    const bn_linear_grads *grads)
{
    bool scaled = x.dtype == BN_I8;
    bn_cuda_elements dy = {grads->dy.data, BN_F32, grads->dy.rows, grads->dy.cols,
                           scaled ? x.scale : nullptr};
    if (!scaled) {
        const void *both = in_format(cuda, BN_CUDA_SLOT_LEFT, dtype, &dy);
        return {both, both};
    }
    size_t bytes = size_of(dy.rows, dy.cols) * bytes_of(dtype);
    bool separate = dtype != BN_F32 && grads->dx.data;
    void *to = bn_cuda_scratch(cuda, BN_CUDA_SLOT_LEFT, bytes);
    void *plain = separate ? bn_cuda_scratch(cuda, BN_CUDA_SLOT_PLAIN, bytes) : nullptr;
    if (bn_cuda_failed(cuda)) return {nullptr, nullptr};
    bn_cuda_convert(cuda, to, plain, dtype, &dy);
    return {separate ? plain : grads->dy.data, to};
}

/* dx = s * f(dy) W,  dw += f(dy * t)^T f(x). */
static void backward_in_floats(bn_cuda *cuda, bn_act x, const bn_weight *weight,
                               const bn_linear_grads *grads)
{
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_elements input = elements_of(x);
    left_operands left = round_gradient(cuda, x, form.dtype, grads);
    const void *right = in_format(cuda, BN_CUDA_SLOT_RIGHT, form.dtype, &input);
    if (bn_cuda_failed(cuda)) return;
    bn_gemm for_input = {.dtype = form.dtype,
                         .m = x.rows,
                         .n = weight->cols,
                         .k = weight->rows,
                         .a_across = false,
                         .b_across = false,
                         .a = left.of_input,
                         .b = form.values,
                         .c = grads->dx.data,
                         .alpha = form.codes ? form.scale : nullptr,
                         .add = grads->accumulate ? grads->dx.data : nullptr};
    bn_gemm for_weight = {.dtype = form.dtype,
                          .m = weight->rows,
                          .n = weight->cols,
                          .k = x.rows,
                          .a_across = true,
                          .b_across = false,
                          .a = left.of_weight,
                          .b = right,
                          .c = grads->dw,
                          .alpha = nullptr,
                          .add = grads->dw};
    if (grads->dx.data) bn_cuda_gemm(cuda, &for_input);
    bn_cuda_gemm(cuda, &for_weight);
}

/* Memory of a product of codes: its operands and their units. */
struct coded {
    int8_t *left, *right;
    float *left_unit, *right_unit;
};

/* left [m, k], right [n, k]; false: no memory. */
static bool take(bn_cuda *cuda, coded *c, int m, int n, int k)
{
    size_t units = static_cast<size_t>(m) + static_cast<size_t>(n);
    c->left = static_cast<int8_t *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_LEFT, size_of(m, k)));
    c->right = static_cast<int8_t *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_RIGHT, size_of(n, k)));
    c->left_unit =
        static_cast<float *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_LINES, units * sizeof(float)));
    if (bn_cuda_failed(cuda)) return false;
    c->right_unit = c->left_unit + m;
    return true;
}

/* dx = (unit of dy's row * s) * (dy's codes x W's codes). */
static void input_in_codes(bn_cuda *cuda, const bn_weight *weight, const bn_linear_grads *grads)
{
    coded c = {};
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_elements dy = {grads->dy.data, BN_F32, grads->dy.rows, grads->dy.cols, nullptr};
    if (!take(cuda, &c, dy.rows, 0, weight->rows)) return;
    bn_cuda_quantize_rows(cuda, c.left, c.left_unit, &dy);
    bn_cuda_code_product product = {.a = c.left,
                                    .b = form.turned,
                                    .length = weight->rows,
                                    .end = {.out = grads->dx.data,
                                            .add = grads->accumulate ? grads->dx.data : nullptr,
                                            .row = c.left_unit,
                                            .column = nullptr,
                                            .scale = form.scale,
                                            .rows = dy.rows,
                                            .cols = weight->cols}};
    bn_cuda_multiply_codes(cuda, &product);
}

/* dw += (unit of dy's column * unit of x's) * (dy^T's codes x x's codes); x's own codes have none.
 */
static void weight_in_codes(bn_cuda *cuda, bn_act x, const bn_weight *weight,
                            const bn_linear_grads *grads)
{
    coded c = {};
    bool is_code = x.dtype == BN_I8;
    bn_cuda_elements dy = {grads->dy.data, BN_F32, grads->dy.rows, grads->dy.cols,
                           is_code ? x.scale : nullptr};
    bn_cuda_elements input = elements_of(x);
    if (!take(cuda, &c, weight->rows, weight->cols, x.rows)) return;
    bn_cuda_quantize_columns(cuda, c.left, c.left_unit, &dy);
    if (is_code) {
        bn_cuda_turn(cuda, c.right, static_cast<const int8_t *>(x.data), x.rows, x.cols);
    } else {
        bn_cuda_quantize_columns(cuda, c.right, c.right_unit, &input);
    }
    bn_cuda_code_product product = {.a = c.left,
                                    .b = c.right,
                                    .length = x.rows,
                                    .end = {.out = grads->dw,
                                            .add = grads->dw,
                                            .row = c.left_unit,
                                            .column = is_code ? nullptr : c.right_unit,
                                            .scale = nullptr,
                                            .rows = weight->rows,
                                            .cols = weight->cols}};
    bn_cuda_multiply_codes(cuda, &product);
}

void bn_cuda_linear_backward(void *self, bn_act x, const bn_weight *weight,
                             const bn_linear_grads *grads)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    if (bn_cuda_form_of(weight).dtype != BN_I8) {
        backward_in_floats(cuda, x, weight, grads);
        return;
    }
    if (grads->dx.data) input_in_codes(cuda, weight, grads);
    weight_in_codes(cuda, x, weight, grads);
}
