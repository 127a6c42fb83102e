/* The three products of a linear layer, cast as C = A B^T with codes kept as they are. */
#include "engine/cpu/cpu.h"
#include "engine/cpu/product.h"
#include "engine/cpu/quantize.h"
#include "engine/cpu/ternary.h"

static bn_dtype forward_format(const bn_weight *weight, bn_act x)
{
    bn_dtype dtype = bn_weight_dtype(weight->format.kind);
    return dtype == BN_I8 ? x.dtype : dtype;
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
                        .dtype = bn_weight_dtype(weight->format.kind),
                        .stride = (size_t)weight->cols,
                        .lines = across ? weight->cols : weight->rows,
                        .across = across};
}

static void forward(bn_cpu *cpu, bn_act x, const bn_linear_out *layer)
{
    const bn_weight *weight = layer->weight;
    bn_product_job job = {.format = forward_format(weight, x),
                          .length = x.cols,
                          .a = act_operand(x, false),
                          .b = weight_operand(weight, false)};
    job.result = (bn_result){.c = layer->out.data,
                             .stride = (size_t)layer->out.cols,
                             .residual = layer->residual,
                             .row_scale = x.dtype == BN_I8 ? x.scale : NULL,
                             .scale = bn_cpu_weight_scale(weight)};
    bn_panels panels;
    if (x.dtype == BN_I8 && bn_ternary_fits(weight->format.kind)) {
        panels = bn_ternary_panels(cpu, weight->rows, weight->cols, bn_cpu_weight_panels(weight));
        job.b_packed = &panels;
    }
    bn_product_run(cpu, &job);
}

void bn_cpu_linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count)
{
    for (int i = 0; i < count && !bn_cpu_failed(self); i++) forward(self, x, &layers[i]);
}

static void backward(bn_cpu *cpu, bn_mat dx, bn_act x, const bn_linear_grad *layer, bool add)
{
    const bn_weight *weight = layer->weight;
    bn_operand dy = {.data = layer->dy.data, .dtype = BN_F32, .stride = (size_t)layer->dy.cols};
    if (dx.data) {
        dy.lines = x.rows;
        bn_product_job job = {.format = bn_weight_backward_dtype(weight->format),
                              .length = weight->rows,
                              .a = dy,
                              .b = weight_operand(weight, true)};
        job.result = (bn_result){.c = dx.data,
                                 .stride = (size_t)weight->cols,
                                 .scale = bn_cpu_weight_scale(weight),
                                 .accumulate = add};
        bn_product_run(cpu, &job);
    }
    dy.lines = weight->rows;
    dy.across = true;
    dy.k_scale = x.dtype == BN_I8 ? x.scale : NULL;
    bn_product_job job = {.format = bn_weight_backward_dtype(weight->format),
                          .length = x.rows,
                          .a = dy,
                          .b = act_operand(x, true)};
    job.b.line_sum = NULL;
    job.result =
        (bn_result){.c = layer->dw, .stride = (size_t)weight->cols, .scale = 1, .accumulate = true};
    bn_product_run(cpu, &job);
}

void bn_cpu_linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                            int count)
{
    for (int i = 0; i < count && !bn_cpu_failed(self); i++) {
        backward(self, dx, x, &layers[i], i > 0);
    }
}
