#include <stdio.h>
#include <stdlib.h>

#include "engine/base/rng.h"
#include "engine/bitlinear.h"
#include "support/cmocka_all.h"
#include "support/model_lab.h"

/* Slope of the mean loss along direction[] from a tensor's weights, by central difference. */
static double slope(model_lab *lab, const bn_tensor *tensor, const double *direction, double step)
{
    float *at = model_lab_weights(lab), *moved = model_lab_weights(lab);
    double side[2];
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < tensor->count; i++) {
            size_t k = tensor->offset + i;
            moved[k] = (float)((double)at[k] + (s ? step : -step) * direction[i]);
        }
        model_lab_write(lab, moved);
        side[s] = model_lab_loss(lab);
    }
    model_lab_write(lab, at);
    free(at);
    free(moved);
    return (side[1] - side[0]) / (2 * step);
}

/* Along a random direction and along the gradient itself: the second catches a wrong length that
 * the first may miss. */
static void check_tensor(model_lab *lab, const bn_tensor *tensor, const float *grads)
{
    double *direction = calloc(tensor->count, sizeof *direction);
    double norm = model_lab_norm(grads + tensor->offset, tensor->count);
    assert_true(norm > 0);
    for (int round = 0; round < 2; round++) {
        double expected = 0, length = 0;
        for (size_t i = 0; i < tensor->count; i++) {
            double g = (double)grads[tensor->offset + i];
            direction[i] = round ? g / norm : bn_rng_normal(11 + tensor->offset, i);
            length += direction[i] * direction[i];
            expected += direction[i] * g;
        }
        double found = slope(lab, tensor, direction, 3e-3 / sqrt(length));
        if (!(fabs(found - expected) <= 0.01 * norm * (round ? 1 : sqrt(length / 4)))) {
            fail_msg("%s: slope %g, gradient says %g", tensor->name, found, expected);
        }
    }
    free(direction);
}

static void check_all(model_lab *lab)
{
    (void)model_lab_gradients(lab);
    float *grads = model_lab_grads(lab);
    for (size_t i = 0; i < lab->model->params.count; i++) {
        check_tensor(lab, &lab->model->params.tensors[i], grads);
    }
    free(grads);
    model_lab_close(lab);
}

static void test_gradients_of_a_two_layer_network_match_finite_differences(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=fp32", "model.init_std=0.2", NULL);
    check_all(&lab);
}

static void test_gradients_match_with_grouped_heads_relu2_and_an_own_head(void **state)
{
    (void)state;
    model_lab lab =
        model_lab_open("reference", "quant.variant=fp32", "model.init_std=0.2", "model.heads=4",
                       "model.kv_heads=2", "model.tied=false", "model.activation=relu2", NULL);
    check_all(&lab);
}

static void test_gradients_match_in_the_seed_models_layout(void **state)
{
    (void)state;
    model_lab lab =
        model_lab_open("reference", "quant.variant=fp32", "model.init_std=0.2", "model.tied=false",
                       "model.attn_norm=none", "model.attn_sub_norm=none", "model.ffn_norm=plain",
                       "model.ffn_sub_norm=none", "model.inner_norm=true", NULL);
    check_all(&lab);
}

/* The dequantized weights of a low-bit network, as masters. */
static float *effective_weights(const model_lab *lab)
{
    const bn_model *model = lab->model;
    float *weights = model_lab_weights(lab);
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        if (tensor->role != BN_ROLE_LINEAR) continue;
        float scale = 0;
        int8_t *codes = malloc(tensor->count);
        bn_weight_codes(lab->be, bn_model_weight_of(model, tensor), codes, &scale);
        for (size_t k = 0; k < tensor->count; k++) {
            weights[tensor->offset + k] = (float)codes[k] * scale;
        }
        free(codes);
    }
    return weights;
}

static void assert_same_gradients(const model_lab *a, const model_lab *b)
{
    float *one = model_lab_grads(a), *two = model_lab_grads(b);
    size_t count = a->model->params.floats;
    double norm = model_lab_norm(one, count);
    for (size_t i = 0; i < count; i++) one[i] -= two[i];
    double error = model_lab_norm(one, count);
    if (!(error < 1e-5 * norm)) fail_msg("gradients differ by %g of %g", error, norm);
    free(one);
    free(two);
}

