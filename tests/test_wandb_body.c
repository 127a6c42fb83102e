#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "reporters/wandb_body.h"
#include "support/cmocka_all.h"

static const bn_value VALUES[] = {
    {"train/loss", 0.5}, {"bad", NAN}, {"up", INFINITY}, {"down", -INFINITY}};

static bn_wandb_clock fresh_clock(void)
{
    return (bn_wandb_clock){.start_s = 1000, .wall_s = NAN, .step = -1};
}

static void test_history_line_has_wandbs_keys_and_bare_words(void **state)
{
    (void)state;
    bn_text out = {0};
    bn_wandb_clock clock = fresh_clock();
    bn_record record = {0, 10, 1002.5, VALUES, 4};
    bn_wandb_history_line(&out, &record, &clock);
    assert_string_equal(out.data, "{\"_step\":10,\"_runtime\":2.5,\"_timestamp\":1002.5,"
                                  "\"train/loss\":0.5,\"bad\":NaN,\"up\":Infinity,"
                                  "\"down\":-Infinity}");
    assert_int_equal(clock.step, 10);
    bn_text_release(&out);
}

static void test_step_that_does_not_rise_gets_the_next_free_one(void **state)
{
    (void)state;
    bn_text out = {0};
    bn_wandb_clock clock = fresh_clock();
    clock.step = 20;
    bn_record record = {1, 5, 1003, NULL, 0};
    bn_wandb_history_line(&out, &record, &clock);
    assert_string_equal(out.data, "{\"_step\":21,\"_runtime\":3,\"_timestamp\":1003,\"step\":5}");
    bn_text_release(&out);
}

static void test_metric_named_step_stays_what_it_is(void **state)
{
    (void)state;
    static const bn_value values[] = {{"step", 7}};
    bn_text out = {0};
    bn_wandb_clock clock = fresh_clock();
    for (int64_t i = 0; i < 2; i++) {
        bn_record record = {i, 3, 1003, values, 1};
        bn_wandb_history_line(&out, &record, &clock);
    }
    assert_string_equal(out.data, "{\"_step\":3,\"_runtime\":3,\"_timestamp\":1003,\"step\":7}"
                                  "{\"_step\":4,\"_runtime\":3,\"_timestamp\":1003,\"step\":7}");
    bn_text_release(&out);
}

static void test_metrics_cannot_take_wandbs_own_names(void **state)
{
    (void)state;
    static const bn_value values[] = {{"_step", 99}, {"_timestamp", 1}, {"x", 2}};
    bn_text out = {0};
    bn_wandb_clock clock = fresh_clock();
    bn_record record = {0, 0, NAN, values, 3};
    bn_wandb_history_line(&out, &record, &clock);
    assert_string_equal(out.data, "{\"_step\":0,\"_runtime\":0,\"_timestamp\":1000,\"x\":2}");
    bn_text_release(&out);
}

static void test_event_line_speaks_of_the_machine_in_wandbs_units(void **state)
{
    (void)state;
    static const bn_value values[] = {{"train/loss", 1}, {"mem/rss_bytes", 2097152}};
    bn_text out = {0};
    bn_record record = {0, 0, 1004, values, 2};
    assert_true(bn_wandb_event_line(&out, &record, 1000));
    assert_string_equal(out.data, "{\"_wandb\":true,\"_timestamp\":1004,\"_runtime\":4,"
                                  "\"system.proc.memory.rssMB\":2}");
    bn_text_clear(&out);
    record.count = 1;
    assert_false(bn_wandb_event_line(&out, &record, 1000));
    assert_int_equal(out.length, 0);
    bn_text_release(&out);
}

static void test_summary_has_last_best_and_runtime(void **state)
{
    (void)state;
    bn_latest latest[] = {
        {.key = "lr", .last = 0.25, .min = 0.25, .max = 1},
        {.key = "val/loss", .last = 3, .min = 2, .max = 9},
    };
    bn_wandb_summary summary = {.latest = latest,
                                .count = 2,
                                .objective = "val/loss",
                                .clock = {1000, 1007.5, 40},
                                .runtime_s = 7.5,
                                .state = "failed",
                                .reason = "exit 3"};
    bn_text out = {0};
    bn_wandb_summary_line(&out, &summary);
    assert_string_equal(out.data,
                        "{\"lr\":0.25,\"val/loss\":3,\"best/val/loss\":2,"
                        "\"bnexp/state\":\"failed\",\"bnexp/reason\":\"exit 3\",\"_step\":40,"
                        "\"_timestamp\":1007.5,\"_runtime\":7.5,"
                        "\"_wandb\":{\"runtime\":7}}");
    bn_text_release(&out);
}

