#include "runner/sweep_lessons.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runner/search/expr.h"
#include "store/history.h"

/* The place of a run in the rows, by id; ids rise with numbers. -1: not there. */
static ptrdiff_t place_of(const bn_classroom *room, int64_t id)
{
    size_t low = 0, high = room->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (room->runs[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < room->count && room->runs[low].id == id ? (ptrdiff_t)low : -1;
}

/* The points of `stride`-th runs, from what their rows say was varied. */
static bn_status read_points(const bn_classroom *room, size_t stride, bn_trial *out, bn_error *err)
{
    const bn_space *space = &room->spec->space;
    bn_run_param *params = NULL;
    size_t count = 0;
    bn_status status = bn_run_varied(room->store, room->sweep, &params, &count, err);
    for (size_t c = 0; c * stride < room->count; c++) {
        out[c].point.count = space->count;
        for (int i = 0; i < space->count; i++) {
            const bn_parameter *p = &space->params[i];
            if (p->value_count == 1) out[c].point.values[i] = p->values[0];
        }
    }
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        ptrdiff_t place = place_of(room, params[i].run);
        if (place < 0 || (size_t)place % stride != 0) continue;
        (void)bn_point_set_json(space, &out[(size_t)place / stride].point, params[i].param.name,
                                params[i].param.value);
    }
    for (size_t c = 0; c * stride < room->count; c++) {
        (void)bn_space_complete(space, &out[c].point);
    }
    free(params);
    return status;
}

/* Mean and variance grow value by value (Welford 1962). */
static void add_outcome(bn_trial *trial, double value, int64_t step)
{
    double n = ++trial->replicates;
    double mean = isnan(trial->value) ? 0 : trial->value, off = value - mean;
    double squares = n > 2 ? trial->variance * (n - 2) : 0;
    trial->value = mean + off / n;
    squares += off * (value - trial->value);
    trial->variance = n > 1 ? squares / (n - 1) : 0;
    if (step > trial->last_step) trial->last_step = step;
}

/* What became of a configuration, by its replicates' states. */
static void add_state(bn_trial *trial, bn_run_state state)
{
    if (!bn_run_state_final(state)) {
        trial->state = BN_TRIAL_RUNNING;
    } else if (trial->state == BN_TRIAL_RUNNING) {
        return;
    } else if (state == BN_RUN_FINISHED) {
        trial->state = BN_TRIAL_COMPLETE;
    } else if (state == BN_RUN_PRUNED && trial->state != BN_TRIAL_COMPLETE) {
        trial->state = BN_TRIAL_PRUNED;
    }
}

/* What a run that was not finished counts as: a pruned one as its last number, one that failed as
 * metric.impute says. NaN: as nothing, the search then takes it for the worst. */
static double counts_as(const bn_spec *spec, bn_run_state state, const bn_latest *latest)
{
    double best = spec->maximize ? -latest->max : latest->min;
    double last = spec->maximize ? -latest->last : latest->last;
    if (state == BN_RUN_PRUNED) return last;
    if (state == BN_RUN_SKIPPED || !bn_run_state_final(state)) return (double)NAN;
    if (strcmp(spec->impute, "best") == 0) return best;
    return strcmp(spec->impute, "latest") == 0 ? last : (double)NAN;
}

static bn_status read_outcomes(const bn_classroom *room, bn_trial *trials, bn_error *err)
{
    size_t stride = (size_t)room->spec->replicates, count = 0;
    bn_latest *latest = NULL;
    bn_status status =
        bn_history_latest_of(room->store, room->sweep, room->spec->metric, &latest, &count, err);
    for (size_t i = 0; i < room->count; i++) add_state(&trials[i / stride], room->runs[i].state);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        ptrdiff_t place = place_of(room, latest[i].run);
        if (place < 0) continue;
        bn_trial *trial = &trials[(size_t)place / stride];
        bn_run_state state = room->runs[place].state;
        bool finished = state == BN_RUN_FINISHED;
        double best = room->spec->maximize ? -latest[i].max : latest[i].min;
        double value = finished ? best : counts_as(room->spec, state, &latest[i]);
        /* Replicates that came to their end speak for those that did not. */
        bool heard = finished || trial->state == BN_TRIAL_PRUNED || trial->state == BN_TRIAL_FAILED;
        if (heard && isfinite(value)) add_outcome(trial, value, latest[i].last_step);
    }
    for (size_t c = 0; c * stride < room->count; c++) {
        bool imputed = trials[c].state == BN_TRIAL_FAILED && trials[c].replicates > 0;
        if (imputed) trials[c].state = BN_TRIAL_COMPLETE;
    }
    free(latest);
    return status;
}

