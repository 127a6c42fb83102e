/* The three products of a linear layer, cast as C = A B^T with codes kept as they are. */
#include "engine/cpu/cpu.h"
#include "engine/cpu/product.h"
#include "engine/cpu/quantize.h"
#include "engine/cpu/ternary.h"

static bool is_float_kind(bn_weight_kind kind)
{
    return kind == BN_WEIGHT_F32 || kind == BN_WEIGHT_BF16 || kind == BN_WEIGHT_F16;
}

static bn_dtype forward_format(bn_weight_kind kind, bn_dtype act)
{
    switch (kind) {
    case BN_WEIGHT_F32:
        return BN_F32;
    case BN_WEIGHT_BF16:
        return BN_BF16;
    case BN_WEIGHT_F16:
        return BN_F16;
    case BN_WEIGHT_TERNARY:
    case BN_WEIGHT_BINARY:
    case BN_WEIGHT_INT8:
        break;
    }
    return act;
}

static bn_dtype backward_format(bn_weight_format format)
{
    if (is_float_kind(format.kind)) return forward_format(format.kind, BN_F32);
    switch (format.backward) {
    case BN_PRODUCT_F32:
        return BN_F32;
    case BN_PRODUCT_BF16:
        return BN_BF16;
    case BN_PRODUCT_F16:
        return BN_F16;
    case BN_PRODUCT_I8:
        break;
    }
    return BN_I8;
}

static bn_operand act_operand(bn_act x, bool across)
{
    return (bn_operand){.data = x.data,
                        .dtype = x.dtype,
                        .stride = (size_t)x.cols,
                        .lines = across ? x.cols : x.rows,
                        .across = across,
                        .line_sum = x.sum};
}

static bn_operand weight_operand(const bn_weight *weight, bool across)
{
    return (bn_operand){.data = bn_cpu_weight_values(weight),
                        .dtype = bn_cpu_weight_dtype(weight->format.kind),
                        .stride = (size_t)weight->cols,
                        .lines = across ? weight->cols : weight->rows,
                        .across = across};
}

void bn_cpu_linear_forward(void *self, bn_mat out, const float *residual, bn_act x,
                           const bn_weight *weight)
{
    if (bn_cpu_failed(self)) return;
    bn_product_job job = {.format = forward_format(weight->format.kind, x.dtype),
                          .length = x.cols,
                          .a = act_operand(x, false),
                          .b = weight_operand(weight, false)};
    job.result = (bn_result){.c = out.data,
                             .stride = (size_t)out.cols,
                             .residual = residual,
                             .row_scale = x.dtype == BN_I8 ? x.scale : NULL,
                             .scale = bn_cpu_weight_scale(weight)};
    bn_panels panels;
    if (x.dtype == BN_I8 && bn_ternary_fits(weight->format.kind)) {
        panels = bn_ternary_panels(self, weight->rows, weight->cols, bn_cpu_weight_panels(weight));
        job.b_packed = &panels;
    }
    bn_product_run(self, &job);
}

void bn_cpu_linear_backward(void *self, bn_act x, const bn_weight *weight,
                            const bn_linear_grads *grads)
{
    if (bn_cpu_failed(self)) return;
    bn_operand dy = {.data = grads->dy.data, .dtype = BN_F32, .stride = (size_t)grads->dy.cols};
    if (grads->dx.data) {
        dy.lines = x.rows;
        bn_product_job job = {.format = backward_format(weight->format),
                              .length = weight->rows,
                              .a = dy,
                              .b = weight_operand(weight, true)};
        job.result = (bn_result){.c = grads->dx.data,
                                 .stride = (size_t)weight->cols,
                                 .scale = bn_cpu_weight_scale(weight),
                                 .accumulate = grads->accumulate};
        bn_product_run(self, &job);
    }
    dy.lines = weight->rows;
    dy.across = true;
    dy.k_scale = x.dtype == BN_I8 ? x.scale : NULL;
    bn_product_job job = {.format = backward_format(weight->format),
                          .length = x.rows,
                          .a = dy,
                          .b = act_operand(x, true)};
    job.b.line_sum = NULL;
    job.result =
        (bn_result){.c = grads->dw, .stride = (size_t)weight->cols, .scale = 1, .accumulate = true};
    bn_product_run(self, &job);
}
