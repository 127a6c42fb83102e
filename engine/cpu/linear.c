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

static bn_product_job forward_job(bn_act x, const bn_linear_out *layer)
{
    const bn_weight *weight = layer->weight;
    bn_product_job job = {.format = forward_format(weight, x),
                          .length = x.cols,
                          .a = act_operand(x, false),
                          .b = weight_operand(weight, false)};
    job.result = (bn_result){.c = layer->out.data,
                             .dtype = layer->out.dtype,
                             .stride = (size_t)layer->out.cols,
                             .residual = layer->residual,
                             .row_scale = x.dtype == BN_I8 ? x.scale : NULL,
                             .scale = bn_cpu_weight_scale(weight)};
    return job;
}

/* The layers share A: one group. */
void bn_cpu_linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count)
{
    if (bn_host_failed(self)) return;
    bn_product_job jobs[BN_SITE_LAYERS_MAX];
    bn_panels panels[BN_SITE_LAYERS_MAX];
    for (int i = 0; i < count; i++) {
        const bn_weight *weight = layers[i].weight;
        jobs[i] = forward_job(x, &layers[i]);
        if (x.dtype != BN_I8 || !bn_ternary_fits(weight->format.kind)) continue;
        panels[i] =
            bn_ternary_panels(self, weight->rows, weight->cols, bn_cpu_weight_panels(weight));
        jobs[i].b_packed = &panels[i];
    }
    bn_product_run_groups(self, &(bn_product_group){jobs, count}, 1);
}

static bn_product_job input_job(bn_mat dx, const bn_linear_grad *layer, bool add)
{
    const bn_weight *weight = layer->weight;
    bn_product_job job = {.format = bn_weight_backward_dtype(weight->format),
                          .length = weight->rows,
                          .b = weight_operand(weight, true)};
    job.a = (bn_operand){.data = layer->dy.data,
                         .dtype = layer->dy.dtype,
                         .stride = (size_t)layer->dy.cols,
                         .lines = layer->dy.rows};
    job.result = (bn_result){.c = dx.data,
                             .dtype = dx.dtype,
                             .stride = (size_t)dx.cols,
                             .scale = bn_cpu_weight_scale(weight),
                             .accumulate = add};
    return job;
}

/* X's scales go to dY; or to X, where dY has 16 bits that the product takes as they are, so that
 * packing only moves it. */
static bn_product_job weight_job(bn_act x, const bn_linear_grad *layer)
{
    const bn_weight *weight = layer->weight;
    bn_product_job job = {.format = bn_weight_backward_dtype(weight->format),
                          .length = x.rows,
                          .b = act_operand(x, true)};
    job.a = (bn_operand){.data = layer->dy.data,
                         .dtype = layer->dy.dtype,
                         .stride = (size_t)layer->dy.cols,
                         .lines = weight->rows,
                         .across = true};
    job.b.line_sum = NULL;
    bool moved = layer->dy.dtype != BN_F32 && layer->dy.dtype == job.format;
    if (x.dtype == BN_I8) (moved ? &job.b : &job.a)->k_scale = x.scale;
    job.result =
        (bn_result){.c = layer->dw, .stride = (size_t)weight->cols, .scale = 1, .accumulate = true};
    return job;
}

/* All layers' shares of dX are one group, since they add to one C; each dW is a group of its own,
 * and they share B. */
void bn_cpu_linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                            int count)
{
    if (bn_host_failed(self)) return;
    bn_product_job to_input[BN_SITE_LAYERS_MAX];
    bn_product_job to_weight[BN_SITE_LAYERS_MAX];
    bn_product_group groups[1 + BN_SITE_LAYERS_MAX];
    int used = 0;
    if (dx.data) groups[used++] = (bn_product_group){to_input, count};
    for (int i = 0; i < count; i++) {
        if (dx.data) to_input[i] = input_job(dx, &layers[i], i > 0);
        to_weight[i] = weight_job(x, &layers[i]);
        groups[used++] = (bn_product_group){&to_weight[i], 1};
    }
    bn_product_run_groups(self, groups, used);
}
