/* What finite differences cannot see: the straight-through gradients of quantized layers, the
 * rounding of the backward products, and AdamW, each against its formula in double. */
#include <stdio.h>
#include <stdlib.h>

#include "support/cmocka_all.h"
#include "support/ops_lab.h"

enum { ROWS = 21, INS = 34, OUTS = 13 };

/* A quantized layer, its operands, and the gradients that the formula wants. */
typedef struct layer {
    bn_act x;
    bn_weight weight;
    bn_mat got_dx;
    bn_linear_grad grad;
    float dx[ROWS * INS], dw[OUTS * INS];             /* by the formula */
    float dx_bound[ROWS * INS], dw_bound[OUTS * INS]; /* sum of |terms| */
} layer;

static void expect_gradients(bn_backend be, layer *l)
{
    int8_t codes[OUTS * INS];
    float scale;
    bn_weight_codes(be, &l->weight, codes, &scale);
    const int8_t *x = l->x.data;
    for (int r = 0; r < ROWS; r++) {
        for (int o = 0; o < OUTS; o++) {
            double dy = (double)l->grad.dy.data[r * OUTS + o];
            for (int i = 0; i < INS; i++) {
                double to_x = dy * codes[o * INS + i] * (double)scale;
                double to_w = dy * x[r * INS + i] * (double)l->x.scale[r];
                l->dx[r * INS + i] += (float)to_x;
                l->dw[o * INS + i] += (float)to_w;
                l->dx_bound[r * INS + i] += (float)fabs(to_x);
                l->dw_bound[o * INS + i] += (float)fabs(to_w);
            }
        }
    }
}

static layer *make_layer(lab *l, bn_weight_format format)
{
    layer *out = calloc(1, sizeof *out);
    assert_non_null(out);
    bn_norm_args norm = {.site = {.inner = true},
                         .x = lab_mat(l, ROWS, INS, 1),
                         .out = lab_act(l, ROWS, INS, BN_I8),
                         .stats = lab_floats(l, (size_t)ROWS * BN_NORM_STATS)};
    bn_norm_forward(l->be, &norm);
    out->x = norm.out;
    out->weight = lab_weight(l, OUTS, INS, format);
    out->got_dx = lab_mat(l, ROWS, INS, 0);
    out->grad = (bn_linear_grad){.weight = &out->weight,
                                 .dy = lab_mat(l, ROWS, OUTS, 1e-2),
                                 .dw = lab_floats(l, (size_t)OUTS * INS)};
    expect_gradients(l->be, out);
    bn_linear_backward(l->be, out->got_dx, out->x, &out->grad, 1);
    return out;
}

static void test_gradients_pass_straight_through_the_codes(void **state)
{
    for (bn_weight_kind kind = BN_WEIGHT_TERNARY; kind <= BN_WEIGHT_INT8; kind++) {
        lab l = lab_open(*state);
        layer *q = make_layer(&l, (bn_weight_format){.kind = kind, .backward = BN_PRODUCT_F32});
        lab_assert_near(q->got_dx.data, q->dx, (size_t)ROWS * INS, 1e-5);
        lab_assert_near(q->grad.dw, q->dw, (size_t)OUTS * INS, 1e-5);
        free(q);
        lab_close(&l);
    }
}

/* Each term errs by at most half a unit of its operand's last place; below 2^-14 fp16 has steps of
 * 2^-24. */
static void test_rounded_products_err_by_no_more_than_their_format(void **state)
{
    static const struct {
        bn_product product;
        double step;
    } formats[] = {{BN_PRODUCT_BF16, 0x1p-8}, {BN_PRODUCT_F16, 0x1p-11}};
    for (int f = 0; f < 2; f++) {
        lab l = lab_open(*state);
        bn_weight_format format = {.kind = BN_WEIGHT_TERNARY, .backward = formats[f].product};
        layer *q = make_layer(&l, format);
        double worst = 0;
        for (int i = 0; i < ROWS * INS; i++) {
            double error = fabs((double)q->got_dx.data[i] - (double)q->dx[i]);
            assert_true(error <= 1.01 * formats[f].step * (double)q->dx_bound[i] + 1e-6);
            worst = fmax(worst, error);
        }
        for (int i = 0; i < OUTS * INS; i++) {
            double error = fabs((double)q->grad.dw[i] - (double)q->dw[i]);
            assert_true(error <= 1.01 * formats[f].step * (double)q->dw_bound[i] + 1e-6);
        }
        assert_true(worst > 0); /* it does round */
        free(q);
        lab_close(&l);
    }
}

/* dY's codes err by half of max |dY| / 127 over their line, whatever the other operand is. */
static void test_int8_products_err_by_half_a_code_a_term(void **state)
{
    lab l = lab_open(*state);
    bn_weight_format format = {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_I8};
    layer *q = make_layer(&l, format);
    int8_t codes[OUTS * INS];
    float scale;
    bn_weight_codes(l.be, &q->weight, codes, &scale);
    for (int r = 0; r < ROWS; r++) {
        double most = 0;
        for (int o = 0; o < OUTS; o++) {
            most = fmax(most, fabs((double)q->grad.dy.data[r * OUTS + o]));
        }
        for (int i = 0; i < INS; i++) {
            double error = fabs((double)q->got_dx.data[r * INS + i] - (double)q->dx[r * INS + i]);
            assert_true(error <= 0.501 * most / 127 * (double)scale * OUTS);
        }
    }
    free(q);
    lab_close(&l);
}

