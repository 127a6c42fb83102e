#include "runner/cli/sweep_plan_print.h"

#include <string.h>

#include "runner/sweep_plan.h"

enum { LINES_MAX = 200 }; /* of the table for people */

static void run_json(const bn_spec *spec, const bn_planned *run, bn_json *json)
{
    bn_json_object(json);
    bn_json_key(json, "number");
    bn_json_int(json, run->number);
    bn_json_key(json, "name");
    bn_json_string(json, run->name);
    bn_json_key(json, "parameters");
    bn_json_object(json);
    for (int i = 0; i < run->point.count; i++) {
        if (run->point.values[i].kind == BN_SETTING_NONE) continue;
        bn_json_key(json, spec->space.params[i].name);
        bn_setting_json(&run->point.values[i], json);
    }
    bn_json_end_object(json);
    bn_json_key(json, "config");
    bn_json_raw(json, run->config_json.data);
    bn_json_key(json, "config_hash");
    bn_json_string(json, run->config_hash);
    bn_json_end_object(json);
}

static void run_line(const bn_spec *spec, const bn_planned *run, FILE *out)
{
    (void)fprintf(out, "%5lld  %-40s", (long long)run->number + 1, run->name);
    for (int i = 0; i < run->point.count; i++) {
        if (run->point.values[i].kind == BN_SETTING_NONE) continue;
        (void)fprintf(out, "  %s=%s", spec->space.params[i].name, run->point.values[i].text);
    }
    if (spec->replicates > 1) (void)fprintf(out, "  replicate=%d", run->replicate);
    (void)fprintf(out, "\n");
}

static void head(const bn_spec *spec, const bn_plan_print *how, int64_t count, FILE *out,
                 bn_json *json)
{
    if (!how->json) {
        (void)fprintf(out, "sweep '%s' (%s): ", spec->name, spec->method);
        if (count < 0) {
            (void)fprintf(out, "no end");
        } else {
            (void)fprintf(out, "%lld run%s", (long long)count, count == 1 ? "" : "s");
        }
        (void)fprintf(out, ", %d at a time with %d thread%s each, %s %s\n", how->jobs, how->threads,
                      how->threads == 1 ? "" : "s", spec->goal, spec->metric);
        return;
    }
    bn_json_object(json);
    bn_json_key(json, "schema_version");
    bn_json_int(json, 1);
    bn_json_key(json, "sweep");
    bn_json_string(json, spec->name);
    bn_json_key(json, "method");
    bn_json_string(json, spec->method);
    bn_json_key(json, "planned");
    bn_json_int(json, count);
    bn_json_key(json, "jobs");
    bn_json_int(json, how->jobs);
    bn_json_key(json, "threads");
    bn_json_int(json, how->threads);
    bn_json_key(json, "runs");
    bn_json_array(json);
}

/* What the built-in engine will have seen when all is done. */
static void tokens_line(int64_t tokens, FILE *out)
{
    if (tokens > 0) (void)fprintf(out, "%.4g million tokens in all\n", (double)tokens / 1e6);
}

/* What was left out, and why. */
static void tally_lines(const bn_spec *spec, const bn_plan *plan, FILE *out)
{
    bn_search_tally tally;
    bn_plan_tally(plan, &tally);
    if (tally.rejected == 0 && tally.duplicates == 0) return;
    (void)fprintf(out, "%lld of %lld candidates rejected", (long long)tally.rejected,
                  (long long)tally.candidates);
    for (int i = 0; i < spec->space.constraint_count; i++) {
        if (tally.by_constraint[i] == 0) continue;
        (void)fprintf(out, ", %lld by '%s'", (long long)tally.by_constraint[i],
                      spec->space.constraints[i].name);
    }
    if (tally.undefined) {
        (void)fprintf(out, ", %lld for a derived value that is no number",
                      (long long)tally.undefined);
    }
    if (tally.duplicates) {
        (void)fprintf(out, "; %lld were there before", (long long)tally.duplicates);
    }
    (void)fprintf(out, "\n");
}

bn_status bn_plan_print_to(FILE *out, const bn_spec *spec, const bn_plan_print *how, bn_error *err)
{
    static bn_planned run; /* too large for the stack; used by one thread, once */
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_plan *plan = NULL;
    long long number = 0;
    int64_t tokens = 0;
    if (bn_plan_open(&plan, spec, err) != BN_OK) return err->status;
    int64_t count = bn_plan_count(plan);
    bool learns = bn_plan_learns(plan);
    head(spec, how, count, out, &json);
    bn_status status = BN_OK;
    for (; !learns && (count < 0 ? number < LINES_MAX : number < count); number++) {
        status = bn_plan_at(plan, number, (bn_lessons){.count = 0}, &run, err);
        if (status != BN_OK) break;
        if (how->json) {
            run_json(spec, &run, &json);
        } else if (number < LINES_MAX) {
            run_line(spec, &run, out);
        }
        if (spec->builtin) {
            const bn_config *c = &run.config;
            tokens += c->train.steps * c->train.batch * c->train.accum * c->model.context;
        }
    }
    if (status == BN_ENOENT) status = (*err = (bn_error){0}).status;
    if (status == BN_OK && how->json) {
        bn_json_end_array(&json);
        bn_json_end_object(&json);
        (void)fprintf(out, "%s\n", text.data);
    } else if (status == BN_OK) {
        if (number > LINES_MAX) (void)fprintf(out, "  ... and %lld more\n", number - LINES_MAX);
        if (learns) (void)fprintf(out, "each run is chosen when those before it have ended\n");
        tally_lines(spec, plan, out);
        tokens_line(tokens, out);
    }
    bn_text_release(&text);
    bn_planned_release(&run);
    bn_plan_close(plan);
    return status;
}
