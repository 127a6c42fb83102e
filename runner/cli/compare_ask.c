#include "runner/cli/compare_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/text.h"
#include "runner/search/expr.h"
#include "runner/toml.h"
#include "store/run.h"

/* A formula over the runs of a sweep. */
typedef struct question {
    bn_expr *where;
    bn_run_param *rows[BN_EXPR_NAMES_MAX]; /* of each name that it speaks of, by run */
    size_t counts[BN_EXPR_NAMES_MAX];
    bool tells[BN_EXPR_NAMES_MAX]; /* the name's values are part of a side */
    int64_t run;                   /* at hand */
} question;

static const bn_run_param *value_of(const question *q, size_t name)
{
    for (size_t i = 0; i < q->counts[name]; i++) {
        if (q->rows[name][i].run == q->run) return &q->rows[name][i];
    }
    return NULL;
}

/* "\"ternary\"" -> ternary. */
static void unquote(char *out, size_t size, const char *json)
{
    size_t length = strlen(json), quotes = length >= 2 && json[0] == '"' ? 1 : 0;
    (void)snprintf(out, size, "%.*s", (int)(length - 2 * quotes), json + quotes);
}

static bool look_up(const void *self, const char *name, bn_setting *out)
{
    const question *q = self;
    char words[BN_VALUE_TEXT_MAX];
    for (size_t i = 0; i < bn_expr_name_count(q->where); i++) {
        if (strcmp(bn_expr_name(q->where, i), name) != 0) continue;
        const bn_run_param *row = value_of(q, i);
        if (!row) return false;
        unquote(words, sizeof words, row->param.value);
        bool text = row->param.value[0] == '"';
        *out = text ? bn_setting_of_text(words) : bn_setting_parse(words);
        return true;
    }
    return false;
}

static bn_status read_rows(question *q, bn_store *store, int64_t sweep, bn_error *err)
{
    bool any = false;
    size_t names = bn_expr_name_count(q->where);
    for (size_t i = 0; i < names; i++) {
        bn_status status =
            bn_run_knob(store, sweep, bn_expr_name(q->where, i), &q->rows[i], &q->counts[i], err);
        if (status != BN_OK) return status;
        for (size_t k = 0; k < q->counts[i] && !q->tells[i]; k++) {
            q->tells[i] = q->rows[i][k].param.varied;
        }
        any = any || q->tells[i];
    }
    if (!any && names > 0) q->tells[0] = true; /* only the baseline has been asked for */
    return BN_OK;
}

/* The side of the run at hand, as bn_comparison says it. */
static void side_of(const question *q, char side[BN_SIDE_MAX])
{
    bn_text text;
    bn_text_fixed(&text, side, BN_SIDE_MAX);
    side[0] = '\0';
    for (size_t i = 0; i < bn_expr_name_count(q->where); i++) {
        char words[BN_VALUE_TEXT_MAX] = "-";
        const bn_run_param *row = value_of(q, i);
        if (!q->tells[i]) continue;
        if (row) unquote(words, sizeof words, row->param.value);
        bn_text_addf(&text, "%s%s", text.length ? " " : "", words);
    }
}

static bn_status find_side(question *q, const bn_run *runs, size_t count, bn_compare_ask *out,
                           bn_error *err)
{
    char side[BN_SIDE_MAX];
    for (size_t i = 0; i < count; i++) {
        q->run = runs[i].id;
        if (!bn_expr_true(q->where, look_up, q)) continue;
        side_of(q, side);
        if (*out->baseline && strcmp(out->baseline, side) != 0) {
            return bn_fail(err, BN_EINVAL,
                           "[baseline] where = '%s' is true for several sides of %s, %s and %s; "
                           "give --by and --baseline",
                           bn_expr_text(q->where), out->by, out->baseline, side);
        }
        (void)snprintf(out->baseline, sizeof out->baseline, "%s", side);
    }
    return BN_OK;
}

