#include <stdlib.h>

#include "engine/optimizer.h"
#include "support/cmocka_all.h"
#include "support/model_lab.h"

static bn_optimizer *open_ok(model_lab *lab)
{
    bn_error err = {0};
    bn_optimizer *optimizer = NULL;
    assert_int_equal(bn_optimizer_open(&optimizer, lab->model, &lab->config, &err), BN_OK);
    return optimizer;
}

static bn_optimizer_step apply(bn_optimizer *optimizer, double lr, double wd)
{
    bn_error err = {0};
    bn_optimizer_step step = {.lr = lr, .wd = wd};
    assert_int_equal(bn_optimizer_apply(optimizer, &step, &err), BN_OK);
    return step;
}

static void set_gradient(model_lab *lab, size_t index, float value)
{
    bn_backend_write(lab->be, lab->model->grads + index, &value, sizeof value);
}

static void test_a_step_goes_downhill(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=fp32", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    double before = model_lab_gradients(&lab);
    bn_optimizer_step step = apply(optimizer, 1e-3, 0);
    assert_true(step.grad_norm > 0 && !step.skipped);
    assert_true(model_lab_loss(&lab) < before);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

static void test_a_step_clears_the_gradients(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=ternary", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    (void)model_lab_gradients(&lab);
    (void)apply(optimizer, 1e-3, 0.1);
    float *grads = model_lab_grads(&lab);
    assert_true(model_lab_norm(grads, lab.model->params.floats) == 0);
    free(grads);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

static void test_decay_alone_shrinks_what_decays_and_nothing_else(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=fp32", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    float *before = model_lab_weights(&lab);
    (void)apply(optimizer, 0.5, 0.1);
    float *after = model_lab_weights(&lab);
    for (size_t i = 0; i < lab.model->params.count; i++) {
        const bn_tensor *tensor = &lab.model->params.tensors[i];
        double shrink = tensor->decayed ? 0.95 : 1;
        for (size_t k = tensor->offset; k < tensor->offset + tensor->count; k++) {
            assert_true(fabs((double)after[k] - shrink * (double)before[k]) < 1e-7);
        }
    }
    free(before);
    free(after);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

static void test_fp16_gradients_that_overflow_skip_the_step_and_halve_the_scale(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=fp16", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    float *before = model_lab_weights(&lab);
    double scale = optimizer->state.loss_scale;
    set_gradient(&lab, 5, INFINITY);
    bn_optimizer_step step = apply(optimizer, 1e-3, 0.1);
    float *after = model_lab_weights(&lab);
    assert_true(step.skipped && !step.stuck);
    assert_true(optimizer->state.loss_scale == scale / 2);
    assert_int_equal(optimizer->state.skipped, 1);
    assert_int_equal(optimizer->state.updates, 0);
    assert_memory_equal(before, after, lab.model->params.floats * sizeof *before);
    free(before);
    free(after);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

static void test_the_scale_does_not_show_in_gradient_norm_or_step(void **state)
{
    (void)state;
    double norms[2];
    float *weights[2];
    size_t floats = 0;
    for (int i = 0; i < 2; i++) {
        model_lab lab = model_lab_open("reference", "quant.variant=fp16", NULL);
        bn_optimizer *optimizer = open_ok(&lab);
        bn_optimizer_resume(optimizer, &(bn_optimizer_state){.loss_scale = i ? 1024 : 1});
        floats = lab.model->params.floats;
        set_gradient(&lab, 5, i ? 3 * 1024.0F : 3);
        norms[i] = apply(optimizer, 1e-3, 0).grad_norm;
        weights[i] = model_lab_weights(&lab);
        bn_optimizer_close(optimizer);
        model_lab_close(&lab);
    }
    assert_true(norms[0] == 3 && norms[1] == 3);
    assert_memory_equal(weights[0], weights[1], floats * sizeof *weights[0]);
    free(weights[0]);
    free(weights[1]);
}

static void test_the_scale_grows_after_two_thousand_good_steps(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=fp16", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    double scale = optimizer->state.loss_scale;
    bn_optimizer_resume(optimizer, &(bn_optimizer_state){.good_steps = 1998, .loss_scale = scale});
    (void)apply(optimizer, 0, 0);
    assert_true(optimizer->state.loss_scale == scale);
    (void)apply(optimizer, 0, 0);
    assert_true(optimizer->state.loss_scale == scale * 2);
    assert_int_equal(optimizer->state.good_steps, 0);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

static void test_fp16_is_stuck_when_no_smaller_scale_is_left(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=fp16", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    int steps = 0;
    for (bool stuck = false; !stuck && steps < 100; steps++) {
        set_gradient(&lab, 5, (float)NAN);
        stuck = apply(optimizer, 1e-3, 0).stuck;
    }
    assert_int_equal(steps, 17); /* from 2^16 down to 1 */
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

static void test_other_variants_are_stuck_at_once(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=ternary", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    set_gradient(&lab, 5, (float)NAN);
    assert_true(apply(optimizer, 1e-3, 0).stuck);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

static void test_group_norms_add_up_to_the_whole(void **state)
{
    (void)state;
    bn_group_norm groups[BN_GROUPS_MAX];
    model_lab lab = model_lab_open("reference", "quant.variant=ternary", "model.tied=false", NULL);
    bn_optimizer *optimizer = open_ok(&lab);
    (void)model_lab_gradients(&lab);
    int count = bn_optimizer_group_norms(optimizer, groups);
    double squares = 0;
    for (int i = 0; i < count; i++) squares += groups[i].norm * groups[i].norm;
    double whole = apply(optimizer, 1e-3, 0).grad_norm;
    assert_int_equal(count, 6);
    assert_string_equal(groups[0].name, "grad_norm/embed");
    assert_string_equal(groups[1].name, "grad_norm/layer.0.attn");
    assert_string_equal(groups[4].name, "grad_norm/layer.1.ffn");
    assert_string_equal(groups[5].name, "grad_norm/head");
    assert_true(fabs(sqrt(squares) - whole) < 1e-9 * whole);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_goes_downhill),
        cmocka_unit_test(test_a_step_clears_the_gradients),
        cmocka_unit_test(test_decay_alone_shrinks_what_decays_and_nothing_else),
        cmocka_unit_test(test_fp16_gradients_that_overflow_skip_the_step_and_halve_the_scale),
        cmocka_unit_test(test_the_scale_does_not_show_in_gradient_norm_or_step),
        cmocka_unit_test(test_the_scale_grows_after_two_thousand_good_steps),
        cmocka_unit_test(test_fp16_is_stuck_when_no_smaller_scale_is_left),
        cmocka_unit_test(test_other_variants_are_stuck_at_once),
        cmocka_unit_test(test_group_norms_add_up_to_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
