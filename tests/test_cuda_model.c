/* Whole training steps through the CUDA code path, its kernels run by the emulator, beside the cpu
 * backend: same weights, same batch, same losses. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/profile.h"
#include "support/cmocka_all.h"
#include "support/cuda_twin.h"
#include "support/model_lab.h"

enum { STEPS = 20 };

/* Float sums in another order differ in their last bits, and so does the first loss; a code that is
 * a tie may then fall on the other side, and what follows goes its own way. The most that was seen:
 * 4e-6 of the first loss, 2.2e-2 (binary; 8e-3 the others), 8e-4, 8e-7 of the later ones. */
#define FIRST   2e-5
#define LOW_BIT 4e-2
#define HALF    3e-3
#define EXACT   1e-4

/* What ops hand each other, on both devices: each would choose another. */
#define BF16 "train.activations=bf16"
#define FP16 "train.activations=fp16"
#define FP32 "train.activations=fp32"

static const struct {
    const char *name, *knobs;
    double tolerance; /* of a loss, relative */
} variants[] = {
    {"ternary", "quant.variant=ternary;model.layers=2;" BF16, LOW_BIT},
    {"ternary, backward int8", "quant.variant=ternary;quant.backward=int8;" BF16, LOW_BIT},
    {"ternary, backward fp32", "quant.variant=ternary;quant.backward=fp32;" FP32, LOW_BIT},
    {"binary", "quant.variant=binary;" BF16, LOW_BIT},
    {"int8", "quant.variant=int8;" BF16, LOW_BIT},
    {"bf16", "quant.variant=bf16;" BF16, HALF},
    {"fp16", "quant.variant=fp16;" FP16, HALF},
    {"fp32", "quant.variant=fp32;" FP32, EXACT},
    {"ternary, f32 between ops", "quant.variant=ternary;" FP32, LOW_BIT},
    {"bf16, f32 between ops", "quant.variant=bf16;" FP32, HALF},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

/* The order in which the emulator runs what a GPU runs at once. */
static void choose_order(const char *seed)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(setenv("BN_EMU_SEED", seed, 1), 0);
}

/* Losses of `steps` optimizer steps on one batch, into losses. */
static void learn(model_lab *lab, double *losses, int steps)
{
    bn_error err = {0};
    bn_optimizer *optimizer = NULL;
    assert_int_equal(bn_optimizer_open(&optimizer, lab->model, &lab->config, &err), BN_OK);
    for (int i = 0; i < steps; i++) {
        bn_optimizer_step step = {.lr = 3e-3, .wd = 0.1};
        float scale = 1 / (float)lab->model->shape.rows;
        bn_model_train(lab->model, 0, lab->tokens, lab->targets, scale);
        assert_int_equal(bn_optimizer_apply(optimizer, &step, &err), BN_OK);
        assert_false(step.skipped);
        losses[i] = bn_model_loss_sum(lab->model, 1) / lab->model->shape.rows;
    }
    bn_optimizer_close(optimizer);
}

static void learn_on(const char *device, const char *knobs, double *losses, int steps)
{
    char all[128];
    int length = snprintf(all, sizeof all, "model.layers=1;%s", knobs);
    assert_true(length > 0 && (size_t)length < sizeof all);
    model_lab lab = model_lab_open_list(device, all);
    learn(&lab, losses, steps);
    model_lab_close(&lab);
}

static void test_losses_of_twenty_steps_are_those_of_the_cpu(void **state)
{
    (void)state;
    for (int i = 0; i < VARIANTS; i++) {
        double cuda[STEPS], cpu[STEPS];
        choose_order("5");
        learn_on("cuda", variants[i].knobs, cuda, STEPS);
        learn_on("cpu:2", variants[i].knobs, cpu, STEPS);
        assert_true(cpu[STEPS - 1] < 0.9 * cpu[0]);
        double most = 0;
        assert_true(fabs(cuda[0] - cpu[0]) <= FIRST * cpu[0]);
        for (int step = 0; step < STEPS; step++) {
            double error = fabs(cuda[step] - cpu[step]) / cpu[step];
            if (error > most) most = error;
        }
        print_message("%-24s losses differ by at most %.1e of themselves\n", variants[i].name,
                      most);
        assert_true(most <= variants[i].tolerance);
    }
}