bn_status bn_lessons_trials(const bn_classroom *room, bn_trial **out, size_t *count, bn_error *err)
{
    size_t stride = (size_t)room->spec->replicates;
    *count = (room->count + stride - 1) / stride;
    *out = calloc(*count + 1, sizeof **out);
    if (!*out) return bn_fail(err, BN_ENOMEM, "no memory for %zu trials", *count);
    for (size_t i = 0; i < *count; i++) {
        (*out)[i].state = BN_TRIAL_FAILED;
        (*out)[i].value = (double)NAN;
    }
    bn_status status = read_points(room, stride, *out, err);
    if (status == BN_OK) status = read_outcomes(room, *out, err);
    if (status == BN_OK) return BN_OK;
    free(*out);
    *out = NULL;
    return status;
}

bn_status bn_lessons_reached(const bn_classroom *room, bool *reached, bn_error *err)
{
    const bn_spec *spec = room->spec;
    bn_latest *latest = NULL;
    size_t count = 0;
    bn_status status =
        bn_history_latest_of(room->store, room->sweep, spec->metric, &latest, &count, err);
    *reached = false;
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        *reached = *reached ||
                   (spec->maximize ? latest[i].max >= spec->target : latest[i].min <= spec->target);
    }
    free(latest);
    return status;
}

/* Everything that a judgement is made from, and the memory of it. */
typedef struct hearing {
    bn_contender *contenders;
    bn_series *series;
    double *lasts;
    int64_t *steps;
} hearing;

static void release_hearing(hearing *h, size_t count)
{
    for (size_t i = 0; h->series && i < count; i++) bn_series_release(&h->series[i]);
    free(h->contenders);
    free(h->series);
    free(h->lasts);
    free(h->steps);
}

/* Runs that [early_terminate] protect = "..." is true for. */
static bn_status protect(const bn_classroom *room, bn_contender *contenders, bn_error *err)
{
    const char *text = room->spec->early.protect;
    bn_expr *expr = NULL;
    if (!*text) return BN_OK;
    bn_trial *points = calloc(room->count + 1, sizeof *points);
    if (!points) return bn_fail(err, BN_ENOMEM, "no memory for %zu points", room->count);
    bn_status status = bn_expr_compile(&expr, text, err);
    if (status == BN_OK) status = read_points(room, 1, points, err);
    for (size_t i = 0; status == BN_OK && i < room->count; i++) {
        bn_point_names names = {.space = &room->spec->space, .point = &points[i].point};
        contenders[i].protect = bn_expr_true(expr, bn_point_lookup, &names);
    }
    bn_expr_free(expr);
    free(points);
    return status;
}

/* Whole series where a rule compares them, else only the last number. */
static bn_status read_reports(const bn_classroom *room, bool whole, const hearing *h, bn_error *err)
{
    bn_latest *latest = NULL;
    size_t count = 0;
    const char *metric = room->spec->metric;
    bn_status status = bn_history_latest_of(room->store, room->sweep, metric, &latest, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        ptrdiff_t place = place_of(room, latest[i].run);
        if (place < 0) continue;
        bn_contender *c = &h->contenders[place];
        h->lasts[place] = latest[i].last;
        h->steps[place] = latest[i].last_step;
        *c = (bn_contender){.values = &h->lasts[place], .steps = &h->steps[place], .count = 1};
        if (!whole) continue;
        bn_series *series = &h->series[place];
        status = bn_history_series(room->store, latest[i].run, metric, series, err);
        *c = (bn_contender){.values = series->number,
                            .steps = series->step,
                            .wall_s = series->wall_s,
                            .count = series->count};
    }
    free(latest);
    return status;
}

bn_status bn_lessons_prune(const bn_classroom *room, bn_pruning **out, bn_error *err)
{
    size_t count = room->count;
    bn_pruner pruner = bn_spec_pruner(room->spec);
    hearing h = {.contenders = calloc(count + 1, sizeof *h.contenders),
                 .series = calloc(count + 1, sizeof *h.series),
                 .lasts = calloc(count + 1, sizeof *h.lasts),
                 .steps = calloc(count + 1, sizeof *h.steps)};
    *out = calloc(count + 1, sizeof **out);
    bn_status status = BN_OK;
    if (!*out || !h.contenders || !h.series || !h.lasts || !h.steps) {
        status = bn_fail(err, BN_ENOMEM, "no memory to judge %zu runs", count);
        goto done;
    }
    status = read_reports(room, *pruner.type != '\0', &h, err);
    if (status == BN_OK) status = protect(room, h.contenders, err);
    for (size_t i = 0; i < count; i++) {
        h.contenders[i].running = room->runs[i].state == BN_RUN_RUNNING;
        h.contenders[i].complete = room->runs[i].state == BN_RUN_FINISHED;
    }
    if (status == BN_OK) status = bn_pruner_judge(&pruner, h.contenders, count, *out, err);
done:
    release_hearing(&h, count);
    if (status == BN_OK) return BN_OK;
    free(*out);
    *out = NULL;
    return status;
}
