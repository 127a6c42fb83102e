/* A sweep's page at wandb: made once, found again after a crash, closed when the sweep is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/wandb_inside.h"

enum { VALUES_MAX = 64 }; /* of a parameter; more are a range */

/* In the description, so that a sweep that was made before a crash is found again. */
static void write_mark(char *out, size_t size, const bn_sweep *sweep)
{
    (void)snprintf(out, size, "bnexp sweep %s, %.16s", sweep->name, sweep->hash);
}

static const char *method_of(const bn_sweep *sweep)
{
    bool known = strcmp(sweep->method, "grid") == 0 || strcmp(sweep->method, "random") == 0;
    return known ? sweep->method : "custom";
}

static int by_name_and_value(const void *a, const void *b)
{
    const bn_param *left = &((const bn_run_param *)a)->param;
    const bn_param *right = &((const bn_run_param *)b)->param;
    int order = strcmp(left->name, right->name);
    if (order) return order;
    char *end_left = NULL;
    char *end_right = NULL;
    double l = strtod(left->value, &end_left);
    double r = strtod(right->value, &end_right);
    bool numbers = end_left != left->value && end_right != right->value;
    if (numbers && l != r) return l < r ? -1 : 1;
    return strcmp(left->value, right->value);
}

/* params[0...count) are one parameter's values, in order: those that occur, or their range. */
static void add_values(bn_json *json, const bn_run_param *params, size_t count)
{
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        distinct += i == 0 || strcmp(params[i].param.value, params[i - 1].param.value) != 0;
    }
    bn_json_key(json, params[0].param.name);
    bn_json_object(json);
    const char *first = params[0].param.value;
    if (distinct > VALUES_MAX && first[0] != '"' && first[0] != '[' && first[0] != '{') {
        bn_json_key(json, "min");
        bn_json_raw(json, first);
        bn_json_key(json, "max");
        bn_json_raw(json, params[count - 1].param.value);
    } else {
        bn_json_key(json, "values");
        bn_json_array(json);
        for (size_t i = 0; i < count; i++) {
            bool repeated = i > 0 && strcmp(params[i].param.value, params[i - 1].param.value) == 0;
            if (!repeated) bn_json_raw(json, params[i].param.value);
        }
        bn_json_end_array(json);
    }
    bn_json_end_object(json);
}

/* wandb's sweep file, as JSON, which is YAML. */
static bn_status describe(bn_wandb *w, bn_text *out, bn_error *err)
{
    bn_run_param *params = NULL;
    size_t count = 0;
    char mark[160];
    bn_status status = bn_run_varied(w->store, w->sweep.id, &params, &count, err);
    if (status != BN_OK) return status;
    if (count > 0) qsort(params, count, sizeof *params, by_name_and_value);
    write_mark(mark, sizeof mark, &w->sweep);
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_QUOTED};
    bn_json_object(&json);
    bn_json_key(&json, "name");
    bn_json_string(&json, w->sweep.name);
    bn_json_key(&json, "description");
    bn_json_string(&json, mark);
    bn_json_key(&json, "method");
    bn_json_string(&json, method_of(&w->sweep));
    if (w->sweep.metric[0]) {
        bn_json_key(&json, "metric");
        bn_json_object(&json);
        bn_json_key(&json, "name");
        bn_json_string(&json, w->sweep.metric);
        bn_json_key(&json, "goal");
        bn_json_string(&json, w->sweep.maximize ? "maximize" : "minimize");
        bn_json_end_object(&json);
    }
    bn_json_key(&json, "parameters");
    bn_json_object(&json);
    for (size_t first = 0; first < count;) {
        size_t last = first + 1;
        while (last < count && strcmp(params[first].param.name, params[last].param.name) == 0) {
            last++;
        }
        add_values(&json, params + first, last - first);
        first = last;
    }
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    free(params);
    return BN_OK;
}

/* wandb's words for where a sweep stands. */
static const char *state_of(const bn_sweep *sweep)
{
    switch (sweep->state) {
    case BN_SWEEP_RUNNING:
        return "RUNNING";
    case BN_SWEEP_PAUSED:
        return "PAUSED";
    case BN_SWEEP_STOPPED:
    case BN_SWEEP_FINISHED:
        return "FINISHED";
    case BN_SWEEP_CANCELED:
        return "CANCELED";
    }
    return "RUNNING";
}

