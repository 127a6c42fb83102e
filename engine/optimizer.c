#include "engine/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SCALE_START 65536.0
#define SCALE_MAX   16777216.0
enum { SCALE_GROWTH_STEPS = 2000 };

bn_status bn_optimizer_open(bn_optimizer **out, bn_model *model, const bn_config *config,
                            bn_error *err)
{
    *out = NULL;
    bn_optimizer *optimizer = calloc(1, sizeof *optimizer);
    if (!optimizer) return bn_fail(err, BN_ENOMEM, "no memory for an optimizer");
    size_t bytes = model->params.floats * sizeof(float);
    bool scaling = config->quant.variant == BN_VARIANT_FP16;
    *optimizer = (bn_optimizer){.model = model,
                                .state.loss_scale = scaling ? SCALE_START : 1,
                                .scaling = scaling,
                                .m = bn_backend_alloc(model->be, bytes),
                                .v = bn_backend_alloc(model->be, bytes),
                                .beta1 = (float)config->optim.beta1,
                                .beta2 = (float)config->optim.beta2,
                                .eps = (float)config->optim.eps,
                                .clip = (float)config->optim.clip};
    optimizer->squares =
        bn_backend_alloc(model->be, (1 + BN_GROUPS_MAX) * sizeof *optimizer->squares);
    if (bn_backend_sync(model->be, err) != BN_OK) {
        bn_optimizer_close(optimizer);
        return bn_fail_in(err, "optimizer state of %.0f MB", 2 * (double)bytes / 1e6);
    }
    *out = optimizer;
    return BN_OK;
}

void bn_optimizer_close(bn_optimizer *optimizer)
{
    if (!optimizer) return;
    bn_backend_free(optimizer->model->be, optimizer->m);
    bn_backend_free(optimizer->model->be, optimizer->v);
    bn_backend_free(optimizer->model->be, optimizer->squares);
    free(optimizer);
}

static void update_all(bn_optimizer *optimizer, const bn_optimizer_step *step)
{
    bn_model *model = optimizer->model;
    bn_adamw_args args = {.grad_squares = optimizer->squares,
                          .lr = (float)step->lr,
                          .beta1 = optimizer->beta1,
                          .beta2 = optimizer->beta2,
                          .eps = optimizer->eps,
                          .clip = optimizer->clip,
                          .grad_scale = (float)(1 / optimizer->state.loss_scale),
                          .step = optimizer->state.updates + 1};
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        args.param = model->weights + tensor->offset;
        args.grad = model->grads + tensor->offset;
        args.m = optimizer->m + tensor->offset;
        args.v = optimizer->v + tensor->offset;
        args.count = tensor->count;
        args.weight = bn_model_weight_of(model, tensor);
        args.decay = tensor->decayed ? (float)step->wd : 0;
        bn_adamw(model->be, &args);
    }
}

/* The next step's loss scale. Without scaling a skipped step cannot be cured. */
static void follow_scale(bn_optimizer *optimizer, bn_optimizer_step *step)
{
    bn_optimizer_state *state = &optimizer->state;
    if (step->skipped) {
        state->skipped++;
        state->good_steps = 0;
        step->stuck = !optimizer->scaling || state->loss_scale <= 1;
        if (!step->stuck) state->loss_scale /= 2;
        return;
    }
    state->updates++;
    state->good_steps++;
    if (!optimizer->scaling || state->good_steps < SCALE_GROWTH_STEPS) return;
    if (state->loss_scale < SCALE_MAX) state->loss_scale *= 2;
    state->good_steps = 0;
}

bn_status bn_optimizer_apply(bn_optimizer *optimizer, bn_optimizer_step *step, bn_error *err)
{
    bn_model *model = optimizer->model;
    double squares = 0;
    bn_backend_zero(model->be, optimizer->squares, sizeof squares);
    bn_sum_squares(model->be, optimizer->squares, model->grads, model->params.floats);
    update_all(optimizer, step);
    bn_backend_read(model->be, &squares, optimizer->squares, sizeof squares);
    if (bn_backend_sync(model->be, err) != BN_OK) return err->status;
    step->grad_norm = sqrt(squares) / optimizer->state.loss_scale;
    step->skipped = !isfinite(squares);
    step->stuck = false;
    follow_scale(optimizer, step);
    return BN_OK;
}

/* Which group a tensor belongs to. Rows of a block are in order, so a group is one span. */
static int group_of(const bn_model *model, const bn_tensor *tensor)
{
    bool ffn = false;
    switch (tensor->role) {
    case BN_ROLE_EMBED:
        return 0;
    case BN_ROLE_HEAD:
    case BN_ROLE_FINAL_NORM:
        return 1 + 2 * model->layers;
    case BN_ROLE_NORM:
        ffn = tensor->place == BN_SITE_FFN || tensor->place == BN_SITE_FFN_SUB;
        break;
    case BN_ROLE_LINEAR:
        ffn = tensor->place >= BN_LINEAR_GATE;
        break;
    }
    return 1 + 2 * tensor->layer + (ffn ? 1 : 0);
}

static void name_group(const bn_model *model, int group, bn_group_norm *out)
{
    if (group == 0) {
        (void)snprintf(out->name, sizeof out->name, "grad_norm/embed");
    } else if (group == 1 + 2 * model->layers) {
        (void)snprintf(out->name, sizeof out->name, "grad_norm/head");
    } else {
        (void)snprintf(out->name, sizeof out->name, "grad_norm/layer.%d.%s", (group - 1) / 2,
                       group % 2 ? "attn" : "ffn");
    }
}

int bn_optimizer_group_norms(bn_optimizer *optimizer, bn_group_norm out[BN_GROUPS_MAX])
{
    bn_model *model = optimizer->model;
    double squares[BN_GROUPS_MAX];
    int groups = 2 + 2 * model->layers < BN_GROUPS_MAX ? 2 + 2 * model->layers : BN_GROUPS_MAX;
    size_t bytes = (size_t)groups * sizeof *squares;
    bn_backend_zero(model->be, optimizer->squares + 1, bytes);
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        int group = group_of(model, tensor);
        if (group >= groups) continue;
        bn_sum_squares(model->be, optimizer->squares + 1 + group, model->grads + tensor->offset,
                       tensor->count);
    }
    bn_backend_read(model->be, squares, optimizer->squares + 1, bytes);
    for (int group = 0; group < groups; group++) {
        name_group(model, group, &out[group]);
        out[group].norm = sqrt(squares[group]) / optimizer->state.loss_scale;
    }
    return groups;
}