static void check_log(const char *words, bool from_stderr, bool structured, const char *expected)
{
    bn_wandb_log log = {words, strlen(words), from_stderr, 1795371432.5, structured};
    bn_text out = {0};
    bn_wandb_log_line(&out, &log);
    assert_string_equal(out.data, expected);
    bn_text_release(&out);
}

static void test_log_line_is_stamped_and_marked(void **state)
{
    (void)state;
    check_log("hello", false, false, "2026-11-22T18:17:12.500 hello");
    check_log("bad", true, false, "ERROR 2026-11-22T18:17:12.500 bad");
    check_log("bad \"x\"", true, true,
              "{\"level\":\"error\",\"ts\":\"2026-11-22T18:17:12.500\","
              "\"content\":\"bad \\\"x\\\"\"}");
    check_log("", false, true, "{\"ts\":\"2026-11-22T18:17:12.500\",\"content\":\"\"}");
}

static void test_progress_bar_leaves_its_last_form(void **state)
{
    (void)state;
    check_log(" 10 %\r 50 %\r100 %\r", false, false, "2026-11-22T18:17:12.500 100 %");
}

static void test_endless_log_line_is_cut(void **state)
{
    (void)state;
    size_t length = 3 * BN_WANDB_LOG_LINE_MAX;
    char *words = malloc(length);
    assert_non_null(words);
    memset(words, 'x', length);
    bn_wandb_log log = {words, length, false, 0, true};
    bn_text out = {0};
    bn_wandb_log_line(&out, &log);
    assert_in_range(out.length, BN_WANDB_LOG_LINE_MAX, BN_WANDB_LOG_LINE_MAX + 100);
    bn_text_release(&out);
    free(words);
}

static bn_wandb_config config_of(const char *flat)
{
    return (bn_wandb_config){
        .flat_json = flat, .objective = "", .writer = "k", .environment_json = "{}"};
}

static void check_config(const char *flat, const char *expected)
{
    bn_wandb_config config = config_of(flat);
    bn_error err = {0};
    bn_text out = {0};
    assert_int_equal(bn_wandb_config_json(&out, &config, &err), BN_OK);
    char *tail = strstr(out.data, "\"_wandb\"");
    assert_non_null(tail);
    json_t *parsed = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    *tail = '\0';
    assert_string_equal(out.data, expected);
    bn_text_release(&out);
}

static void test_dotted_knobs_are_nested(void **state)
{
    (void)state;
    check_config("{\"train.steps\":9,\"optim.lr\":0.0003,\"optim.adam.eps\":1e-8,\"seed\":1,"
                 "\"optim.on\":true}",
                 "{\"optim\":{\"value\":{\"adam\":{\"eps\":1e-08},\"lr\":0.0003,\"on\":true}},"
                 "\"seed\":{\"value\":1},\"train\":{\"value\":{\"steps\":9}},");
    check_config("{}", "{");
}

static void test_knob_under_another_keeps_its_whole_name(void **state)
{
    (void)state;
    check_config("{\"a\":1,\"a.b\":2,\"c\":[1,{\"d\":null}]}",
                 "{\"a\":{\"value\":1},\"c\":{\"value\":[1,{\"d\":null}]},\"a.b\":{\"value\":2},");
    check_config("{\"a.b\":1,\"a.b.c\":2,\"a.c\":3}",
                 "{\"a\":{\"value\":{\"b\":1,\"c\":3}},\"a.b.c\":{\"value\":2},");
}

static void test_odd_names_stay_names(void **state)
{
    (void)state;
    check_config("{\"a.b.c.d.e.f\":1,\"x..y\":2,\"\":3,\"_wandb\":4,\"q\\\"\":\"\\\"\"}",
                 "{\"\":{\"value\":3},\"a\":{\"value\":{\"b\":{\"c\":{\"d.e.f\":1}}}},"
                 "\"q\\\"\":{\"value\":\"\\\"\"},\"x\":{\"value\":{\".y\":2}},");
}

static void test_config_that_is_no_object_is_refused(void **state)
{
    (void)state;
    bn_wandb_config config = config_of("[1]");
    bn_error err = {0};
    bn_text out = {0};
    assert_int_equal(bn_wandb_config_json(&out, &config, &err), BN_EINVAL);
    bn_text_release(&out);
}