static void test_adamw_follows_the_paper_and_clips_by_the_global_norm(void **state)
{
    lab l = lab_open(*state);
    enum { COUNT = 50 };
    bn_steps *steps = lab_bytes(&l, sizeof *steps);
    bn_step_rule rule = {.beta1 = 0.9F, .beta2 = 0.95F, .clip = 2};
    bn_adamw_args a = {.param = lab_normal(&l, COUNT, 1),
                       .grad = lab_floats(&l, COUNT),
                       .m = lab_floats(&l, COUNT),
                       .v = lab_floats(&l, COUNT),
                       .count = COUNT,
                       .rates = &steps->rates,
                       .beta1 = rule.beta1,
                       .beta2 = rule.beta2,
                       .eps = 1e-8F,
                       .decays = true};
    double p[COUNT], m[COUNT] = {0}, v[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) p[i] = (double)a.param[i];
    steps->state.loss_scale = 2;
    steps->lr = steps->decay = 0.1F;
    for (int step = 1; step <= 5; step++) {
        const float *g = lab_normal(&l, COUNT, (double)step);
        memcpy(a.grad, g, COUNT * sizeof *g);
        steps->squares = 0;
        bn_sum_squares(l.be, &steps->squares, a.grad, COUNT);
        bn_decide(l.be, steps, &rule);
        bn_adamw(l.be, &a);
        lab_wait(&l);
        assert_true(fabs(steps->squares - lab_dot(g, g, COUNT)) <= 1e-9 * steps->squares);
        double norm = 0.5 * sqrt(lab_dot(g, g, COUNT));
        for (int i = 0; i < COUNT; i++) {
            double d = (double)g[i] * 0.5 * fmin(1, 2 / norm);
            m[i] = 0.9 * m[i] + 0.1 * d;
            v[i] = 0.95 * v[i] + 0.05 * d * d;
            double mean = m[i] / (1 - pow(0.9, step));
            double root = sqrt(v[i] / (1 - pow(0.95, step)));
            p[i] -= 0.1 * (mean / (root + 1e-8) + 0.1 * p[i]);
            assert_true(fabs((double)a.param[i] - p[i]) <= 2e-5);
            assert_true(a.grad[i] == 0);
        }
    }
    lab_close(&l);
}

static void test_adamw_skips_a_step_whose_gradients_are_not_finite(void **state)
{
    lab l = lab_open(*state);
    enum { COUNT = 9 };
    bn_steps *steps = lab_bytes(&l, sizeof *steps);
    bn_step_rule rule = {.beta1 = 0.9F, .beta2 = 0.95F, .clip = 1};
    bn_adamw_args a = {.param = lab_normal(&l, COUNT, 1),
                       .grad = lab_normal(&l, COUNT, 1),
                       .m = lab_normal(&l, COUNT, 1),
                       .v = lab_floats(&l, COUNT),
                       .count = COUNT,
                       .rates = &steps->rates,
                       .beta1 = rule.beta1,
                       .beta2 = rule.beta2,
                       .eps = 1e-8F};
    float before[COUNT], mean[COUNT];
    memcpy(before, a.param, sizeof before);
    memcpy(mean, a.m, sizeof mean);
    a.grad[4] = INFINITY;
    steps->state.loss_scale = 1;
    steps->lr = 0.1F;
    bn_sum_squares(l.be, &steps->squares, a.grad, COUNT);
    bn_decide(l.be, steps, &rule);
    bn_adamw(l.be, &a);
    lab_wait(&l);
    assert_memory_equal(before, a.param, sizeof before);
    assert_memory_equal(mean, a.m, sizeof mean);
    for (int i = 0; i < COUNT; i++) assert_true(a.grad[i] == 0);
    lab_close(&l);
}

/* The form that AdamW leaves is the one that weight_prepare would make. */
static void test_adamw_makes_the_weights_form_again(void **state)
{
    for (bn_weight_kind kind = BN_WEIGHT_TERNARY; kind <= BN_WEIGHT_INT8; kind++) {
        lab l = lab_open(*state);
        size_t count = (size_t)OUTS * INS;
        bn_adamw_rates *rates = lab_bytes(&l, sizeof *rates);
        *rates = (bn_adamw_rates){.factor = 1, .correction1 = 0.1, .correction2 = 0.05, .lr = 0.3F};
        bn_weight weight = lab_weight(&l, OUTS, INS, (bn_weight_format){.kind = kind});
        bn_adamw_args a = {.param = weight.master,
                           .grad = lab_normal(&l, count, 1),
                           .m = lab_floats(&l, count),
                           .v = lab_floats(&l, count),
                           .count = count,
                           .weight = &weight,
                           .rates = rates,
                           .beta1 = 0.9F,
                           .beta2 = 0.95F,
                           .eps = 1e-8F};
        bn_adamw(l.be, &a);
        int8_t after[OUTS * INS], again[OUTS * INS];
        float scale_after, scale_again;
        bn_weight_codes(l.be, &weight, after, &scale_after);
        bn_weight_prepare(l.be, &weight);
        bn_weight_codes(l.be, &weight, again, &scale_again);
        assert_memory_equal(after, again, sizeof after);
        assert_true(scale_after == scale_again);
        lab_close(&l);
    }
}

static int run_on(const char *device)
{
    static char name[16];
    (void)snprintf(name, sizeof name, "%s", device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_gradients_pass_straight_through_the_codes, name),
        cmocka_unit_test_prestate(test_rounded_products_err_by_no_more_than_their_format, name),
        cmocka_unit_test_prestate(test_int8_products_err_by_half_a_code_a_term, name),
        cmocka_unit_test_prestate(test_adamw_follows_the_paper_and_clips_by_the_global_norm, name),
        cmocka_unit_test_prestate(test_adamw_skips_a_step_whose_gradients_are_not_finite, name),
        cmocka_unit_test_prestate(test_adamw_makes_the_weights_form_again, name),
    };
    return cmocka_run_group_tests_name(device, tests, NULL, NULL);
}

int main(void)
{
    return run_on("reference") + run_on("cpu:2");
}
