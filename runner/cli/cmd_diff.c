/* cmd_diff.c - bnexp diff A B: what two runs were told differently, and what came of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"
#include "runner/cli/table.h"
#include "runner/cli/words.h"

typedef struct side {
    bn_run run;
    bn_param *params;
    bn_latest *latest;
    size_t param_count, latest_count;
} side;

/* A row of either table: both lists are sorted by name, so they are walked like a merge. */
typedef struct pair {
    const char *name;
    const void *a, *b; /* NULL: that side has none */
} pair;

static bn_status load(bn_store *store, const char *name, side *out, bn_error *err)
{
    bn_status status = bn_run_find(store, name, &out->run, err);
    if (status == BN_OK) {
        status = bn_run_params(store, out->run.id, &out->params, &out->param_count, err);
    }
    if (status == BN_OK) {
        status = bn_history_latest(store, out->run.id, &out->latest, &out->latest_count, err);
    }
    return status;
}

static pair next_pair(const char *a_name, const void *a, const char *b_name, const void *b)
{
    int order = !a ? 1 : !b ? -1 : strcmp(a_name, b_name);
    return (pair){order <= 0 ? a_name : b_name, order <= 0 ? a : NULL, order >= 0 ? b : NULL};
}

static void json_value(bn_json *json, const char *key, const bn_param *param)
{
    bn_json_key(json, key);
    if (param) bn_json_raw(json, param->value);
    if (!param) bn_json_string(json, NULL);
}

static void diff_knobs(const side *sides, bn_table *table, bn_json *json)
{
    size_t i = 0, k = 0;
    while (i < sides[0].param_count || k < sides[1].param_count) {
        const bn_param *a = i < sides[0].param_count ? &sides[0].params[i] : NULL;
        const bn_param *b = k < sides[1].param_count ? &sides[1].params[k] : NULL;
        pair both = next_pair(a ? a->name : NULL, a, b ? b->name : NULL, b);
        a = both.a;
        b = both.b;
        i += a != NULL;
        k += b != NULL;
        if (a && b && strcmp(a->value, b->value) == 0) continue;
        bn_table_cell(table, both.name);
        bn_table_cell(table, a ? a->value : "-");
        bn_table_cell(table, b ? b->value : "-");
        bn_table_cell(table, "");
        bn_json_object(json);
        bn_json_key(json, "name");
        bn_json_string(json, both.name);
        json_value(json, "a", a);
        json_value(json, "b", b);
        bn_json_end_object(json);
    }
}

static void diff_metrics(const side *sides, bn_table *table, bn_json *json)
{
    size_t i = 0, k = 0;
    char words[BN_WORDS_MAX];
    while (i < sides[0].latest_count || k < sides[1].latest_count) {
        const bn_latest *a = i < sides[0].latest_count ? &sides[0].latest[i] : NULL;
        const bn_latest *b = k < sides[1].latest_count ? &sides[1].latest[k] : NULL;
        pair both = next_pair(a ? a->key : NULL, a, b ? b->key : NULL, b);
        a = both.a;
        b = both.b;
        i += a != NULL;
        k += b != NULL;
        double numbers[2] = {a ? a->last : (double)NAN, b ? b->last : (double)NAN};
        double difference = numbers[1] - numbers[0];
        bn_table_cell(table, both.name);
        bn_table_cell(table, a ? bn_words_number(words, numbers[0]) : "-");
        bn_table_cell(table, b ? bn_words_number(words, numbers[1]) : "-");
        bn_table_cellf(table, isfinite(difference) ? "%+.6g" : "-", difference);
        bn_json_object(json);
        bn_json_key(json, "name");
        bn_json_string(json, both.name);
        bn_json_key(json, "a");
        bn_json_real(json, numbers[0]);
        bn_json_key(json, "b");
        bn_json_real(json, numbers[1]);
        bn_json_end_object(json);
    }
}

static bn_status diff(const side *sides, bool as_json, bn_error *err)
{
    bn_text out = {0};
    bn_table table = {0};
    bn_json json = bn_print_begin(&out);
    bn_table_column(&table, "", false);
    bn_table_column(&table, sides[0].run.name, true);
    bn_table_column(&table, sides[1].run.name, true);
    bn_table_column(&table, "difference", true);
    bn_json_key(&json, "a");
    bn_json_string(&json, sides[0].run.key);
    bn_json_key(&json, "b");
    bn_json_string(&json, sides[1].run.key);
    bn_json_key(&json, "knobs");
    bn_json_array(&json);
    diff_knobs(sides, &table, &json);
    bn_json_end_array(&json);
    bn_json_key(&json, "metrics");
    bn_json_array(&json);
    diff_metrics(sides, &table, &json);
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(&out, "\n");
    bn_status status = as_json ? bn_print_text(&out, err) : bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    bn_text_release(&out);
    return status;
}

int bn_cmd_diff(int argc, char **argv)
{
    const char *home = NULL;
    bool json = false, help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--json", 0, BN_OPTION_FLAG, &json, NULL, "JSON instead of a table"},
    };
    const bn_options options = {
        .usage = "bnexp diff RUN RUN [options]",
        .about = "Shows the knobs in which two runs differ, and the last numbers of both.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 2,
        .arguments_max = 2,
    };
    bn_option_list arguments;
    bn_store *store = NULL;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) {
        side sides[2] = {0};
        status = bn_store_open(&store, bn_command_home(home), BN_STORE_READ, &err);
        for (int i = 0; status == BN_OK && i < 2; i++) {
            status = load(store, arguments.items[i], &sides[i], &err);
        }
        if (status == BN_OK) status = diff(sides, json, &err);
        for (int i = 0; i < 2; i++) {
            free(sides[i].params);
            free(sides[i].latest);
        }
        bn_store_close(store);
    }
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
