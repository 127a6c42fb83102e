#include "engine/optimizer.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/rng.h"

bn_status bn_optimizer_open(bn_optimizer **out, bn_model *model, const bn_config *config,
                            bn_error *err)
{
    *out = NULL;
    bn_optimizer *optimizer = calloc(1, sizeof *optimizer);
    if (!optimizer) return bn_fail(err, BN_ENOMEM, "no memory for an optimizer");
    size_t bytes = model->params.floats * sizeof(float);
    bool scaling = config->quant.variant == BN_VARIANT_FP16;
    optimizer->model = model;
    optimizer->rule = (bn_step_rule){.beta1 = (float)config->optim.beta1,
                                     .beta2 = (float)config->optim.beta2,
                                     .clip = (float)config->optim.clip,
                                     .scaling = scaling};
    optimizer->eps = (float)config->optim.eps;
    optimizer->m = bn_backend_alloc(model->be, bytes);
    optimizer->v = bn_backend_alloc(model->be, bytes);
    optimizer->steps = bn_backend_alloc(model->be, sizeof *optimizer->steps);
    optimizer->squares = bn_backend_alloc(model->be, BN_GROUPS_MAX * sizeof *optimizer->squares);
    if (optimizer->steps) {
        bn_optimizer_resume(optimizer,
                            &(bn_optimizer_state){.loss_scale = scaling ? BN_SCALE_START : 1});
    }
    if (bn_backend_sync(model->be, err) != BN_OK) {
        bn_optimizer_close(optimizer);
        return bn_fail_in(err, "optimizer state of %.0f MB", 2 * (double)bytes / 1e6);
    }
    if (scaling) bn_model_scale(model, &optimizer->steps->state.loss_scale);
    *out = optimizer;
    return BN_OK;
}

void bn_optimizer_close(bn_optimizer *optimizer)
{
    if (!optimizer) return;
    bn_backend be = optimizer->model->be;
    bn_model_scale(optimizer->model, NULL);
    bn_backend_free(be, optimizer->m);
    bn_backend_free(be, optimizer->v);
    bn_backend_free(be, optimizer->steps);
    bn_backend_free(be, optimizer->squares);
    free(optimizer);
}

void bn_optimizer_resume(bn_optimizer *optimizer, const bn_optimizer_state *state)
{
    assert(bn_optimizer_pending(optimizer) == 0);
    optimizer->state = *state;
    bn_backend_write(optimizer->model->be, &optimizer->steps->state, state, sizeof *state);
}

/* Losses and gradients of the step are summed up, it is decided, and all tensors follow: the same
 * work every step. */
static void work(bn_optimizer *optimizer)
{
    bn_model *model = optimizer->model;
    bn_steps *steps = optimizer->steps;
    bn_backend_zero(model->be, &steps->loss, sizeof steps->loss + sizeof steps->squares);
    bn_sum(model->be, &steps->loss, model->loss, (size_t)model->accum * (size_t)model->shape.rows);
    bn_sum_squares(model->be, &steps->squares, model->grads, model->params.floats);
    bn_decide(model->be, steps, &optimizer->rule);
    bn_adamw_args args = {.rates = &steps->rates,
                          .beta1 = optimizer->rule.beta1,
                          .beta2 = optimizer->rule.beta2,
                          .eps = optimizer->eps};
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        args.param = model->weights + tensor->offset;
        args.grad = model->grads + tensor->offset;
        args.m = optimizer->m + tensor->offset;
        args.v = optimizer->v + tensor->offset;
        args.count = tensor->count;
        args.weight = bn_model_weight_of(model, tensor);
        args.decays = tensor->decayed;
        bn_adamw(model->be, &args);
    }
}

void bn_optimizer_give(bn_optimizer *optimizer, const bn_optimizer_step *step)
{
    static_assert(offsetof(bn_steps, decay) == offsetof(bn_steps, lr) + sizeof(float),
                  "they are written at once");
    static_assert(offsetof(bn_steps, squares) == offsetof(bn_steps, loss) + sizeof(double),
                  "they are cleared at once");
    assert(bn_optimizer_pending(optimizer) < BN_STEPS_MAX);
    bn_backend be = optimizer->model->be;
    const float rates[] = {(float)step->lr, (float)step->wd};
    bn_backend_write(be, &optimizer->steps->lr, rates, sizeof rates);
    optimizer->pending[optimizer->given % BN_STEPS_MAX] = *step;
    optimizer->given++;
    if (bn_backend_replay(be, bn_rng_key((uint64_t)(uintptr_t)optimizer, "optimizer", 0))) return;
    work(optimizer);
    bn_backend_replay_end(be);
}

int bn_optimizer_pending(const bn_optimizer *optimizer)
{
    return (int)(optimizer->given - optimizer->told);
}

static void tell(const bn_optimizer *optimizer, const bn_outcome *outcome, bn_optimizer_step *step)
{
    step->loss = outcome->loss;
    step->grad_norm = sqrt(outcome->squares) / outcome->loss_scale;
    step->state = outcome->state;
    step->skipped = !isfinite(outcome->squares);
    step->stuck = step->skipped && (!optimizer->rule.scaling || outcome->loss_scale <= 1);
}

bn_status bn_optimizer_collect(bn_optimizer *optimizer, bn_optimizer_step out[BN_STEPS_MAX],
                               int *count, bn_error *err)
{
    bn_backend be = optimizer->model->be;
    bn_steps *seen = &optimizer->seen;
    *count = 0;
    bn_backend_read(be, seen, optimizer->steps, sizeof *seen);
    if (bn_backend_sync(be, err) != BN_OK) return err->status;
    assert(seen->count == optimizer->given);
    for (; optimizer->told < optimizer->given; optimizer->told++) {
        size_t place = (size_t)(optimizer->told % BN_STEPS_MAX);
        out[*count] = optimizer->pending[place];
        tell(optimizer, &seen->outcomes[place], &out[*count]);
        ++*count;
    }
    optimizer->state = seen->state;
    return BN_OK;
}

bn_status bn_optimizer_apply(bn_optimizer *optimizer, bn_optimizer_step *step, bn_error *err)
{
    bn_optimizer_step out[BN_STEPS_MAX];
    int count = 0;
    bn_optimizer_give(optimizer, step);
    if (bn_optimizer_collect(optimizer, out, &count, err) != BN_OK) return err->status;
    assert(count == 1);
    *step = out[0];
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
    double squares[BN_GROUPS_MAX] = {0};
    bn_optimizer_state state = {.loss_scale = 1}; /* of the device: steps may be pending */
    int groups = 2 + 2 * model->layers < BN_GROUPS_MAX ? 2 + 2 * model->layers : BN_GROUPS_MAX;
    size_t bytes = (size_t)groups * sizeof *squares;
    bn_backend_zero(model->be, optimizer->squares, bytes);
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        int group = group_of(model, tensor);
        if (group >= groups) continue;
        bn_sum_squares(model->be, optimizer->squares + group, model->grads + tensor->offset,
                       tensor->count);
    }
    bn_backend_read(model->be, squares, optimizer->squares, bytes);
    bn_backend_read(model->be, &state, &optimizer->steps->state, sizeof state);
    for (int group = 0; group < groups; group++) {
        name_group(model, group, &out[group]);
        out[group].norm = sqrt(squares[group]) / state.loss_scale;
    }
    return groups;
}
