#include "runner/cli/print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"

static const struct {
    const char *metric;
    bn_goal goal;
} GOALS[] = {
    {"train/loss", BN_GOAL_MINIMIZE},   {"val/loss", BN_GOAL_MINIMIZE},
    {"val/ppl", BN_GOAL_MINIMIZE},      {"val/bpb", BN_GOAL_MINIMIZE},
    {"tokens_per_s", BN_GOAL_MAXIMIZE}, {"step_ms", BN_GOAL_MINIMIZE},
    {"mfu", BN_GOAL_MAXIMIZE},
};

bn_status bn_print_text(const bn_text *text, bn_error *err)
{
    if (text->failed) return bn_fail(err, BN_ENOMEM, "output: out of memory");
    if (text->length && fwrite(text->data, 1, text->length, stdout) != text->length) {
        return bn_fail_errno(err, "write to stdout");
    }
    return fflush(stdout) == 0 ? BN_OK : bn_fail_errno(err, "write to stdout");
}

bn_json bn_print_begin(bn_text *text)
{
    bn_json json = {.text = text, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    return json;
}

void bn_print_time(bn_json *json, const char *key, double wall_s)
{
    char text[BN_CLOCK_TEXT_MAX];
    bn_json_key(json, key);
    bn_json_string(json, *bn_clock_text(text, wall_s) ? text : NULL);
}

bn_goal bn_print_goal(const bn_sweep *sweep, const char *metric)
{
    if (sweep && strcmp(sweep->metric, metric) == 0) {
        return sweep->maximize ? BN_GOAL_MAXIMIZE : BN_GOAL_MINIMIZE;
    }
    for (size_t i = 0; i < sizeof GOALS / sizeof GOALS[0]; i++) {
        if (strcmp(GOALS[i].metric, metric) == 0) return GOALS[i].goal;
    }
    return BN_GOAL_NONE;
}

static void print_best(bn_json *json, const bn_print_run *what)
{
    bn_json_key(json, "best");
    bn_json_object(json);
    for (size_t i = 0; i < what->count; i++) {
        const bn_latest *latest = &what->latest[i];
        bn_goal goal = bn_print_goal(what->sweep, latest->key);
        if (goal == BN_GOAL_NONE) continue;
        bn_json_key(json, latest->key);
        bn_json_real(json, goal == BN_GOAL_MAXIMIZE ? latest->max : latest->min);
    }
    bn_json_end_object(json);
}

void bn_print_run_members(bn_json *json, const bn_print_run *what)
{
    const bn_run *run = what->run;
    bn_json_key(json, "id");
    bn_json_string(json, run->key);
    bn_json_key(json, "name");
    bn_json_string(json, run->name);
    bn_json_key(json, "sweep");
    bn_json_string(json, run->sweep_name);
    bn_json_key(json, "state");
    bn_json_string(json, bn_run_state_name(run->state));
    bn_json_key(json, "reason");
    bn_json_string(json, run->reason);
    bn_json_key(json, "attempt");
    bn_json_int(json, run->attempt);
    bn_json_key(json, "config");
    bn_json_raw(json, what->config);
    bn_json_key(json, "latest");
    bn_json_object(json);
    for (size_t i = 0; i < what->count; i++) {
        bn_json_key(json, what->latest[i].key);
        bn_json_real(json, what->latest[i].last);
    }
    bn_json_end_object(json);
    print_best(json, what);
    bn_print_time(json, "created", run->created_s);
    bn_json_key(json, "duration_s");
    bn_json_real(json, what->duration_s);
}
