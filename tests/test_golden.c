/* The network against an independent PyTorch model: golden/make_golden.py says what is in a file.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/formats/safetensors.h"
#include "support/cmocka_all.h"
#include "support/model_lab.h"

enum { STEPS = 20 };

/* The rates of the 20 steps, as in the script. */
static const double LR = 2e-3, DECAY = 0.1, FP16_SCALE = 1024;

typedef struct golden {
    bn_st_reader *file;
    model_lab lab;
    bool low_bit;
} golden;

static void *read_tensor(const golden *g, const char *name, size_t bytes)
{
    bn_error err = {0};
    const bn_st_tensor *tensor = bn_st_find(g->file, name);
    if (!tensor || tensor->end - tensor->begin != bytes) fail_msg("golden '%s' does not fit", name);
    void *out = malloc(bytes);
    if (bn_st_read(g->file, tensor, 0, out, bytes, &err) != BN_OK) fail_msg("%s", err.text);
    return out;
}

static void read_batch(golden *g)
{
    size_t bytes = (size_t)g->lab.model->shape.rows * sizeof(int32_t);
    free(g->lab.tokens);
    free(g->lab.targets);
    g->lab.tokens = read_tensor(g, "tokens", bytes);
    g->lab.targets = read_tensor(g, "targets", bytes);
}

/* All tensors with a prefix, laid out as the table says. */
static float *read_block(const golden *g, const char *prefix)
{
    const bn_params *params = &g->lab.model->params;
    float *block = calloc(params->floats, sizeof *block);
    for (size_t i = 0; i < params->count; i++) {
        char name[BN_TENSOR_NAME_MAX + 16];
        const bn_tensor *tensor = &params->tensors[i];
        (void)snprintf(name, sizeof name, "%s%s", prefix, tensor->name);
        float *values = read_tensor(g, name, tensor->count * sizeof *values);
        memcpy(block + tensor->offset, values, tensor->count * sizeof *values);
        free(values);
    }
    return block;
}

static golden open_golden(const char *device, const char *name)
{
    char path[512];
    golden g = {0};
    bn_error err = {0};
    (void)snprintf(path, sizeof path, "%s/%s.safetensors", BN_GOLDEN, name);
    if (bn_st_open(&g.file, path, &err) != BN_OK) fail_msg("%s", err.text);
    char knobs[BN_CONFIG_TEXT_MAX]; /* the script's model attends in float32 */
    (void)snprintf(knobs, sizeof knobs, "%s;model.attention=fp32", bn_st_meta_of(g.file, "knobs"));
    g.lab = model_lab_open_list(device, knobs);
    g.low_bit = bn_variant_is_low_bit(g.lab.config.quant.variant);
    read_batch(&g);
    float *weights = read_block(&g, "");
    model_lab_write(&g.lab, weights);
    free(weights);
    return g;
}

static void close_golden(golden *g)
{
    model_lab_close(&g->lab);
    bn_st_close(g->file);
}

/* |a - b| / |b| over a whole block. */
static double distance(const float *a, const float *b, size_t count)
{
    double error = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        error += d * d;
    }
    return sqrt(error) / model_lab_norm(b, count);
}

static void expect_below(double found, double limit, const char *what)
{
    if (!(found < limit)) fail_msg("%s: off by %g, allowed %g", what, found, limit);
}

/* Logits show only in losses: asking every word of the vocabulary as the target gives all of them,
 * up to the constant that softmax ignores. */
static void check_logits(golden *g)
{
    int rows = g->lab.model->shape.rows, vocab = (int)g->lab.config.model.vocab;
    size_t bytes = (size_t)rows * sizeof(int32_t);
    float *logp = read_tensor(g, "logp", bytes * (size_t)vocab);
    int32_t *targets = malloc(bytes);
    double most = 0;
    for (int v = 0; v < vocab; v++) {
        for (int r = 0; r < rows; r++) targets[r] = v;
        bn_model_eval(g->lab.model, g->lab.tokens, targets);
        (void)bn_model_loss_sum(g->lab.model, 1);
        for (int r = 0; r < rows; r++) {
            double error = fabs((double)g->lab.model->host_loss[r] + (double)logp[r * vocab + v]);
            if (error > most) most = error;
        }
    }
    expect_below(most, 2e-5, "logits");
    free(targets);
    free(logp);
}

static void check_loss_and_gradients(golden *g)
{
    bool half = g->lab.config.quant.variant == BN_VARIANT_FP16;
    float scale = (float)((half ? FP16_SCALE : 1) / g->lab.model->shape.rows);
    double *loss = read_tensor(g, "loss", sizeof *loss);
    bn_model_train(g->lab.model, 0, g->lab.tokens, g->lab.targets, scale);
    double found = bn_model_loss_sum(g->lab.model, 1) / g->lab.model->shape.rows;
    expect_below(fabs(found - *loss) / *loss, 1e-5, "loss");
    float *expected = read_block(g, "grad."), *grads = model_lab_grads(&g->lab);
    const bn_params *params = &g->lab.model->params;
    for (size_t i = 0; half && i < params->floats; i++) grads[i] /= (float)FP16_SCALE;
    for (size_t i = 0; i < params->count; i++) {
        const bn_tensor *tensor = &params->tensors[i];
        expect_below(distance(grads + tensor->offset, expected + tensor->offset, tensor->count),
                     1e-4, tensor->name);
    }
    free(loss);
    free(expected);
    free(grads);
}