static void take(bn_wandb_sweep_page *page, const json_t *node)
{
    const char *id = json_string_value(json_object_get(node, "id"));
    const char *name = json_string_value(json_object_get(node, "name"));
    (void)snprintf(page->id, sizeof page->id, "%s", id ? id : "");
    (void)snprintf(page->name, sizeof page->name, "%s", name ? name : "");
}

/* Did we make it before, and lost the answer? */
static bn_status find_there(bn_wandb *w, bn_wandb_sweep_page *page, bn_error *err)
{
    json_t *data = NULL;
    char mark[160];
    write_mark(mark, sizeof mark, &w->sweep);
    bn_text_clear(&w->body);
    bn_wandb_sweeps_body(&w->body, w->want.entity, w->want.project);
    bn_status status = bn_wandb_link_query(w->link, BN_REQUEST_QUERY, &w->body, &data, err);
    const json_t *project = json_object_get(data, "project");
    const json_t *edges = json_object_get(json_object_get(project, "sweeps"), "edges");
    for (size_t i = 0; i < json_array_size(edges); i++) {
        const json_t *node = json_object_get(json_array_get(edges, i), "node");
        const char *config = json_string_value(json_object_get(node, "config"));
        if (config && strstr(config, mark)) take(page, node);
    }
    json_decref(data);
    return status;
}

/* Makes the page, or tells it the sweep's state. */
static bn_status upsert(bn_wandb *w, bn_wandb_sweep_page *page, bn_error *err)
{
    bn_text config = {0};
    json_t *data = NULL;
    bn_status status = describe(w, &config, err);
    if (status == BN_OK) {
        bn_wandb_sweep request = {.id = page->id,
                                  .entity = w->want.entity,
                                  .project = w->want.project,
                                  .config = config.data,
                                  .name = w->sweep.name,
                                  .state = state_of(&w->sweep)};
        bn_text_clear(&w->body);
        bn_wandb_sweep_body(&w->body, &request);
        if (config.failed) w->body.failed = true;
        bn_request_kind kind = page->id[0] ? BN_REQUEST_UPSERT : BN_REQUEST_CREATE;
        status = bn_wandb_link_query(w->link, kind, &w->body, &data, err);
    }
    if (status == BN_OK) {
        take(page, json_object_get(json_object_get(data, "upsertSweep"), "sweep"));
    }
    json_decref(data);
    bn_text_release(&config);
    return status;
}

bn_status bn_wandb_join_sweep(bn_wandb *w, bn_error *err)
{
    bn_wandb_sweep_page *page = &w->page;
    if (w->memo.sweep.name[0] || !w->options.sweeps) {
        if (w->memo.sweep.name[0]) w->page = w->memo.sweep;
        w->page.sweep = w->sweep.id;
        return BN_OK;
    }
    if (page->sweep != w->sweep.id) {
        bn_wandb_sweep_page found = {0};
        bn_status status = find_there(w, &found, err);
        /* A project that is not there yet has no sweeps: the server may say so by refusing. */
        if (status == BN_EINVAL) *err = (bn_error){0};
        if (status != BN_OK && status != BN_EINVAL) return status;
        status = found.id[0] ? BN_OK : upsert(w, &found, err);
        /* Without a page of its own the sweep is still a group of runs. */
        if (status == BN_EINVAL) *err = (bn_error){0};
        if (status != BN_OK && status != BN_EINVAL) return status;
        found.sweep = w->sweep.id;
        *page = found;
    }
    w->memo.sweep = *page;
    return BN_OK;
}

bn_status bn_wandb_close_sweep(bn_wandb *w, bn_error *err)
{
    if (!w->page.sweep || !w->page.id[0]) return BN_OK;
    bn_status status = bn_sweep_get(w->store, w->page.sweep, &w->sweep, err);
    if (status != BN_OK || w->sweep.state == BN_SWEEP_RUNNING) return status;
    return upsert(w, &w->page, err);
}