static void test_a_card_keeps_activations_in_the_variants_sixteen_bits(void **state)
{
    static const struct {
        const char *knobs;
        bn_dtype kept;
    } cases[] = {{"quant.variant=ternary", BN_BF16},
                 {"quant.variant=fp16", BN_F16},
                 {"quant.variant=fp32", BN_F32},
                 {"quant.variant=ternary;train.activations=fp32", BN_F32}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model_lab lab = model_lab_open_list("cuda", cases[i].knobs);
        assert_int_equal(lab.model->shape.activations, cases[i].kept);
        assert_int_equal(lab.model->blocks[0].up.dtype, cases[i].kept);
        model_lab_close(&lab);
    }
}

static void test_losses_do_not_depend_on_the_order_of_threads(void **state)
{
    (void)state;
    enum { FEW = 3 };
    for (int i = 0; i < VARIANTS; i += 4) { /* ternary, int8 */
        double forward[FEW], backward[FEW], shuffled[FEW];
        choose_order("0");
        learn_on("cuda", variants[i].knobs, forward, FEW);
        choose_order("1");
        learn_on("cuda", variants[i].knobs, backward, FEW);
        choose_order("99");
        learn_on("cuda", variants[i].knobs, shuffled, FEW);
        assert_memory_equal(forward, backward, sizeof forward);
        assert_memory_equal(forward, shuffled, sizeof forward);
    }
}

/* A backend that profiles never replays. */
static void learn_op_by_op(const char *knobs, double *losses, int steps, float **weights)
{
    model_lab lab = model_lab_open_list("cuda", knobs);
    bn_profile profile;
    lab.model->be = bn_profile_around(&profile, lab.be);
    learn(&lab, losses, steps);
    lab.model->be = lab.be;
    assert_true(profile.seconds[BN_PROFILE_HEAD] > 0);
    assert_true(profile.seconds[BN_PROFILE_OPTIMIZER] > 0);
    *weights = model_lab_weights(&lab);
    model_lab_close(&lab);
}

static void test_replayed_steps_are_the_steps_themselves(void **state)
{
    (void)state;
    double replayed[8], given[8];
    float *weights;
    const char *knobs = "model.layers=1;quant.variant=fp16";
    choose_order("0");
    learn_op_by_op(knobs, given, 8, &weights);
    model_lab lab = model_lab_open_list("cuda", knobs);
    learn(&lab, replayed, 8);
    float *again = model_lab_weights(&lab);
    assert_memory_equal(replayed, given, sizeof given);
    assert_memory_equal(again, weights, lab.model->params.floats * sizeof *weights);
    free(weights);
    free(again);
    model_lab_close(&lab);
}

/* A step is one graph a micro-batch and one for the optimizer, recorded once. */
static void test_all_work_of_a_step_is_replayed(void **state)
{
    (void)state;
    enum { STEPS_ALL = 9, STEPS_GIVEN = 1, MICROS = 2 };
    bn_error err = {0};
    bn_optimizer *optimizer = NULL;
    (void)cuda_twin_look(); /* a real card is passed over before anything is opened */
    model_lab lab = model_lab_open_list("cuda", "model.layers=1;train.accum=2");
    assert_int_equal(bn_optimizer_open(&optimizer, lab.model, &lab.config, &err), BN_OK);
    cuda_twin_counts before = cuda_twin_look(), after;
    for (int i = 0; i < STEPS_ALL; i++) {
        if (i == STEPS_GIVEN) before.launches = cuda_twin_look().launches;
        for (int micro = 0; micro < MICROS; micro++) {
            bn_model_train(lab.model, micro, lab.tokens, lab.targets, 1.0F / 64);
        }
        bn_optimizer_give(optimizer, &(bn_optimizer_step){.lr = 1e-3 * (i + 1), .wd = 0.1});
    }
    after = cuda_twin_look();
    assert_int_equal(after.records - before.records, MICROS + 1);
    assert_int_equal(after.replays - before.replays, (MICROS + 1) * (STEPS_ALL - 1));
    assert_int_equal(after.launches, before.launches);
    assert_int_equal(after.reads + after.waits, before.reads + before.waits);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
    assert_int_equal(cuda_twin_look().graphs, 0);
}

