#include "engine/corpus/shards.h"
#include "support/run_lab.h"

static void test_a_run_says_a_begin_line_its_records_and_an_end_line(void **state)
{
    bn_config config = run_lab_config(*state);
    assert_int_equal(run_lab_train(&config, *state, "run"), BN_TRAIN_FINISHED);
    json_t *events = run_lab_events(*state, "run");
    assert_int_equal(json_array_size(events), 1 + 12 + 1);
    json_t *begin = json_array_get(events, 0);
    assert_string_equal(json_string_value(json_object_get(begin, "type")), "begin");
    for (int64_t seq = 0; seq < 12; seq++) {
        json_t *record = run_lab_record(events, seq);
        assert_int_equal(json_integer_value(json_object_get(record, "step")), seq + 1);
    }
    assert_string_equal(json_string_value(json_object_get(run_lab_end(events), "how")), "finished");
    json_decref(events);
}

static void test_every_metric_is_where_it_is_due(void **state)
{
    static const char *const always[] = {"train/loss",
                                         "lr",
                                         "wd",
                                         "grad_norm",
                                         "tokens",
                                         "tokens_per_s",
                                         "step_ms",
                                         "mem/rss_bytes",
                                         "mem/peak_rss_bytes",
                                         "mem/engine_bytes",
                                         "mem/weights_bytes"};
    static const char *const at_the_end[] = {"val/loss",
                                             "val/ppl",
                                             "val/bpb",
                                             "quant/zero_frac",
                                             "quant/flip_rate",
                                             "quant/balance",
                                             "quant/hist_00",
                                             "quant/hist_15",
                                             "model/params",
                                             "model/ternary_params",
                                             "model/deployed_bytes",
                                             "model/fp16_bytes",
                                             "energy/estimate_j_per_token"};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    json_t *events = run_lab_events(*state, "run");
    json_t *first = run_lab_record(events, 0), *last = run_lab_record(events, 11);
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        (void)run_lab_value(first, always[i]);
    }
    for (size_t i = 0; i < sizeof at_the_end / sizeof at_the_end[0]; i++) {
        (void)run_lab_value(last, at_the_end[i]);
    }
    assert_true(run_lab_value(last, "tokens") == 12 * 2 * 16);
    assert_null(json_object_get(json_object_get(first, "values"), "val/loss"));
    json_decref(events);
}

static void test_every_variant_learns(void **state)
{
    static const char *const variants[] = {"ternary", "binary", "int8", "bf16", "fp16", "fp32"};
    for (size_t i = 0; i < 6; i++) {
        char row[64];
        bn_config config = run_lab_config(*state);
        (void)snprintf(row, sizeof row, "quant.variant=%s", variants[i]);
        run_lab_set(&config, row, "train.steps=30", "train.log_every=10", "train.eval_every=0",
                    NULL);
        assert_int_equal(run_lab_train(&config, *state, variants[i]), BN_TRAIN_FINISHED);
        json_t *events = run_lab_events(*state, variants[i]);
        double loss = run_lab_value(run_lab_record(events, -1), "val/loss");
        if (!(loss < 4.5)) fail_msg("%s: %g after 30 steps", variants[i], loss);
        json_decref(events);
    }
}

static void test_a_mean_loss_is_of_all_steps_since_the_last_record(void **state)
{
    bn_config each = run_lab_config(*state);
    bn_config every_third = each;
    run_lab_set(&every_third, "train.log_every=3", "train.eval_every=0", NULL);
    (void)run_lab_train(&each, *state, "each");
    (void)run_lab_train(&every_third, *state, "third");
    json_t *a = run_lab_events(*state, "each"), *b = run_lab_events(*state, "third");
    double sum = 0;
    for (int64_t seq = 3; seq < 6; seq++) {
        sum += run_lab_value(run_lab_record(a, seq), "train/loss");
    }
    double mean = run_lab_value(run_lab_record(b, 1), "train/loss");
    assert_true(fabs(mean - sum / 3) < 1e-12);
    json_decref(a);
    json_decref(b);
}

static void test_accumulated_micro_batches_equal_one_large_batch(void **state)
{
    bn_config large = run_lab_config(*state);
    run_lab_set(&large, "quant.variant=fp32", "train.batch=4", NULL);
    bn_config split = large;
    run_lab_set(&split, "train.batch=2", "train.accum=2", NULL);
    (void)run_lab_train(&large, *state, "large");
    (void)run_lab_train(&split, *state, "split");
    json_t *a = run_lab_events(*state, "large"), *b = run_lab_events(*state, "split");
    for (int64_t seq = 0; seq < 12; seq++) {
        double one = run_lab_value(run_lab_record(a, seq), "train/loss");
        double two = run_lab_value(run_lab_record(b, seq), "train/loss");
        assert_true(fabs(one - two) < 1e-4);
    }
    json_decref(a);
    json_decref(b);
}

static void test_losses_do_not_depend_on_the_number_of_threads(void **state)
{
    json_t *events[3];
    static const char *const threads[] = {"train.threads=1", "train.threads=2", "train.threads=4"};
    for (size_t i = 0; i < 3; i++) {
        bn_config config = run_lab_config(*state);
        run_lab_set(&config, "train.device=cpu", "model.width=32", threads[i], NULL);
        (void)run_lab_train(&config, *state, threads[i]);
        events[i] = run_lab_events(*state, threads[i]);
    }
    for (int64_t seq = 0; seq < 12; seq++) {
        double one = run_lab_value(run_lab_record(events[0], seq), "train/loss");
        for (size_t i = 1; i < 3; i++) {
            assert_true(run_lab_value(run_lab_record(events[i], seq), "train/loss") == one);
        }
    }
    for (size_t i = 0; i < 3; i++) json_decref(events[i]);
}