/* Straight-through: the latent weights of a low-bit network get the gradient that a float network
 * of the quantized weights has. */
static void check_straight_through(const char *variant)
{
    model_lab low =
        model_lab_open("reference", variant, "quant.act_bits=none", "quant.backward=fp32",
                       "model.head=fp32", "model.attention=fp32", "model.init_std=0.2", NULL);
    model_lab plain = model_lab_open("reference", "quant.variant=fp32", "model.init_std=0.2", NULL);
    float *weights = effective_weights(&low);
    model_lab_write(&plain, weights);
    double a = model_lab_gradients(&low), b = model_lab_gradients(&plain);
    assert_true(fabs(a - b) < 1e-5);
    assert_same_gradients(&low, &plain);
    free(weights);
    model_lab_close(&low);
    model_lab_close(&plain);
}

static void test_latent_weights_get_the_gradient_of_the_quantized_ones(void **state)
{
    (void)state;
    check_straight_through("quant.variant=ternary");
    check_straight_through("quant.variant=binary");
    check_straight_through("quant.variant=int8");
}

static void check_initial_loss(const char *variant, const char *tied)
{
    model_lab lab = model_lab_open("reference", variant, tied, "model.width=64", "model.heads=4",
                                   "model.ffn=96", "model.vocab=256", "model.context=32", NULL);
    double loss = model_lab_loss(&lab), expected = log(256);
    if (!(fabs(loss - expected) <= 0.02 * expected)) {
        fail_msg("%s %s: %g at initialisation, expected %g", variant, tied, loss, expected);
    }
    model_lab_close(&lab);
}

static void test_loss_at_initialisation_is_that_of_knowing_nothing(void **state)
{
    (void)state;
    static const char *const variants[] = {"quant.variant=ternary", "quant.variant=binary",
                                           "quant.variant=int8",    "quant.variant=bf16",
                                           "quant.variant=fp16",    "quant.variant=fp32"};
    for (size_t i = 0; i < 6; i++) {
        check_initial_loss(variants[i], "model.tied=true");
        check_initial_loss(variants[i], "model.tied=false");
    }
}

static void check_threads(const char *variant, const char *backward)
{
    static const char *const devices[] = {"cpu:1", "cpu:2", "cpu:4"};
    float *grads[3];
    double losses[3];
    size_t bytes = 0;
    for (int i = 0; i < 3; i++) {
        model_lab lab = model_lab_open(
            devices[i], variant, backward, "model.width=72", "model.heads=6", "model.kv_heads=3",
            "model.ffn=104", "model.vocab=301", "model.context=33", "train.batch=3", NULL);
        losses[i] = model_lab_gradients(&lab);
        grads[i] = model_lab_grads(&lab);
        bytes = lab.model->params.floats * sizeof *grads[i];
        model_lab_close(&lab);
    }
    for (int i = 1; i < 3; i++) {
        assert_true(losses[i] == losses[0]);
        assert_memory_equal(grads[i], grads[0], bytes);
    }
    for (int i = 0; i < 3; i++) free(grads[i]);
}

static void test_losses_and_gradients_do_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    static const char *const variants[] = {"quant.variant=ternary", "quant.variant=binary",
                                           "quant.variant=int8",    "quant.variant=bf16",
                                           "quant.variant=fp16",    "quant.variant=fp32"};
    for (size_t i = 0; i < 6; i++) check_threads(variants[i], "quant.backward=bf16");
    check_threads(variants[0], "quant.backward=int8");
    check_threads(variants[0], "quant.backward=fp32");
}

/* Backends round alike but sum in their own order. */
static void test_backends_agree_within_single_precision(void **state)
{
    (void)state;
    static const char *const variants[] = {"quant.variant=ternary", "quant.variant=fp32"};
    for (size_t i = 0; i < 2; i++) {
        model_lab plain = model_lab_open("reference", variants[i], "model.head=fp32",
                                         "model.attention=fp32", "quant.backward=fp32", NULL);
        model_lab fast = model_lab_open("cpu:2", variants[i], "model.head=fp32",
                                        "model.attention=fp32", "quant.backward=fp32", NULL);
        double one = model_lab_gradients(&plain), two = model_lab_gradients(&fast);
        assert_true(fabs(one - two) < 1e-6 * one);
        assert_same_gradients(&plain, &fast);
        model_lab_close(&plain);
        model_lab_close(&fast);
    }
}

