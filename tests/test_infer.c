#include "engine/checkpoint_dir.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/cpu_infer.h"
#include "engine/cpu/isa.h"
#include "engine/formats/safetensors_writer.h"
#include "engine/generate.h"
#include "engine/infer.h"
#include "support/cmocka_all.h"
#include "support/model_lab.h"
#include "support/run_lab.h"
#include "support/scratch.h"

typedef struct weights_source {
    float *weights;
} weights_source;

static bn_status read_block(void *self, const bn_tensor *tensor, float *out, bn_error *err)
{
    (void)err;
    const weights_source *source = self;
    memcpy(out, source->weights + tensor->offset, tensor->count * sizeof *out);
    return BN_OK;
}

static bn_infer *open_with(const model_lab *lab, bn_infer_options options)
{
    bn_error err = {0};
    bn_infer *infer = NULL;
    weights_source source = {model_lab_weights(lab)};
    assert_int_equal(
        bn_infer_open(&infer, &lab->config, (bn_infer_source){read_block, &source}, &options, &err),
        BN_OK);
    free(source.weights);
    return infer;
}

static bn_infer *open_infer(const model_lab *lab, int threads)
{
    return open_with(lab, (bn_infer_options){.threads = threads});
}

static double loss_of(const float *logits, int count, int target)
{
    double total = 0;
    for (int i = 0; i < count; i++) total += exp((double)logits[i]);
    return log(total) - (double)logits[target];
}

static double mean_loss(bn_infer *infer, const model_lab *lab)
{
    bn_error err = {0};
    int seq = lab->model->shape.seq, batch = lab->model->shape.batch;
    int vocab = (int)lab->config.model.vocab;
    double sum = 0;
    for (int b = 0; b < batch; b++) {
        const float *logits = NULL;
        size_t start = (size_t)b * (size_t)seq;
        bn_infer_reset(infer);
        assert_int_equal(bn_infer_read(infer, lab->tokens + start, seq, true, &logits, &err),
                         BN_OK);
        for (int i = 0; i < seq; i++) {
            sum +=
                loss_of(logits + (size_t)i * (size_t)vocab, vocab, lab->targets[start + (size_t)i]);
        }
    }
    return sum / (batch * seq);
}

#define WIDE                                                                                       \
    "model.width=64;model.heads=4;model.ffn=96;model.context=24;model.init_std=0.3;"               \
    "model.attention=fp32;"

static const char *const NETWORKS[] = {
    WIDE "quant.variant=ternary",
    WIDE "quant.variant=ternary;model.kv_heads=2;model.tied=false",
    WIDE "quant.variant=ternary;model.inner_norm=true;model.attn_norm=none;model.head=fp32",
    WIDE "quant.variant=ternary;model.attn_sub_norm=none;model.ffn_sub_norm=plain",
    WIDE "quant.variant=ternary;quant.act_bits=none",
    WIDE "quant.variant=binary;model.activation=relu2",
    WIDE "quant.variant=int8",
    WIDE "quant.variant=bf16",
    WIDE "quant.variant=fp16",
    WIDE "quant.variant=fp32;model.tied=false",
};

static void test_losses_are_those_of_training_for_every_variant(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof NETWORKS / sizeof NETWORKS[0]; i++) {
        model_lab lab = model_lab_open_list("cpu:2", NETWORKS[i]);
        bn_infer *infer = open_infer(&lab, 2);
        double trained = model_lab_loss(&lab);
        double inferred = mean_loss(infer, &lab);
        /* Attention sums in another order; where that turns a rounding, a 16-bit value moves. */
        if (fabs(inferred / trained - 1) > 5e-4) {
            fail_msg("%s: training %.9g, inference %.9g", NETWORKS[i], trained, inferred);
        }
        bn_infer_close(infer);
        model_lab_close(&lab);
    }
}

static void test_bf16_attention_of_training_changes_losses_little(void **state)
{
    (void)state;
    static const size_t networks[] = {0, 1, 4, 7};
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        char knobs[256];
        (void)snprintf(knobs, sizeof knobs, "%s;model.attention=auto", NETWORKS[networks[i]]);
        model_lab lab = model_lab_open_list("cpu:2", knobs);
        bn_infer *infer = open_infer(&lab, 2);
        double apart = fabs(mean_loss(infer, &lab) / model_lab_loss(&lab) - 1);
        if (!(apart < 5e-3)) fail_msg("%s: %.9g", knobs, apart);
        bn_infer_close(infer);
        model_lab_close(&lab);
    }
}

