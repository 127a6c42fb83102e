/* Steps on a device that works behind the caller's back: nobody waits between records, repeated
 * work is replayed, and what a run says does not depend on how seldom somebody looks. The host twin
 * does all work as late as it may, so a result that is used too early is a wrong one here. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/cuda_twin.h"
#include "support/model_lab.h"
#include "support/run_lab.h"

static bn_config on_card(const char *folder, const char *log_every, const char *steps)
{
    bn_config config = run_lab_config(folder);
    run_lab_set(&config, "train.device=cuda", "train.eval_every=0", "train.quant_every=0",
                "train.checkpoint_every=0", "model.heads=1", "model.context=8", "train.batch=1",
                log_every, steps, NULL);
    return config;
}

static long waits_of(const bn_config *config, const char *folder, const char *name)
{
    cuda_twin_counts before = cuda_twin_look();
    assert_int_equal(run_lab_train(config, folder, name), BN_TRAIN_FINISHED);
    cuda_twin_counts after = cuda_twin_look();
    assert_int_equal(after.graphs, 0);
    assert_int_equal(after.marks, 0);
    return after.reads + after.waits - before.reads - before.waits;
}

static void test_nobody_waits_for_the_card_between_two_records(void **state)
{
    bn_config few = on_card(*state, "train.log_every=3", "train.steps=3");
    bn_config many = on_card(*state, "train.log_every=15", "train.steps=15");
    assert_int_equal(waits_of(&few, *state, "few"), waits_of(&many, *state, "many"));
}

static void test_a_validation_is_waited_for_once(void **state)
{
    bn_config few = on_card(*state, "train.eval_every=2", "train.steps=2");
    bn_config many = few;
    run_lab_set(&few, "train.eval_tokens=16", NULL);
    run_lab_set(&many, "train.eval_tokens=96", NULL);
    assert_int_equal(waits_of(&few, *state, "few"), waits_of(&many, *state, "many"));
}

/* More steps than outcomes are kept: they are asked for on the way. */
static void test_a_record_of_more_steps_than_are_kept_is_of_all_of_them(void **state)
{
    bn_config config = on_card(*state, "train.log_every=100", "train.steps=66");
    (void)run_lab_train(&config, *state, "seldom");
    run_lab_set(&config, "train.log_every=1", NULL);
    (void)run_lab_train(&config, *state, "often");
    json_t *seldom = run_lab_events(*state, "seldom"), *often = run_lab_events(*state, "often");
    double sum = 0;
    for (int64_t seq = 0; seq < 66; seq++) {
        sum += run_lab_value(run_lab_record(often, seq), "train/loss");
    }
    json_t *last = run_lab_record(seldom, 0);
    assert_true(run_lab_value(last, "train/loss") == sum / 66);
    assert_true(run_lab_value(last, "grad_norm") ==
                run_lab_value(run_lab_record(often, 65), "grad_norm"));
    assert_true(run_lab_value(last, "step_ms") > 0);
    json_decref(seldom);
    json_decref(often);
}

static void test_a_step_that_diverged_unseen_is_the_runs_last(void **state)
{
    json_t *events[2];
    static const char *const every[] = {"train.log_every=1", "train.log_every=20"};
    for (int i = 0; i < 2; i++) {
        bn_config config = on_card(*state, every[i], "train.steps=20");
        run_lab_set(&config, "quant.variant=fp32", "optim.lr=10", "model.layers=4",
                    "model.activation=relu2", "model.attn_norm=none", "model.attn_sub_norm=none",
                    "model.ffn_norm=none", "model.ffn_sub_norm=none", NULL);
        assert_int_equal(run_lab_train(&config, *state, every[i]), BN_TRAIN_DIVERGED);
        events[i] = run_lab_events(*state, every[i]);
    }
    json_t *seen = run_lab_record(events[0], -1), *unseen = run_lab_record(events[1], -1);
    json_t *step = json_object_get(unseen, "step");
    assert_true(json_integer_value(step) > 1 && json_integer_value(step) < 20);
    assert_true(json_equal(step, json_object_get(seen, "step")));
    assert_true(json_equal(json_object_get(run_lab_end(events[0]), "reason"),
                           json_object_get(run_lab_end(events[1]), "reason")));
    assert_true(run_lab_value(seen, "lr") == run_lab_value(unseen, "lr"));
    json_decref(events[0]);
    json_decref(events[1]);
}

