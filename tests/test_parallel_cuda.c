/* Ranks whose device is the CUDA plug-in's host twin: the way of a gradient through the card's
 * memory and the plug-in's transport. */
#include <math.h>

#include "support/ranks_lab.h"

static bn_config on_cards(const char *folder, const char *device)
{
    bn_config config = run_lab_config(folder);
    run_lab_set(&config, "train.batch=4", "train.accum=2", "train.steps=6", "train.log_every=3",
                "train.eval_every=0", "train.quant_every=0", "model.heads=1", "model.width=32",
                device, NULL);
    return config;
}

static void test_two_ranks_on_cards_learn_as_one_on_processors(void **state)
{
    bn_config one = on_cards(*state, "train.device=reference");
    bn_config two = on_cards(*state, "train.device=cuda");
    ranks_lab lab = {.folder = *state, .name = "two", .world = 2};
    (void)run_lab_train(&one, *state, "one");
    ranks_lab_train(&lab, &two, RANK_FINISHED);
    json_t *a = run_lab_events(*state, "one"), *b = run_lab_events(*state, "two");
    for (int64_t seq = 0; seq < 2; seq++) {
        double left = run_lab_value(run_lab_record(a, seq), "train/loss");
        double right = run_lab_value(run_lab_record(b, seq), "train/loss");
        if (!(fabs(left - right) < 5e-3)) fail_msg("record %d: %g, %g", (int)seq, left, right);
    }
    json_decref(a);
    json_decref(b);
}

static void test_a_rank_that_computes_elsewhere_is_refused(void **state)
{
    bn_config card = on_cards(*state, "train.device=cuda");
    bn_config processor = on_cards(*state, "train.device=cpu");
    ranks_lab lab = {.folder = *state, .name = "mixed", .world = 2};
    ranks_lab_start(&lab, &card, 0);
    ranks_lab_start(&lab, &processor, 1);
    for (int rank = 0; rank < 2; rank++) {
        assert_int_equal(ranks_lab_wait(&lab, rank), RANK_FAILED);
        assert_non_null(strstr(ranks_lab_words(&lab, rank), "by nccl, rank 1 by sockets"));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(test_two_ranks_on_cards_learn_as_one_on_processors),
        TEST(test_a_rank_that_computes_elsewhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