static void test_an_int8_head_changes_losses_little(void **state)
{
    (void)state;
    static const size_t networks[] = {0, 1, 2, 7, 9}; /* tied or not, bf16 and fp32 heads */
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        const char *knobs = NETWORKS[networks[i]];
        model_lab lab = model_lab_open_list("cpu:2", knobs);
        bn_infer *exact = open_infer(&lab, 1);
        bn_infer *coded = open_with(&lab, (bn_infer_options){2, BN_INFER_HEAD_INT8});
        double apart = fabs(mean_loss(coded, &lab) / mean_loss(exact, &lab) - 1);
        if (!(apart > 0 && apart < 5e-3)) fail_msg("%s: %.9g", knobs, apart);
        bn_infer_close(exact);
        bn_infer_close(coded);
        model_lab_close(&lab);
    }
}

/* Logits after the whole sequence, read `step` tokens at a time by `threads` threads. */
static void read_in_steps(const model_lab *lab, int threads, int step, float *out)
{
    bn_error err = {0};
    bn_infer *infer = open_infer(lab, threads);
    const float *logits = NULL;
    int seq = lab->model->shape.seq;
    for (int at = 0; at < seq; at += step) {
        int count = seq - at < step ? seq - at : step;
        assert_int_equal(bn_infer_read(infer, lab->tokens + at, count, false, &logits, &err),
                         BN_OK);
    }
    assert_int_equal(bn_infer_position(infer), seq);
    assert_non_null(logits);
    memcpy(out, logits, (size_t)lab->config.model.vocab * sizeof *out);
    bn_infer_close(infer);
}

static void test_steps_and_threads_do_not_change_a_bit_of_ternary_logits(void **state)
{
    (void)state;
    model_lab lab = model_lab_open_list("cpu:2", NETWORKS[1]);
    float whole[64], single[64], threes[64];
    size_t bytes = (size_t)lab.config.model.vocab * sizeof *whole;
    assert_true(bytes <= sizeof whole);
    read_in_steps(&lab, 2, 24, whole);
    read_in_steps(&lab, 1, 1, single);
    read_in_steps(&lab, 3, 3, threes);
    assert_memory_equal(whole, single, bytes);
    assert_memory_equal(whole, threes, bytes);
    model_lab_close(&lab);
}

static void test_single_steps_agree_with_the_whole_for_every_variant(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof NETWORKS / sizeof NETWORKS[0]; i++) {
        model_lab lab = model_lab_open_list("cpu:2", NETWORKS[i]);
        float whole[64], single[64], most = 0, apart = 0;
        read_in_steps(&lab, 2, 24, whole);
        read_in_steps(&lab, 2, 1, single);
        for (int64_t v = 0; v < lab.config.model.vocab; v++) {
            most = fmaxf(most, fabsf(whole[v]));
            apart = fmaxf(apart, fabsf(whole[v] - single[v]));
        }
        if (!(apart <= 0.01F * most)) {
            fail_msg("%s: %g of %g", NETWORKS[i], (double)apart, (double)most);
        }
        model_lab_close(&lab);
    }
}

static void test_weights_take_the_bits_of_their_format(void **state)
{
    (void)state;
    static const struct {
        const char *knobs;
        double bits;
    } cases[] = {{"quant.variant=int8", 8},
                 {"quant.variant=bf16", 16},
                 {"quant.variant=fp16", 16},
                 {"quant.variant=fp32", 32}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char knobs[128];
        (void)snprintf(knobs, sizeof knobs, "model.width=256;model.heads=4;model.ffn=768;%s",
                       cases[i].knobs);
        model_lab lab = model_lab_open_list("cpu:1", knobs);
        bn_infer *infer = open_infer(&lab, 1);
        bn_infer_bytes bytes = bn_infer_measure(infer);
        double bits = 8.0 * (double)bytes.linear / (double)bytes.weights;
        assert_true(bits >= cases[i].bits && bits <= cases[i].bits + 0.02);
        bn_infer_close(infer);
        model_lab_close(&lab);
    }
}