/* What a listener is told of, as it was then. */
typedef struct heard {
    model_lab *lab;
    size_t from[8];
    int count;
    float *grads; /* [params.floats] */
    size_t left;  /* gradients before it have not been told of */
} heard;

static void hear(void *self, size_t from)
{
    heard *h = self;
    assert_true(h->count < 8 && from <= h->left);
    bn_backend_read(h->lab->be, h->grads + from, h->lab->model->grads + from,
                    (h->left - from) * sizeof *h->grads);
    h->from[h->count++] = h->left = from;
}

/* The work before and after is replayed, piece by piece. */
static void test_a_listener_hears_of_gradients_when_they_are_done(void **state)
{
    (void)state;
    enum { ROUNDS = 4, LAYERS = 3 };
    (void)cuda_twin_look();
    model_lab lab = model_lab_open_list("cuda", "model.layers=3;quant.variant=ternary");
    model_lab alone = model_lab_open_list("cuda", "model.layers=3;quant.variant=ternary");
    size_t floats = lab.model->params.floats;
    heard h = {.lab = &lab, .grads = calloc(floats, sizeof *h.grads)};
    cuda_twin_counts before = cuda_twin_look();
    for (int i = 0; i < ROUNDS; i++) {
        h.count = 0;
        h.left = floats;
        bn_model_listen(lab.model, (bn_grad_listener){hear, &h});
        bn_model_train(lab.model, 0, lab.tokens, lab.targets, 0.25F);
        assert_int_equal(h.count, LAYERS + 2);
        assert_int_equal(h.left, 0);
    }
    cuda_twin_counts after = cuda_twin_look();
    assert_int_equal(after.records - before.records, LAYERS + 2);
    assert_int_equal(after.replays - before.replays, (LAYERS + 2) * (ROUNDS - 1));
    for (int i = 0; i < ROUNDS; i++) {
        bn_model_train(alone.model, 0, alone.tokens, alone.targets, 0.25F);
    }
    float *grads = model_lab_grads(&alone);
    assert_memory_equal(grads, h.grads, floats * sizeof *grads);
    free(grads);
    free(h.grads);
    model_lab_close(&alone);
    model_lab_close(&lab);
}

static void test_a_network_that_does_not_fit_says_which_part_asked(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_model *model = NULL;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody calls setenv here */
    if (getenv("BNEXP_CUDA_MANAGED")) skip(); /* such memory may be larger than the card's */
    model_lab lab = model_lab_open_list("cuda", "model.layers=1;" FP32);
    bn_config config = lab.config;
    config.model.context = 1 << 16;
    config.train.batch = 64;
    assert_int_equal(bn_model_open(&model, lab.be, &config, &err), BN_ENOMEM);
    assert_non_null(strstr(err.text, "activations"));
    assert_non_null(strstr(err.text, "are missing"));
    assert_non_null(strstr(err.text, "train.batch"));
    model_lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_of_twenty_steps_are_those_of_the_cpu),
        cmocka_unit_test(test_a_card_keeps_activations_in_the_variants_sixteen_bits),
        cmocka_unit_test(test_losses_do_not_depend_on_the_order_of_threads),
        cmocka_unit_test(test_replayed_steps_are_the_steps_themselves),
        cmocka_unit_test(test_all_work_of_a_step_is_replayed),
        cmocka_unit_test(test_a_listener_hears_of_gradients_when_they_are_done),
        cmocka_unit_test(test_a_network_that_does_not_fit_says_which_part_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