/* The checkpoint of step 10 lies between two records. */
static void test_a_run_goes_on_between_records_to_the_same_last_bit(void **state)
{
    bn_config config = on_card(*state, "train.log_every=12", "train.steps=12");
    run_lab_set(&config, "train.checkpoint_every=5", "train.checkpoint_keep=9", NULL);
    (void)run_lab_train(&config, *state, "run");
    json_t *events = run_lab_events(*state, "run");
    double loss = run_lab_value(run_lab_record(events, 0), "train/loss");
    double norm = run_lab_value(run_lab_record(events, 0), "grad_norm");
    json_decref(events);
    assert_int_equal(unlink(scratch_path(*state, "run/checkpoint/step-000000000012.safetensors")),
                     0);
    (void)run_lab_train(&config, *state, "run");
    events = run_lab_events(*state, "run");
    json_t *begin = json_array_get(events, json_array_size(events) - 3);
    assert_int_equal(json_number_value(json_object_get(begin, "resumed_step")), 10);
    assert_true(run_lab_value(run_lab_record(events, 0), "train/loss") == loss);
    assert_true(run_lab_value(run_lab_record(events, 0), "grad_norm") == norm);
    json_decref(events);
}

/* Set by a second thread once the card has replayed some steps. */
static volatile sig_atomic_t stop_now;

static void *stop_soon(void *replays)
{
    while (cuda_twin_look().replays < *(const long *)replays) (void)sched_yield();
    stop_now = 1;
    return NULL;
}

static bn_train_end train_until_stopped(bn_config *config, const char *folder)
{
    bn_error err = {0};
    pthread_t thread;
    bn_train_end end = BN_TRAIN_FINISHED;
    bn_train_job job = {.config = config, .attempt = 1, .stop = &stop_now};
    job.dir = scratch_path(folder, "run");
    stop_now = 0;
    long replays = cuda_twin_look().replays + 8;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &replays), 0);
    if (bn_train(&job, &end, &err) != BN_OK) fail_msg("%s", err.text);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return end;
}

static void test_a_stop_while_steps_are_pending_loses_none(void **state)
{
    bn_error err = {0};
    bn_config config = on_card(*state, "train.log_every=24", "train.steps=24");
    (void)run_lab_train(&config, *state, "whole");
    assert_int_equal(bn_config_resolve(&config, &err), BN_OK);
    assert_int_equal(train_until_stopped(&config, *state), BN_TRAIN_STOPPED);
    (void)run_lab_train(&config, *state, "run");
    json_t *whole = run_lab_events(*state, "whole"), *both = run_lab_events(*state, "run");
    assert_true(run_lab_value(run_lab_record(whole, 0), "train/loss") ==
                run_lab_value(run_lab_record(both, 0), "train/loss"));
    json_decref(whole);
    json_decref(both);
}

/* Gradients that overflow while nobody looks: skipped, and the scale halved, as on a device that is
 * waited for. */
static void test_overflows_are_met_by_the_card_itself(void **state)
{
    (void)state;
    bn_optimizer_step told[2][BN_STEPS_MAX];
    static const char *const devices[] = {"cuda", "reference"};
    for (int d = 0; d < 2; d++) {
        bn_error err = {0};
        bn_optimizer *optimizer = NULL;
        int count = 0;
        model_lab lab = model_lab_open(devices[d], "quant.variant=fp16", "model.layers=1", NULL);
        assert_int_equal(bn_optimizer_open(&optimizer, lab.model, &lab.config, &err), BN_OK);
        bn_optimizer_resume(optimizer, &(bn_optimizer_state){.good_steps = 1999, .loss_scale = 4});
        for (int i = 0; i < 6; i++) {
            float gradient = i == 1 || i == 2 || i == 4 ? INFINITY : 3;
            bn_backend_write(lab.be, lab.model->grads + 5, &gradient, sizeof gradient);
            bn_optimizer_give(optimizer, &(bn_optimizer_step){.lr = 0.01});
        }
        assert_int_equal(bn_optimizer_pending(optimizer), 6);
        assert_int_equal(bn_optimizer_collect(optimizer, told[d], &count, &err), BN_OK);
        assert_int_equal(count, 6);
        assert_true(optimizer->state.loss_scale == 1 && optimizer->state.skipped == 3);
        bn_optimizer_close(optimizer);
        model_lab_close(&lab);
    }
    for (int i = 0; i < 6; i++) {
        assert_memory_equal(&told[0][i].state, &told[1][i].state, sizeof told[0][i].state);
        assert_int_equal(told[0][i].skipped, told[1][i].skipped);
        assert_true(told[0][i].skipped || told[0][i].grad_norm == told[1][i].grad_norm);
        assert_false(told[0][i].stuck);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_waits_for_the_card_between_two_records),
        TEST(test_a_validation_is_waited_for_once),
        TEST(test_a_record_of_more_steps_than_are_kept_is_of_all_of_them),
        TEST(test_a_step_that_diverged_unseen_is_the_runs_last),
        TEST(test_a_run_goes_on_between_records_to_the_same_last_bit),
        TEST(test_a_stop_while_steps_are_pending_loses_none),
        cmocka_unit_test(test_overflows_are_met_by_the_card_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