static void test_ternary_weights_take_two_bits_or_less(void **state)
{
    (void)state;
    model_lab lab = model_lab_open_list(
        "cpu:1", "model.width=256;model.heads=4;model.ffn=768;quant.variant=ternary");
    bn_infer *infer = open_infer(&lab, 1);
    bn_infer_bytes bytes = bn_infer_measure(infer);
    double bits = 8.0 * (double)bytes.linear / (double)bytes.weights;
    assert_true(bits >= 1.6 && bits <= 2.01);
    bn_infer_close(infer);
    model_lab_close(&lab);
}

static void test_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    bn_error err = {0}, second = {0};
    model_lab lab = model_lab_open_list("cpu:1", NETWORKS[0]);
    bn_infer *infer = open_infer(&lab, 1);
    const float *logits;
    int32_t tokens[64] = {0};
    assert_int_equal(bn_infer_read(infer, tokens, 25, false, &logits, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "more than 'model.context' 24"));
    tokens[3] = 32;
    assert_int_equal(bn_infer_read(infer, tokens, 4, false, &logits, &second), BN_EINVAL);
    assert_string_equal(second.text, "token 32 is outside the vocabulary of 32");
    bn_infer_close(infer);
    model_lab_close(&lab);
}

/* One product of codes as the only step of a network, for one row and for two: inputs are whole
 * numbers up to 127, so that their unit is 1 and sums are exact. */
static void expect_exact_product(bn_backend be, bn_matrix_kind kind, int rows, int cols)
{
    bn_error err = {0};
    bn_stepper *stepper;
    bn_matrix m = {.kind = kind, .rows = rows, .cols = cols, .scale = 0.125F};
    size_t inputs = 2 * (size_t)cols;
    float *x = malloc(inputs * sizeof *x), *out = calloc(2 * (size_t)rows, sizeof *out);
    int8_t *codes = malloc((size_t)rows * (size_t)cols), *quantized = malloc(inputs);
    float scale[2];
    int32_t sum[2];
    for (int i = 0; i < rows * cols; i++) codes[i] = (int8_t)((i * 7 + i / 5) % 3 - 1);
    for (int i = 0; i < 2 * cols; i++) x[i] = (float)(i % cols * 37 % 255 - 127);
    m.panels = bn_backend_alloc(be, bn_matrix_bytes(be, &m));
    bn_matrix_fill(be, &m, codes);
    bn_step step = {.kind = BN_STEP_LINEAR};
    step.linear = (bn_linear_step){.x = {.data = x, .rows = 2, .cols = cols},
                                   .input = {quantized, scale, sum, 2, cols, BN_I8},
                                   .weights = {&m},
                                   .out = {out},
                                   .count = 1};
    assert_int_equal(bn_stepper_open(&stepper, be, &step, 1, &err), BN_OK);
    for (int tokens = 1; tokens <= 2; tokens++) {
        bn_stepper_run(stepper, 1, 0, tokens);
        for (int o = 0; o < tokens * rows; o++) {
            int32_t exact = 0;
            for (int i = 0; i < cols; i++) exact += codes[o % rows * cols + i] * (int)x[i];
            assert_true(out[o] == (float)exact * 0.125F);
        }
        memset(out, 0, 2 * (size_t)rows * sizeof *out);
    }
    bn_stepper_close(stepper);
    bn_backend_free(be, m.panels);
    free(codes);
    free(quantized);
    free(x);
    free(out);
}

static void test_products_of_codes_are_exact_on_every_instruction_set(void **state)
{
    (void)state;
    int count;
    const bn_isa *table = bn_isa_table(&count);
    const char *before = getenv("BNEXP_ISA");
    char *kept = before ? strdup(before) : NULL;
    for (int i = 0; i < count; i++) {
        bn_error err = {0};
        bn_backend be;
        if (!bn_isa_usable(i)) continue;
        assert_int_equal(setenv("BNEXP_ISA", table[i].name, 1), 0);
        assert_int_equal(bn_cpu_open(&be, 2, &err), BN_OK);
        for (int size = 1; size < 90; size += 11) {
            expect_exact_product(be, BN_MATRIX_PACKED, size, 91 - size);
            expect_exact_product(be, BN_MATRIX_BYTES, size, 91 - size);
        }
        expect_exact_product(be, BN_MATRIX_PACKED, 129, 1025);
        bn_backend_close(be);
    }
    (void)(kept ? setenv("BNEXP_ISA", kept, 1) : unsetenv("BNEXP_ISA"));
    free(kept);
}