static void test_twins_start_from_the_same_weights(void **state)
{
    (void)state;
    model_lab a = model_lab_open("reference", "quant.variant=ternary", NULL);
    model_lab b = model_lab_open("reference", "quant.variant=fp16", "train.batch=1", NULL);
    float *one = model_lab_weights(&a), *two = model_lab_weights(&b);
    assert_memory_equal(one, two, a.model->params.floats * sizeof *one);
    bn_model_init(b.model, 2);
    free(two);
    two = model_lab_weights(&b);
    assert_memory_not_equal(one, two, a.model->params.floats * sizeof *one);
    free(one);
    free(two);
    model_lab_close(&a);
    model_lab_close(&b);
}

static void test_the_token_table_starts_with_a_deviation_of_its_own(void **state)
{
    (void)state;
    model_lab one = model_lab_open("reference", NULL);
    model_lab two = model_lab_open("reference", "model.embed_std=0.1", NULL);
    float *a = model_lab_weights(&one), *b = model_lab_weights(&two);
    for (size_t t = 0; t < one.model->params.count; t++) {
        const bn_tensor *tensor = &one.model->params.tensors[t];
        float times = tensor->role == BN_ROLE_EMBED ? 5 : 1; /* 0.1 instead of 0.02 */
        for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
            assert_float_equal(b[i], times * a[i], 1e-6F * fabsf(b[i]));
        }
    }
    free(a);
    free(b);
    model_lab_close(&one);
    model_lab_close(&two);
}

static void test_a_later_token_never_changes_an_earlier_loss(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=fp32", NULL);
    (void)model_lab_loss(&lab);
    float before = lab.model->host_loss[3];
    lab.tokens[5] = (lab.tokens[5] + 1) % 32;
    (void)model_lab_loss(&lab);
    assert_true(lab.model->host_loss[3] == before);
    model_lab_close(&lab);
}

static void test_masked_targets_count_for_nothing(void **state)
{
    (void)state;
    model_lab lab = model_lab_open("reference", "quant.variant=ternary", NULL);
    for (int i = 0; i < lab.model->shape.rows; i++) lab.targets[i] = -1;
    assert_true(model_lab_gradients(&lab) == 0);
    float *grads = model_lab_grads(&lab);
    assert_true(model_lab_norm(grads, lab.model->params.floats) == 0);
    free(grads);
    model_lab_close(&lab);
}

static void test_a_micro_batch_too_large_to_index_is_refused(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_model_bytes bytes;
    model_lab lab = model_lab_open("reference", NULL);
    lab.config.train.batch = 65536;
    lab.config.model.context = 131072;
    assert_int_equal(bn_model_measure(&bytes, lab.be, &lab.config, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "'train.batch' 65536"));
    model_lab_close(&lab);
}

static void test_measured_bytes_are_the_bytes_taken(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_model_bytes bytes;
    model_lab lab = model_lab_open("reference", NULL);
    assert_int_equal(bn_model_measure(&bytes, lab.be, &lab.config, &err), BN_OK);
    assert_memory_equal(&bytes, &lab.model->bytes, sizeof bytes);
    model_lab_close(&lab);
}

/* Twins whose attention must agree name the knob. */
static void test_attention_multiplies_in_the_variants_format_unless_the_knob_names_one(void **state)
{
    static const struct {
        const char *knobs;
        bn_dtype products;
    } cases[] = {
        {"quant.variant=fp32", BN_F32},
        {"quant.variant=fp16", BN_F16},
        {"quant.variant=bf16", BN_BF16},
        {"quant.variant=ternary", BN_BF16},
        {"quant.variant=fp16;model.attention=bf16", BN_BF16},
        {"quant.variant=fp16;model.attention=fp32", BN_F32},
        {"quant.variant=ternary;model.attention=fp16", BN_F16},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model_lab lab = model_lab_open_list("reference", cases[i].knobs);
        assert_int_equal(lab.model->shape.attention, cases[i].products);
        model_lab_close(&lab);
    }
}

