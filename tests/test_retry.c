#include "reporters/retry.h"
#include "support/cmocka_all.h"

static const bn_retry_hint NO_HINT = {-1, -1, -1};

static void test_answers_end_repeat_or_refuse_a_request(void **state)
{
    (void)state;
    static const struct {
        int code;
        bn_verdict stream, upsert, query, upload;
    } rows[] = {
        {200, BN_VERDICT_DONE, BN_VERDICT_DONE, BN_VERDICT_DONE, BN_VERDICT_DONE},
        {204, BN_VERDICT_DONE, BN_VERDICT_DONE, BN_VERDICT_DONE, BN_VERDICT_DONE},
        {0, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
        {302, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
        {400, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED},
        {401, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED},
        {403, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_EXPIRED},
        {404, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED},
        {407, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
        {408, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
        {409, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
        {410, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED},
        {413, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED},
        {422, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED},
        {429, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
        {500, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
        {501, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED, BN_VERDICT_REFUSED},
        {503, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN, BN_VERDICT_AGAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(bn_retry_judge(BN_REQUEST_STREAM, rows[i].code), rows[i].stream);
        assert_int_equal(bn_retry_judge(BN_REQUEST_UPSERT, rows[i].code), rows[i].upsert);
        assert_int_equal(bn_retry_judge(BN_REQUEST_QUERY, rows[i].code), rows[i].query);
        assert_int_equal(bn_retry_judge(BN_REQUEST_UPLOAD, rows[i].code), rows[i].upload);
    }
}

static void test_wait_doubles_up_to_a_minute(void **state)
{
    (void)state;
    assert_float_equal(bn_retry_wait_s(2, 1, NO_HINT, 0), 2, 0);
    assert_float_equal(bn_retry_wait_s(2, 2, NO_HINT, 0), 4, 0);
    assert_float_equal(bn_retry_wait_s(2, 4, NO_HINT, 0), 16, 0);
    assert_float_equal(bn_retry_wait_s(2, 9, NO_HINT, 0), 60, 0);
    assert_float_equal(bn_retry_wait_s(2, 2000000000, NO_HINT, 0.99), 60, 0);
}

static void test_chance_adds_up_to_a_quarter(void **state)
{
    (void)state;
    assert_float_equal(bn_retry_wait_s(2, 1, NO_HINT, 0.5), 2.25, 1e-12);
    assert_true(bn_retry_wait_s(2, 1, NO_HINT, 0.9999) < 2.5);
}

static void test_what_the_server_asks_for_wins(void **state)
{
    (void)state;
    bn_retry_hint after = {.retry_after_s = 3, .ratelimit_remaining = 0, .ratelimit_reset_s = 9};
    assert_float_equal(bn_retry_wait_s(2, 5, after, 0.7), 3, 0);
    bn_retry_hint empty = {.retry_after_s = -1, .ratelimit_remaining = 0, .ratelimit_reset_s = 9};
    assert_float_equal(bn_retry_wait_s(2, 5, empty, 0.7), 9, 0);
    bn_retry_hint some = {.retry_after_s = -1, .ratelimit_remaining = 5, .ratelimit_reset_s = 9};
    assert_float_equal(bn_retry_wait_s(2, 1, some, 0), 2, 0);
}

static void test_pace_holds_nothing_back_without_a_quota(void **state)
{
    (void)state;
    bn_pace pace;
    bn_pace_init(&pace, 100);
    for (int i = 0; i < 1000; i++) assert_float_equal(bn_pace_take(&pace, 100), 0, 0);
}

static void test_pace_spreads_the_quota_over_its_time(void **state)
{
    (void)state;
    bn_pace pace;
    bn_pace_init(&pace, 0);
    bn_retry_hint hint = {-1, 20, 10}; /* 20 more in 10 s: 2 a second */
    bn_pace_learn(&pace, hint, 0);
    for (int i = 0; i < BN_PACE_BURST; i++) assert_float_equal(bn_pace_take(&pace, 0), 0, 0);
    assert_float_equal(bn_pace_take(&pace, 0), 0.5, 1e-12);
    assert_float_equal(bn_pace_take(&pace, 0.5), 0, 0);
    assert_true(bn_pace_take(&pace, 0.5) > 0);
}

static void test_pace_waits_for_the_reset_of_a_spent_quota(void **state)
{
    (void)state;
    bn_pace pace;
    bn_pace_init(&pace, 0);
    bn_retry_hint hint = {-1, 0, 7};
    bn_pace_learn(&pace, hint, 5);
    assert_float_equal(bn_pace_take(&pace, 6), 6, 1e-12);
    assert_float_equal(bn_pace_take(&pace, 12), 0, 0);
}

static void test_pace_learns_what_a_request_costs(void **state)
{
    (void)state;
    bn_pace pace;
    bn_pace_init(&pace, 0);
    for (int i = 0; i < 40; i++) {
        bn_retry_hint hint = {-1, 1000 - 20 * i, 60};
        bn_pace_learn(&pace, hint, 0);
    }
    assert_float_equal(pace.cost, 20, 0.1);
    assert_float_equal(pace.rate_per_s, 220.0 / 20 / 60, 0.01);
}

static void test_pace_never_stands_still(void **state)
{
    (void)state;
    bn_pace pace;
    bn_pace_init(&pace, 0);
    bn_retry_hint hint = {-1, 1, 1e6};
    bn_pace_learn(&pace, hint, 0);
    assert_float_equal(pace.rate_per_s, 0.1, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_end_repeat_or_refuse_a_request),
        cmocka_unit_test(test_wait_doubles_up_to_a_minute),
        cmocka_unit_test(test_chance_adds_up_to_a_quarter),
        cmocka_unit_test(test_what_the_server_asks_for_wins),
        cmocka_unit_test(test_pace_holds_nothing_back_without_a_quota),
        cmocka_unit_test(test_pace_spreads_the_quota_over_its_time),
        cmocka_unit_test(test_pace_waits_for_the_reset_of_a_spent_quota),
        cmocka_unit_test(test_pace_learns_what_a_request_costs),
        cmocka_unit_test(test_pace_never_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