static void test_temperature_zero_takes_the_likeliest(void **state)
{
    (void)state;
    int32_t order[4];
    const float logits[4] = {1, 3, 2, 3};
    assert_int_equal(bn_sample(logits, 4, &(bn_sampling){0, 1, 0}, 5, order), 1);
}

static void test_draws_follow_the_softmax_cut_at_top_p(void **state)
{
    (void)state;
    int32_t order[4];
    int drawn[4] = {0};
    const float logits[4] = {logf(0.1F), logf(0.5F), logf(0.15F), logf(0.25F)};
    const bn_sampling all = {1, 1, 7}, cut = {1, 0.7, 7}, hot = {1, 1e-9, 7};
    for (uint64_t i = 0; i < 20000; i++) drawn[bn_sample(logits, 4, &all, i, order)]++;
    assert_true(abs(drawn[0] - 2000) < 200 && abs(drawn[1] - 10000) < 400);
    assert_true(abs(drawn[2] - 3000) < 250 && abs(drawn[3] - 5000) < 300);
    memset(drawn, 0, sizeof drawn);
    for (uint64_t i = 0; i < 9000; i++) drawn[bn_sample(logits, 4, &cut, i, order)]++;
    assert_true(drawn[0] == 0 && drawn[2] == 0 && abs(drawn[1] - 6000) < 300);
    for (uint64_t i = 0; i < 50; i++) assert_int_equal(bn_sample(logits, 4, &hot, i, order), 1);
}

typedef struct sink {
    char text[512];
    size_t used, pieces;
} sink;

static bool collect(void *self, const char *text, size_t bytes)
{
    sink *s = self;
    assert_true(s->used + bytes < sizeof s->text);
    memcpy(s->text + s->used, text, bytes);
    s->used += bytes;
    s->pieces++;
    return true;
}

static sink generate(bn_infer *infer, uint64_t seed, int64_t tokens)
{
    bn_error err = {0};
    sink s = {.used = 0};
    bn_tokenizer *tokenizer;
    bn_generate_result result;
    assert_int_equal(bn_tokenizer_open(&tokenizer, "bytes", &err), BN_OK);
    const bn_generate_job job = {.infer = infer,
                                 .tokenizer = tokenizer,
                                 .prompt = "ab",
                                 .prompt_bytes = 2,
                                 .tokens = tokens,
                                 .sampling = {1, 1, seed},
                                 .emit = collect,
                                 .self = &s};
    assert_int_equal(bn_generate(&job, &result, &err), BN_OK);
    assert_int_equal(result.prompt_tokens, 2);
    bn_tokenizer_close(tokenizer);
    return s;
}

static void test_text_goes_on_beyond_the_context_and_follows_the_seed(void **state)
{
    (void)state;
    model_lab lab = model_lab_open_list("cpu:2", WIDE "quant.variant=ternary;model.vocab=256");
    bn_infer *infer = open_infer(&lab, 2);
    sink a = generate(infer, 3, 100), b = generate(infer, 3, 100), c = generate(infer, 4, 100);
    assert_true(a.pieces > 24);
    assert_int_equal(a.used, b.used);
    assert_memory_equal(a.text, b.text, a.used);
    assert_int_not_equal(memcmp(a.text, c.text, 20), 0);
    bn_infer_close(infer);
    model_lab_close(&lab);
}

static void test_a_checkpoint_s_loss_is_the_one_that_training_recorded(void **state)
{
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    char folder[BN_PATH_MAX], path[BN_PATH_MAX];
    bn_infer *infer;
    bn_dataset *data;
    bn_evaluation measured;
    run_lab_set(&config, "train.device=cpu", "train.eval_tokens=0", NULL);
    assert_int_equal(run_lab_train(&config, *state, "run"), BN_TRAIN_FINISHED);
    json_t *events = run_lab_events(*state, "run");
    double recorded = 0;
    for (int64_t seq = 0; run_lab_record(events, seq); seq++) {
        json_t *record = run_lab_record(events, seq);
        const json_t *loss = json_object_get(json_object_get(record, "values"), "val/loss");
        if (loss) recorded = json_number_value(loss);
    }
    (void)snprintf(folder, sizeof folder, "%s/run/checkpoint", (char *)*state);
    assert_int_equal(bn_checkpoint_dir_path(path, folder, false, &err), BN_OK);
    assert_int_equal(bn_infer_open_file(&infer, path, &(bn_infer_options){.threads = 2}, &err),
                     BN_OK);
    const bn_config *known = bn_infer_config(infer);
    const bn_dataset_spec spec = {known->data.path, known->data.tokenizer, known->data.cache,
                                  known->data.val_fraction};
    assert_int_equal(bn_dataset_open(&data, &spec, (int)known->model.context, &err), BN_OK);
    assert_int_equal(bn_evaluate(infer, data, 0, &measured, &err), BN_OK);
    assert_true(recorded > 0 && fabs(measured.loss / recorded - 1) < 1e-4);
    assert_int_equal(measured.tokens, bn_dataset_info_of(data)->val_tokens - 1);
    bn_dataset_close(data);
    bn_infer_close(infer);
    json_decref(events);
}