static bn_status read_where(const char *formula, bn_store *store, int64_t sweep,
                            bn_compare_ask *out, bn_error *err)
{
    question q = {0};
    bn_run *runs = NULL;
    size_t count = 0;
    bn_text by;
    bn_text_fixed(&by, out->by, sizeof out->by);
    bn_status status = bn_expr_compile(&q.where, formula, err);
    if (status == BN_OK) status = read_rows(&q, store, sweep, err);
    if (status == BN_OK) status = bn_run_list(store, sweep, &runs, &count, err);
    for (size_t i = 0; status == BN_OK && i < bn_expr_name_count(q.where); i++) {
        if (q.tells[i]) bn_text_addf(&by, "%s%s", by.length ? "," : "", bn_expr_name(q.where, i));
    }
    if (status == BN_OK) status = find_side(&q, runs, count, out, err);
    out->has_where = status == BN_OK && *out->by;
    for (size_t i = 0; i < BN_EXPR_NAMES_MAX; i++) free(q.rows[i]);
    free(runs);
    bn_expr_free(q.where);
    return status;
}

/* What was not varied every pair shares anyway. */
static bn_status read_pair(const bn_toml_node *list, bn_store *store, int64_t sweep,
                           bn_compare_ask *out, bn_error *err)
{
    bn_run_param *varied = NULL;
    size_t count = 0;
    bn_text pair;
    bn_text_fixed(&pair, out->pair, sizeof out->pair);
    bn_status status = bn_run_varied(store, sweep, &varied, &count, err);
    for (size_t i = 0; status == BN_OK && i < bn_toml_count(list); i++) {
        const bn_toml_node *item = bn_toml_at(list, i);
        bool known = false;
        for (size_t k = 0; bn_toml_kind_of(item) == BN_TOML_TEXT && k < count && !known; k++) {
            known = strcmp(varied[k].param.name, bn_toml_text(item)) == 0;
        }
        if (known) bn_text_addf(&pair, "%s%s", pair.length ? "," : "", bn_toml_text(item));
    }
    out->has_pair = status == BN_OK;
    free(varied);
    return status;
}

bn_status bn_compare_ask_read(bn_compare_ask *out, bn_store *store, const bn_sweep *sweep,
                              bn_error *err)
{
    char *text = NULL;
    bn_toml *document = NULL;
    bn_error unread = {0};
    *out = (bn_compare_ask){0};
    bn_status status = bn_sweep_spec(store, sweep->id, &text, err);
    if (status != BN_OK) return status;
    /* Sweeps that were not read from a file (another program's rows) have no TOML. */
    bool parsed = bn_toml_parse(&document, text, strlen(text), sweep->name, &unread) == BN_OK;
    const bn_toml_node *section = parsed ? bn_toml_get(bn_toml_root(document), "baseline") : NULL;
    const bn_toml_node *where = section ? bn_toml_get(section, "where") : NULL;
    const bn_toml_node *pair = section ? bn_toml_get(section, "pair_on") : NULL;
    if (where && bn_toml_kind_of(where) == BN_TOML_TEXT) {
        status = read_where(bn_toml_text(where), store, sweep->id, out, err);
    }
    if (status == BN_OK && pair) status = read_pair(pair, store, sweep->id, out, err);
    bn_toml_close(document);
    free(text);
    return status;
}

bn_status bn_compare_ask_float(const char **out, bn_store *store, int64_t sweep, bn_error *err)
{
    static const char *const floats[] = {"fp16", "bf16", "fp32"};
    bn_run *runs = NULL;
    size_t count = 0;
    bn_status status = bn_run_list(store, sweep, &runs, &count, err);
    *out = NULL;
    for (size_t f = 0; f < sizeof floats / sizeof floats[0] && !*out; f++) {
        for (size_t i = 0; i < count && !*out; i++) {
            bool has = runs[i].state == BN_RUN_FINISHED || runs[i].state == BN_RUN_SKIPPED;
            if (has && strcmp(runs[i].variant, floats[f]) == 0) *out = floats[f];
        }
    }
    if (!*out) *out = floats[0];
    free(runs);
    return status;
}
