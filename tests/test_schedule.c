#include "engine/schedule.h"
#include "support/cmocka_all.h"

/* 100 steps, 10 of warm-up, peak 1. */
static bn_config with(const char *schedule)
{
    bn_config config;
    bn_error err = {0};
    bn_config_init(&config);
    assert_int_equal(bn_config_set(&config, "optim.schedule", schedule, &err), BN_OK);
    config.train.steps = 100;
    config.optim.warmup_steps = 10;
    config.optim.lr = 1;
    config.optim.lr2 = 0.5;
    config.optim.lr_final = 0.1;
    assert_int_equal(bn_config_resolve(&config, &err), BN_OK);
    return config;
}

static void assert_lr(const bn_config *config, int64_t step, double expected)
{
    double lr = bn_schedule_lr(config, step);
    if (fabs(lr - expected) > 1e-12) fail_msg("step %d: %.15g, not %.15g", (int)step, lr, expected);
}

static void test_warm_up_is_a_line_that_does_something_in_its_first_step(void **state)
{
    (void)state;
    const char *all[] = {"cosine", "linear", "wsd", "constant", "two_stage"};
    for (size_t i = 0; i < 5; i++) {
        bn_config config = with(all[i]);
        assert_lr(&config, 0, 0.1);
        assert_lr(&config, 4, 0.5);
        assert_lr(&config, 9, 1.0);
        assert_lr(&config, 10, 1.0);
    }
}

static void test_without_warm_up_the_first_step_has_the_peak(void **state)
{
    (void)state;
    bn_config config = with("cosine");
    config.optim.warmup_steps = 0;
    assert_lr(&config, 0, 1.0);
}

static void test_cosine_is_half_way_in_the_middle_and_ends_at_its_share(void **state)
{
    (void)state;
    bn_config config = with("cosine");
    assert_lr(&config, 55, 0.55);
    double last = bn_schedule_lr(&config, 99);
    assert_true(last > 0.1 && last < 0.101);
}

static void test_linear_falls_by_equal_steps(void **state)
{
    (void)state;
    bn_config config = with("linear");
    assert_lr(&config, 55, 0.55);
    assert_lr(&config, 99, 0.1 + 0.9 / 90);
}

static void test_wsd_is_flat_until_its_last_fifth(void **state)
{
    (void)state;
    bn_config config = with("wsd");
    assert_lr(&config, 79, 1.0);
    assert_lr(&config, 80, 1.0);
    assert_lr(&config, 90, 0.55);
    config.optim.decay_fraction = 0;
    assert_lr(&config, 99, 1.0);
    config.optim.decay_fraction = 1;
    config.optim.warmup_steps = 0;
    assert_lr(&config, 50, 0.55);
}

static void test_two_stage_drops_half_way_and_goes_on_to_zero(void **state)
{
    (void)state;
    bn_config config = with("two_stage");
    assert_lr(&config, 49, 1.0 - 39.0 / 90);
    assert_lr(&config, 50, 0.5 * (1.0 - 40.0 / 90));
    assert_lr(&config, 99, 0.5 / 90);
}

static void test_constant_stays(void **state)
{
    (void)state;
    bn_config config = with("constant");
    assert_lr(&config, 99, 1.0);
}

static void test_two_stage_decay_is_off_in_the_second_half(void **state)
{
    (void)state;
    bn_config config = with("two_stage");
    config.optim.wd_schedule = BN_WD_TWO_STAGE;
    assert_true(bn_schedule_wd(&config, 0) == 0.1 && bn_schedule_wd(&config, 49) == 0.1);
    assert_true(bn_schedule_wd(&config, 50) == 0 && bn_schedule_wd(&config, 99) == 0);
    config.optim.wd_schedule = BN_WD_CONSTANT;
    assert_true(bn_schedule_wd(&config, 99) == 0.1);
}

/* Of an odd number of steps the middle one belongs to the first half. */
static void test_one_step_and_odd_counts_are_no_special_case(void **state)
{
    (void)state;
    bn_config config = with("two_stage");
    config.optim.wd_schedule = BN_WD_TWO_STAGE;
    config.optim.warmup_steps = 0;
    config.train.steps = 1;
    assert_lr(&config, 0, 1.0);
    assert_true(bn_schedule_wd(&config, 0) == 0.1);
    config.train.steps = 5;
    assert_true(bn_schedule_wd(&config, 2) == 0.1 && bn_schedule_wd(&config, 3) == 0);
}

static void test_a_run_of_warm_up_alone_never_divides_by_zero(void **state)
{
    (void)state;
    bn_config config = with("cosine");
    config.optim.warmup_steps = 100;
    assert_lr(&config, 99, 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warm_up_is_a_line_that_does_something_in_its_first_step),
        cmocka_unit_test(test_without_warm_up_the_first_step_has_the_peak),
        cmocka_unit_test(test_cosine_is_half_way_in_the_middle_and_ends_at_its_share),
        cmocka_unit_test(test_linear_falls_by_equal_steps),
        cmocka_unit_test(test_wsd_is_flat_until_its_last_fifth),
        cmocka_unit_test(test_two_stage_drops_half_way_and_goes_on_to_zero),
        cmocka_unit_test(test_constant_stays),
        cmocka_unit_test(test_two_stage_decay_is_off_in_the_second_half),
        cmocka_unit_test(test_one_step_and_odd_counts_are_no_special_case),
        cmocka_unit_test(test_a_run_of_warm_up_alone_never_divides_by_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