static void test_activations_are_kept_as_the_knob_says_or_the_backend_likes(void **state)
{
    static const struct {
        const char *knobs;
        bn_dtype by_liking_f32, by_liking_halves;
    } cases[] = {
        {"quant.variant=fp32", BN_F32, BN_F32},
        {"quant.variant=fp16", BN_F32, BN_F16},
        {"quant.variant=bf16", BN_F32, BN_BF16},
        {"quant.variant=ternary", BN_F32, BN_BF16},
        {"quant.variant=ternary;train.activations=fp32", BN_F32, BN_F32},
        {"quant.variant=fp16;train.activations=bf16", BN_BF16, BN_BF16},
        {"quant.variant=fp32;train.activations=fp16", BN_F16, BN_F16},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model_lab lab = model_lab_open_list("reference", cases[i].knobs);
        bn_dtype kept = cases[i].by_liking_f32;
        assert_int_equal(bn_activation_dtype(&lab.config, true), cases[i].by_liking_halves);
        assert_int_equal(lab.model->shape.activations, kept);
        assert_int_equal(lab.model->blocks[0].gate.dtype, kept);
        assert_int_equal(lab.model->scratch.dnorm.dtype, kept);
        assert_int_equal(lab.model->blocks[0].x.dtype, BN_F32);
        model_lab_close(&lab);
    }
}

/* Against the same in f32, of which the loss forgets little and a gradient a few parts in a
 * hundred. */
static void check_halves(const char *device, const char *variant, const char *format, double most)
{
    char wide_knobs[128], half_knobs[128];
    (void)snprintf(wide_knobs, sizeof wide_knobs, "%s;train.activations=fp32", variant);
    (void)snprintf(half_knobs, sizeof half_knobs, "%s;train.activations=%s", variant, format);
    model_lab wide = model_lab_open_list(device, wide_knobs);
    model_lab half = model_lab_open_list(device, half_knobs);
    double expected = model_lab_gradients(&wide), got = model_lab_gradients(&half);
    float *a = model_lab_grads(&half), *b = model_lab_grads(&wide);
    double error = 0, norm = 0;
    for (size_t i = 0; i < wide.model->params.floats; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    print_message("%s %s, %s: loss %.5f and %.5f, gradients differ by %.4f of their norm\n", device,
                  variant, format, got, expected, sqrt(error / norm));
    assert_true(fabs(got - expected) <= 2e-3 * expected);
    assert_true(error > 0 && sqrt(error / norm) <= most);
    free(a);
    free(b);
    model_lab_close(&half);
    model_lab_close(&wide);
}

static void test_halves_between_ops_change_gradients_by_their_rounding_alone(void **state)
{
    static const char *const devices[] = {"reference", "cpu:2"};
    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        check_halves(devices[i], "quant.variant=fp32", "bf16", 2e-2);
        check_halves(devices[i], "quant.variant=fp32", "fp16", 3e-3);
        check_halves(devices[i], "quant.variant=bf16", "bf16", 2e-2);
        check_halves(devices[i], "quant.variant=fp16", "fp16", 3e-3);
        check_halves(devices[i], "quant.variant=ternary", "bf16", 5e-2);
        check_halves(devices[i], "quant.variant=ternary;quant.backward=int8", "bf16", 5e-2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_a_two_layer_network_match_finite_differences),
        cmocka_unit_test(test_gradients_match_with_grouped_heads_relu2_and_an_own_head),
        cmocka_unit_test(test_gradients_match_in_the_seed_models_layout),
        cmocka_unit_test(test_latent_weights_get_the_gradient_of_the_quantized_ones),
        cmocka_unit_test(test_loss_at_initialisation_is_that_of_knowing_nothing),
        cmocka_unit_test(
            test_attention_multiplies_in_the_variants_format_unless_the_knob_names_one),
        cmocka_unit_test(test_activations_are_kept_as_the_knob_says_or_the_backend_likes),
        cmocka_unit_test(test_halves_between_ops_change_gradients_by_their_rounding_alone),
        cmocka_unit_test(test_losses_and_gradients_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(test_backends_agree_within_single_precision),
        cmocka_unit_test(test_twins_start_from_the_same_weights),
        cmocka_unit_test(test_the_token_table_starts_with_a_deviation_of_its_own),
        cmocka_unit_test(test_a_later_token_never_changes_an_earlier_loss),
        cmocka_unit_test(test_masked_targets_count_for_nothing),
        cmocka_unit_test(test_a_micro_batch_too_large_to_index_is_refused),
        cmocka_unit_test(test_measured_bytes_are_the_bytes_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