static void test_divergence_ends_the_run_and_names_the_step(void **state)
{
    bn_config config = run_lab_config(*state);
    run_lab_set(&config, "quant.variant=fp32", "optim.lr=10", "model.layers=4",
                "model.activation=relu2", "model.attn_norm=none", "model.attn_sub_norm=none",
                "model.ffn_norm=none", "model.ffn_sub_norm=none", "train.steps=60", NULL);
    assert_int_equal(run_lab_train(&config, *state, "run"), BN_TRAIN_DIVERGED);
    json_t *events = run_lab_events(*state, "run");
    json_t *end = run_lab_end(events), *record = run_lab_record(events, -1);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "diverged at step %d",
                   (int)json_integer_value(json_object_get(record, "step")));
    assert_string_equal(json_string_value(json_object_get(end, "how")), "diverged");
    assert_string_equal(json_string_value(json_object_get(end, "reason")), expected);
    json_decref(events);
}

static void test_a_stop_keeps_a_checkpoint_and_the_next_attempt_goes_on(void **state)
{
    bn_config config = run_lab_config(*state);
    assert_int_equal(run_lab_train_until(&config, *state, "run", 0), BN_TRAIN_STOPPED);
    assert_true(
        bn_file_exists(scratch_path(*state, "run/checkpoint/step-000000000000.safetensors")));
    assert_int_equal(run_lab_train(&config, *state, "run"), BN_TRAIN_FINISHED);
    json_t *events = run_lab_events(*state, "run");
    assert_string_equal(json_string_value(json_object_get(json_array_get(events, 1), "how")),
                        "stopped");
    assert_non_null(run_lab_record(events, 11));
    assert_null(run_lab_record(events, 12));
    json_decref(events);
}

static void test_a_finished_run_is_not_trained_again(void **state)
{
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    assert_int_equal(run_lab_train(&config, *state, "run"), BN_TRAIN_FINISHED);
    json_t *events = run_lab_events(*state, "run");
    assert_int_equal(json_array_size(events), 14 + 2);
    json_decref(events);
}

static void expect_refusal(const bn_config *config, const char *folder, const char *text)
{
    bn_error err = {0};
    bn_train_end end;
    bn_config resolved = *config;
    bn_train_job job = {.config = &resolved, .attempt = 1, .dir = scratch_path(folder, "run")};
    assert_int_equal(bn_config_resolve(&resolved, &err), BN_OK);
    assert_true(bn_train(&job, &end, &err) != BN_OK);
    if (!strstr(err.text, text)) fail_msg("'%s' does not say '%s'", err.text, text);
    assert_null(strchr(err.text, '\n'));
    assert_false(bn_file_exists(scratch_path(folder, "run/events.jsonl")));
}

static void test_a_vocabulary_beyond_what_a_shard_s_ids_can_say_is_refused(void **state)
{
    bn_error err = {0};
    bn_shard_writer *writer;
    bn_config config = run_lab_config(*state);
    char knob[BN_PATH_MAX + 16];
    const char *path = scratch_path(*state, "ids.bin");
    (void)snprintf(knob, sizeof knob, "data.path=%s", path);
    assert_int_equal(bn_shard_writer_open(&writer, path, 500, &err), BN_OK); /* 16 bits each */
    for (int32_t i = 0; i < 5000; i++) bn_shard_writer_add(writer, &(int32_t){i % 500}, 1);
    assert_int_equal(bn_shard_writer_commit(writer, &err), BN_OK);
    bn_shard_writer_close(writer);
    run_lab_set(&config, knob, "model.vocab=70000", NULL);
    expect_refusal(&config, *state, "'model.vocab' must be at most 65536");
    expect_refusal(&config, *state, "is 70000");
}

static void test_bad_input_is_named_and_nothing_is_written(void **state)
{
    bn_config config = run_lab_config(*state);
    run_lab_set(&config, "model.vocab=100", NULL);
    expect_refusal(&config, *state, "'model.vocab' must be at least the data's 256, is 100");
    config = run_lab_config(*state);
    run_lab_set(&config, "data.path=", NULL);
    expect_refusal(&config, *state, "'data.path'");
    config = run_lab_config(*state);
    run_lab_set(&config, "model.width=32768", "model.layers=512", "model.ffn=60000", NULL);
    expect_refusal(&config, *state, "GB of memory, the machine has");
    config = run_lab_config(*state);
    run_lab_set(&config, "train.device=gpu", NULL);
    expect_refusal(&config, *state, "'gpu'");
    config = run_lab_config(*state);
    run_lab_set(&config, "model.context=100000", NULL);
    expect_refusal(&config, *state, "text.txt");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(test_a_run_says_a_begin_line_its_records_and_an_end_line),
        TEST(test_every_metric_is_where_it_is_due),
        TEST(test_every_variant_learns),
        TEST(test_a_mean_loss_is_of_all_steps_since_the_last_record),
        TEST(test_accumulated_micro_batches_equal_one_large_batch),
        TEST(test_losses_do_not_depend_on_the_number_of_threads),
        TEST(test_divergence_ends_the_run_and_names_the_step),
        TEST(test_a_stop_keeps_a_checkpoint_and_the_next_attempt_goes_on),
        TEST(test_a_finished_run_is_not_trained_again),
        TEST(test_a_vocabulary_beyond_what_a_shard_s_ids_can_say_is_refused),
        TEST(test_bad_input_is_named_and_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