/* Copies a checkpoint, the tensor's two dimensions changed for each other. */
static void copy_turned(const char *from, const char *to, const char *tensor)
{
    enum { TENSORS_MAX = 64, KNOBS_MAX = 128 };
    bn_error err = {0};
    bn_st_reader *file;
    bn_st_writer *writer;
    bn_st_tensor rows[TENSORS_MAX];
    bn_st_meta meta[KNOBS_MAX];
    char keys[KNOBS_MAX][64];
    size_t knobs = 0;
    const bn_knob *table = bn_knob_table(&knobs);
    assert_int_equal(bn_st_open(&file, from, &err), BN_OK);
    assert_true(bn_st_count(file) <= TENSORS_MAX && knobs <= KNOBS_MAX);
    for (size_t i = 0; i < knobs; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "knob.%s", table[i].name);
        meta[i] = (bn_st_meta){keys[i], bn_st_meta_of(file, keys[i])};
    }
    for (size_t i = 0; i < bn_st_count(file); i++) {
        rows[i] = *bn_st_at(file, i);
        if (strcmp(rows[i].name, tensor) != 0) continue;
        int64_t first = rows[i].shape[0];
        rows[i].shape[0] = rows[i].shape[1];
        rows[i].shape[1] = first;
    }
    const bn_st_plan plan = {rows, bn_st_count(file), meta, knobs};
    assert_int_equal(bn_st_create(&writer, to, &plan, &err), BN_OK);
    for (size_t i = 0; i < plan.count; i++) {
        const bn_st_tensor *row = bn_st_at(file, i);
        size_t bytes = (size_t)(row->end - row->begin);
        char *data = malloc(bytes);
        assert_int_equal(bn_st_read(file, row, 0, data, bytes, &err), BN_OK);
        bn_st_append(writer, data, bytes);
        free(data);
    }
    assert_int_equal(bn_st_commit(writer, &err), BN_OK);
    bn_st_close(file);
}

static void test_a_tensor_turned_over_is_refused(void **state)
{
    bn_error err = {0};
    bn_infer *infer;
    bn_config config = run_lab_config(*state);
    char from[BN_PATH_MAX], to[BN_PATH_MAX];
    assert_int_equal(run_lab_train(&config, *state, "run"), BN_TRAIN_FINISHED);
    (void)snprintf(from, sizeof from, "%s/run/checkpoint/best.safetensors", (char *)*state);
    (void)snprintf(to, sizeof to, "%s/turned.safetensors", (char *)*state);
    copy_turned(from, to, "model.layers.0.mlp.down_proj.weight");
    assert_int_equal(bn_infer_open_file(&infer, to, &(bn_infer_options){.threads = 1}, &err),
                     BN_ECORRUPT);
    assert_non_null(strstr(err.text, "down_proj.weight: the file has no such tensor of 16 x 32"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_losses_are_those_of_training_for_every_variant),
        TEST(test_bf16_attention_of_training_changes_losses_little),
        TEST(test_an_int8_head_changes_losses_little),
        TEST(test_steps_and_threads_do_not_change_a_bit_of_ternary_logits),
        TEST(test_single_steps_agree_with_the_whole_for_every_variant),
        TEST(test_weights_take_the_bits_of_their_format),
        TEST(test_ternary_weights_take_two_bits_or_less),
        TEST(test_what_does_not_fit_is_refused),
        TEST(test_products_of_codes_are_exact_on_every_instruction_set),
        TEST(test_temperature_zero_takes_the_likeliest),
        TEST(test_draws_follow_the_softmax_cut_at_top_p),
        TEST(test_text_goes_on_beyond_the_context_and_follows_the_seed),
        TEST(test_a_checkpoint_s_loss_is_the_one_that_training_recorded),
        TEST(test_a_tensor_turned_over_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