static void check_weight_codes(const golden *g)
{
    const bn_params *params = &g->lab.model->params;
    for (size_t i = 0; i < params->count; i++) {
        char name[BN_TENSOR_NAME_MAX + 16];
        float scale = 0;
        const bn_tensor *tensor = &params->tensors[i];
        if (tensor->role != BN_ROLE_LINEAR) continue;
        (void)snprintf(name, sizeof name, "codes.%s", tensor->name);
        int8_t *expected = read_tensor(g, name, tensor->count), *codes = malloc(tensor->count);
        bn_weight_codes(g->lab.be, bn_model_weight_of(g->lab.model, tensor), codes, &scale);
        assert_memory_equal(codes, expected, tensor->count);
        free(expected);
        free(codes);
    }
}

/* After a forward pass every site still holds the codes it made. */
static void check_activation_codes(const golden *g)
{
    const bn_model *model = g->lab.model;
    for (int i = 0; i < model->layers * BN_BLOCK_SITES; i++) {
        char name[32];
        const bn_act *act = &model->blocks[i / BN_BLOCK_SITES].site[i % BN_BLOCK_SITES].out;
        size_t count = (size_t)act->rows * (size_t)act->cols;
        if (act->dtype != BN_I8) continue;
        (void)snprintf(name, sizeof name, "act.%d.%d", i / BN_BLOCK_SITES, i % BN_BLOCK_SITES);
        int8_t *expected = read_tensor(g, name, count), *codes = malloc(count);
        bn_backend_read(g->lab.be, codes, act->data, count);
        assert_memory_equal(codes, expected, count);
        free(expected);
        free(codes);
    }
}

static double train_step(golden *g, bn_optimizer *optimizer)
{
    bn_error err = {0};
    bn_optimizer_step step = {.lr = LR, .wd = DECAY};
    float rows = (float)g->lab.model->shape.rows;
    bn_model_train(g->lab.model, 0, g->lab.tokens, g->lab.targets, 1 / rows);
    assert_int_equal(bn_optimizer_apply(optimizer, &step, &err), BN_OK);
    return bn_model_loss_sum(g->lab.model, 1) / (double)rows;
}

/* A rounding that falls the other way near a tie is amplified by the steps after it. So what rounds
 * is held to the last digits in its first steps only, and then to staying together. */
static double step_bound(const golden *g, int step)
{
    int exact_steps = g->low_bit ? 3 : 2;
    if (g->lab.config.quant.variant == BN_VARIANT_FP32 || step < exact_steps) return 1e-5;
    return g->low_bit ? 5e-3 : 2e-2;
}

static void check_twenty_steps(golden *g)
{
    bn_error err = {0};
    bn_optimizer *optimizer = NULL;
    bool rounds = g->lab.config.quant.variant != BN_VARIANT_FP32;
    bn_model *model = g->lab.model;
    double *losses = read_tensor(g, "losses", STEPS * sizeof *losses);
    bn_backend_zero(g->lab.be, model->grads, model->params.floats * sizeof(float));
    assert_int_equal(bn_optimizer_open(&optimizer, model, &g->lab.config, &err), BN_OK);
    if (optimizer->rule.scaling) {
        bn_optimizer_resume(optimizer, &(bn_optimizer_state){.loss_scale = FP16_SCALE});
    }
    for (int step = 0; step < STEPS; step++) {
        double loss = train_step(g, optimizer);
        expect_below(fabs(loss - losses[step]) / losses[step], step_bound(g, step), "step's loss");
    }
    float *expected = read_block(g, "last."), *weights = model_lab_weights(&g->lab);
    expect_below(distance(weights, expected, model->params.floats), rounds ? 1e-2 : 1e-5,
                 "weights after 20 steps");
    free(losses);
    free(expected);
    free(weights);
    bn_optimizer_close(optimizer);
}

static void check_case(const char *name)
{
    static const char *const devices[] = {"reference", "cpu:2"};
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        print_message("%s on %s\n", name, devices[i]);
        golden g = open_golden(devices[i], name);
        check_logits(&g);
        check_loss_and_gradients(&g);
        if (g.low_bit) check_weight_codes(&g);
        check_activation_codes(&g);
        check_twenty_steps(&g);
        close_golden(&g);
    }
}

#define CASE(test, name)                                                                           \
    static void test(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        check_case(name);                                                                          \
    }
CASE(test_fp32_is_pytorchs, "fp32")
CASE(test_bf16_is_pytorchs, "bf16")
CASE(test_fp16_is_pytorchs, "fp16")
CASE(test_int8_is_pytorchs, "int8")
CASE(test_binary_is_pytorchs, "binary")
CASE(test_ternary_is_pytorchs, "ternary")
CASE(test_ternary_weights_only_is_pytorchs, "ternary-weights-only")
CASE(test_ternary_with_median_scale_is_pytorchs, "ternary-median")
CASE(test_ternary_with_relu2_is_pytorchs, "ternary-relu2")
CASE(test_ternary_with_grouped_heads_is_pytorchs, "ternary-grouped")
CASE(test_ternary_with_its_own_head_is_pytorchs, "ternary-untied")
CASE(test_the_seed_models_layout_is_pytorchs, "ternary-seed")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp32_is_pytorchs),
        cmocka_unit_test(test_bf16_is_pytorchs),
        cmocka_unit_test(test_fp16_is_pytorchs),
        cmocka_unit_test(test_int8_is_pytorchs),
        cmocka_unit_test(test_binary_is_pytorchs),
        cmocka_unit_test(test_ternary_is_pytorchs),
        cmocka_unit_test(test_ternary_weights_only_is_pytorchs),
        cmocka_unit_test(test_ternary_with_median_scale_is_pytorchs),
        cmocka_unit_test(test_ternary_with_relu2_is_pytorchs),
        cmocka_unit_test(test_ternary_with_grouped_heads_is_pytorchs),
        cmocka_unit_test(test_ternary_with_its_own_head_is_pytorchs),
        cmocka_unit_test(test_the_seed_models_layout_is_pytorchs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
