#include "runner/cli/sweep_plan_print.h"

#include <math.h>
#include <stdlib.h>

#include "runner/cli/estimate.h"
#include "runner/cli/words.h"
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
        (void)fprintf(out, ", %d at a time with %d thread%s each, %s %s", how->jobs, how->threads,
                      how->threads == 1 ? "" : "s", spec->goal, spec->metric);
        if (!isnan(spec->target)) (void)fprintf(out, " until one has %.12g", spec->target);
        (void)fprintf(out, "\n");
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

/* Runs that overlap take as long as the longest of them at least; NaN: not known. */
static double time_of(const bn_estimate_sum *sum, int jobs)
{
    return isnan(sum->run_s) ? sum->run_s : fmax(sum->run_s / jobs, sum->longest_s);
}

static void estimate_json(const bn_estimate_sum *sum, int jobs, bn_json *json)
{
    bn_json_key(json, "tokens");
    bn_json_int(json, sum->tokens);
    bn_json_key(json, "estimate");
    bn_json_object(json);
    bn_json_key(json, "from_runs");
    bn_json_int(json, sum->from);
    bn_json_key(json, "distant");
    bn_json_bool(json, sum->distant);
    bn_json_key(json, "time_s");
    bn_json_real(json, time_of(sum, jobs));
    bn_json_key(json, "disk_bytes");
    bn_json_real(json, sum->disk_bytes);
    bn_json_end_object(json);
}

/* What it will take when all is done: `of` says of how many runs. */
static void estimate_lines(const bn_estimate_sum *sum, int jobs, const char *of, FILE *out)
{
    char time[BN_WORDS_MAX], disk[BN_WORDS_MAX], tokens[BN_WORDS_MAX];
    if (sum->tokens > 0) {
        (void)fprintf(out, "%s tokens in %s\n", bn_words_count(tokens, (double)sum->tokens), of);
    }
    if (sum->from == 0) {
        (void)fprintf(out, "no finished runs to estimate time and disk from\n");
        return;
    }
    (void)fprintf(
        out, "about %s and %s of disk for %s, estimated from %lld finished run%s%s\n",
        bn_words_duration(time, time_of(sum, jobs)),
        isnan(sum->disk_bytes) ? "an unknown amount" : bn_words_bytes(disk, sum->disk_bytes), of,
        (long long)sum->from, sum->from == 1 ? "" : "s", sum->distant ? ", little like these" : "");
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

typedef struct printer {
    FILE *out;
    const bn_spec *spec;
    const bn_plan_print *how;
    bn_plan *plan;
    bn_estimate *estimate;
    bn_json json;
    int64_t count; /* of runs; -1: no end */
    bool learns;
    int64_t shown;
    bn_planned run;
} printer;

/* Every run of the plan; where it has no end, as many as are shown. */
static bn_status print_runs(printer *p, bn_error *err)
{
    const bn_lessons none = {.count = 0};
    int64_t end = p->count < 0 ? LINES_MAX : p->count;
    for (; !p->learns && p->shown < end; p->shown++) {
        bn_status status = bn_plan_at(p->plan, p->shown, none, &p->run, err);
        if (status == BN_ENOENT) break;
        if (status != BN_OK) return status;
        if (p->how->json) {
            run_json(p->spec, &p->run, &p->json);
        } else if (p->shown < LINES_MAX) {
            run_line(p->spec, &p->run, p->out);
        }
        bn_estimate_add(p->estimate, &p->run, 1);
    }
    *err = (bn_error){0};
    return BN_OK;
}

/* Of what learns as it goes the first run is known: the others are taken to be like it. */
static bn_status foresee(printer *p, bn_error *err)
{
    const bn_lessons none = {.count = 0};
    if (!p->learns || p->count <= 0) return BN_OK;
    bn_status status = bn_plan_at(p->plan, 0, none, &p->run, err);
    if (status == BN_OK) bn_estimate_add(p->estimate, &p->run, p->count);
    return status;
}

static void print_end(printer *p)
{
    bn_estimate_sum sum = bn_estimate_total(p->estimate);
    if (p->how->json) {
        bn_json_end_array(&p->json);
        estimate_json(&sum, p->how->jobs, &p->json);
        bn_json_end_object(&p->json);
        (void)fprintf(p->out, "%s\n", p->json.text->data);
        return;
    }
    if (p->shown > LINES_MAX) {
        (void)fprintf(p->out, "  ... and %lld more\n", (long long)(p->shown - LINES_MAX));
    }
    if (p->learns) (void)fprintf(p->out, "each run is chosen when those before it have ended\n");
    tally_lines(p->spec, p->plan, p->out);
    estimate_lines(&sum, p->how->jobs, p->count < 0 ? "the runs above" : "all", p->out);
}

bn_status bn_plan_print_to(FILE *out, const bn_spec *spec, const bn_plan_print *how, bn_error *err)
{
    bn_text text = {0};
    printer *p = calloc(1, sizeof *p);
    if (!p) return bn_fail(err, BN_ENOMEM, "no memory for a plan");
    p->out = out;
    p->spec = spec;
    p->how = how;
    p->json = (bn_json){.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_status status = bn_plan_open(&p->plan, spec, err);
    if (status == BN_OK) status = bn_estimate_open(&p->estimate, how->home, spec, err);
    if (status == BN_OK) {
        p->count = bn_plan_count(p->plan);
        p->learns = bn_plan_learns(p->plan);
        head(spec, how, p->count, out, &p->json);
        status = print_runs(p, err);
    }
    if (status == BN_OK) status = foresee(p, err);
    if (status == BN_OK) print_end(p);
    bn_text_release(&text);
    bn_planned_release(&p->run);
    bn_estimate_close(p->estimate);
    bn_plan_close(p->plan);
    free(p);
    return status;
}