static void test_metrics_are_defined_with_axis_goal_and_summary(void **state)
{
    (void)state;
    bn_latest metrics[] = {{.key = "lr"}, {.key = "tokens"}, {.key = "val/loss"}};
    bn_wandb_config config = config_of("{}");
    config.metrics = metrics;
    config.metric_count = 3;
    config.objective = "val/loss";
    bn_error err = {0};
    bn_text out = {0};
    assert_int_equal(bn_wandb_config_json(&out, &config, &err), BN_OK);
    assert_non_null(strstr(out.data, "{\"value\":{\"t\":{\"13\":\"linux-x86_64\"},\"m\":["
                                     "{\"1\":\"_runtime\",\"6\":[3],\"7\":[6]},"
                                     "{\"1\":\"tokens\",\"6\":[3],\"7\":[7]},"
                                     "{\"1\":\"lr\",\"6\":[1,3],\"7\":[7]},"
                                     "{\"1\":\"val/loss\",\"5\":2,\"6\":[1,3],\"7\":[7],\"8\":1}],"
                                     "\"e\":{\"k\":{}}}}"));
    bn_text_release(&out);
}

static void test_yaml_has_one_value_a_top_name(void **state)
{
    (void)state;
    bn_wandb_config config = config_of("{\"optim.lr\":0.1,\"optim.name\":\"a: b\",\"seed\":1}");
    bn_error err = {0};
    bn_text out = {0};
    assert_int_equal(bn_wandb_config_yaml(&out, &config, &err), BN_OK);
    assert_string_equal(out.data, "\"optim\":\n    value: {\"lr\":0.1,\"name\":\"a: b\"}\n"
                                  "\"seed\":\n    value: 1\n");
    bn_text_release(&out);
}

static void test_upsert_carries_the_run(void **state)
{
    (void)state;
    bn_run run = {.key = "abcd1234", .name = "n \"1\"", .sweep_name = "lr", .host = "box"};
    bn_wandb_upsert upsert = {.run = &run,
                              .id = "",
                              .entity = "",
                              .project = "p",
                              .tags = {"ternary", "lr"},
                              .tag_count = 2,
                              .job_type = "train",
                              .config_json = "{\"a\":{\"value\":NaN}}"};
    bn_text out = {0};
    bn_wandb_upsert_body(&out, &upsert);
    json_t *body = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(body);
    json_t *variables = json_object_get(body, "variables");
    assert_string_equal(json_string_value(json_object_get(body, "operationName")), "UpsertBucket");
    assert_string_equal(json_string_value(json_object_get(variables, "name")), "abcd1234");
    assert_string_equal(json_string_value(json_object_get(variables, "displayName")), "n \"1\"");
    assert_string_equal(json_string_value(json_object_get(variables, "groupName")), "lr");
    assert_string_equal(json_string_value(json_object_get(variables, "config")),
                        "{\"a\":{\"value\":NaN}}");
    assert_true(json_is_null(json_object_get(variables, "entity")));
    assert_int_equal(json_array_size(json_object_get(variables, "tags")), 2);
    assert_int_equal(json_object_size(variables), 19);
    json_decref(body);
    bn_text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history_line_has_wandbs_keys_and_bare_words),
        cmocka_unit_test(test_step_that_does_not_rise_gets_the_next_free_one),
        cmocka_unit_test(test_metric_named_step_stays_what_it_is),
        cmocka_unit_test(test_metrics_cannot_take_wandbs_own_names),
        cmocka_unit_test(test_event_line_speaks_of_the_machine_in_wandbs_units),
        cmocka_unit_test(test_summary_has_last_best_and_runtime),
        cmocka_unit_test(test_log_line_is_stamped_and_marked),
        cmocka_unit_test(test_progress_bar_leaves_its_last_form),
        cmocka_unit_test(test_endless_log_line_is_cut),
        cmocka_unit_test(test_dotted_knobs_are_nested),
        cmocka_unit_test(test_knob_under_another_keeps_its_whole_name),
        cmocka_unit_test(test_odd_names_stay_names),
        cmocka_unit_test(test_config_that_is_no_object_is_refused),
        cmocka_unit_test(test_metrics_are_defined_with_axis_goal_and_summary),
        cmocka_unit_test(test_yaml_has_one_value_a_top_name),
        cmocka_unit_test(test_upsert_carries_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
