/* sweep_open.c - a sweeper begins: its rows, those that are missing, and what runs already. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "runner/sweep_inside.h"
#include "runner/sweep_order.h"

static bn_status grow(bn_sweeper *s, size_t room, bn_error *err)
{
    if (room <= s->room) return BN_OK;
    bn_run *runs = realloc(s->runs, room * sizeof *runs);
    if (runs) s->runs = runs;
    bn_sweep_memo *memos = runs ? realloc(s->memos, room * sizeof *memos) : NULL;
    if (!memos) return bn_fail(err, BN_ENOMEM, "no memory for %zu runs", room);
    s->memos = memos;
    s->room = room;
    return BN_OK;
}

static bn_status push(bn_sweeper *s, const bn_run *run, bn_error *err)
{
    if (s->count == s->room && grow(s, s->room ? s->room * 2 : 256, err) != BN_OK) {
        return err->status;
    }
    s->runs[s->count] = *run;
    s->memos[s->count++] = (bn_sweep_memo){.not_before_s = -INFINITY};
    return BN_OK;
}

/* Numbers up to `number` that have no row any more: somebody removed the run, so it is not wanted.
 */
static bn_status push_removed(bn_sweeper *s, size_t number, bn_error *err)
{
    while (s->count < number) {
        bn_run gone = {.number = (int)s->count, .sweep = s->sweep.id, .state = BN_RUN_SKIPPED};
        gone.id = s->count ? s->runs[s->count - 1].id : 0; /* ids never fall */
        if (push(s, &gone, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

static bn_status keep(bn_sweeper *s, const bn_run *run, bn_error *err)
{
    if (push_removed(s, (size_t)run->number, err) != BN_OK) return err->status;
    if (push(s, run, err) != BN_OK) return err->status;
    bn_plan_know(s->plan, run);
    if (run->state == BN_RUN_FINISHED) {
        s->finished++;
        s->finished_s += run->duration_s;
    }
    return BN_OK;
}

bn_status bn_sweeper_load(bn_sweeper *s, bn_error *err)
{
    bn_run *all = NULL;
    size_t count = 0;
    bn_status status = bn_run_list(s->options.store, s->sweep.id, &all, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if (all[i].number >= (int)s->count) status = keep(s, &all[i], err);
    }
    free(all);
    return status;
}

static bn_status register_sweep(bn_sweeper *s, bn_error *err)
{
    const bn_spec *spec = s->options.spec;
    bn_sweep *row = &s->sweep;
    (void)snprintf(row->name, sizeof row->name, "%s", spec->name);
    (void)snprintf(row->hash, sizeof row->hash, "%s", spec->hash);
    (void)snprintf(row->method, sizeof row->method, "%s", spec->method);
    (void)snprintf(row->metric, sizeof row->metric, "%s", spec->metric);
    row->maximize = spec->maximize;
    row->seed = spec->seed;
    row->planned = s->planned > 0 ? s->planned : 0;
    return bn_sweep_add(s->options.store, row, spec->source, &s->found, err);
}

/* The rows of a method that knows them all before the first run starts. */
static bn_status add_rows(bn_sweeper *s, bn_error *err)
{
    int64_t have = (int64_t)s->count, added = 0;
    bn_plan_range missing = {
        .store = s->options.store, .sweep = s->sweep.id, .first = have, .count = s->planned - have};
    if (bn_plan_learns(s->plan) || have >= s->planned) return BN_OK;
    bn_status status = bn_plan_add(s->plan, &missing, &added, err);
    if (status == BN_OK && have + added < s->planned) s->planned = have + added;
    if (status == BN_OK && s->sweep.planned != s->planned) {
        s->sweep.planned = s->planned;
        status = bn_sweep_set_planned(s->options.store, s->sweep.id, s->planned, err);
    }
    if (status == BN_OK) status = bn_sweeper_load(s, err);
    return status == BN_OK ? push_removed(s, (size_t)s->planned, err) : status;
}

/* Puts all runs that there are in the order in which they start. */
static bn_status arrange(bn_sweeper *s, bn_error *err)
{
    bn_classroom room = {.spec = s->options.spec,
                         .store = s->options.store,
                         .sweep = s->sweep.id,
                         .runs = s->runs,
                         .count = s->count};
    if (bn_plan_learns(s->plan)) return BN_OK;
    s->order = calloc(s->count + 1, sizeof *s->order);
    s->ranks = calloc(s->count + 1, sizeof *s->ranks);
    if (!s->order || !s->ranks) {
        return bn_fail(err, BN_ENOMEM, "no memory to order %zu runs", s->count);
    }
    bn_status status = bn_sweep_order(&room, s->order, err);
    for (size_t i = 0; status == BN_OK && i < s->count; i++) s->ranks[s->order[i]] = i;
    return status;
}

bn_status bn_sweeper_refresh(bn_sweeper *s, bn_error *err)
{
    bn_run *all = NULL;
    size_t count = 0;
    bn_status status = bn_run_list(s->options.store, s->sweep.id, &all, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if ((size_t)all[i].number < s->count) s->runs[all[i].number] = all[i];
    }
    s->cursor = 0;
    free(all);
    return status;
}

/* Runs of the whole home whose rows say running: ours are adopted, alive or dead. Of other sweeps
 * only the dead are, so that none says `running` for ever; the living may have a manager. */
static bn_status adopt_all(bn_sweeper *s, bn_error *err)
{
    bn_run *all = NULL;
    size_t count = 0;
    bool taken = false;
    bn_status status = bn_run_list(s->options.store, 0, &all, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        const bn_run *run = &all[i];
        if (run->state != BN_RUN_RUNNING) continue;
        bool ours = run->sweep == s->sweep.id;
        status = ours ? bn_fleet_adopt(s->fleet, run, &taken, err)
                      : bn_fleet_adopt_dead(s->fleet, run, bn_clock_wall_s(), err);
        if (status == BN_OK && ours && !taken) s->runs[run->number].state = BN_RUN_PENDING;
    }
    free(all);
    return status;
}

static bn_status open_fleet(bn_sweeper *s, bn_error *err)
{
    const bn_resources *resources = &s->options.spec->resources;
    bn_fleet_options fleet = {.store = s->options.store,
                              .home = s->options.home,
                              .launcher = s->options.launcher,
                              .slots = s->options.jobs,
                              .grace_s = resources->grace_s};
    s->start = (bn_start_options){
        .store = s->options.store,
        .home = s->options.home,
        .command = s->options.spec->builtin ? NULL : s->options.spec->command,
        .program = s->options.program,
        .threads = s->options.threads,
        .gpus = resources->gpus,
        .gpu_ids = s->options.gpu_ids,
        .gpu_count = s->options.gpu_count,
    };
    s->options.launcher.ops = NULL; /* the fleet's from now on, even if it fails */
    return bn_fleet_open(&s->fleet, &fleet, err);
}

bn_status bn_sweeper_open(bn_sweeper **out, const bn_sweeper_options *options, bn_error *err)
{
    bn_sweeper *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        options->launcher.ops->close(options->launcher.self);
        return bn_fail(err, BN_ENOMEM, "no memory for a sweep");
    }
    s->options = *options;
    s->control_s = -INFINITY;
    s->aimed_records = -1;
    bn_status status = bn_plan_open(&s->plan, options->spec, err);
    if (status == BN_OK) s->planned = bn_plan_count(s->plan);
    if (status == BN_OK && s->planned < 0) {
        status = bn_fail(err, BN_EINVAL, "%s: method '%s' has no end; set 'run_cap'",
                         options->spec->file, options->spec->method);
    }
    if (status == BN_OK) {
        status = bn_run_stamp(options->store, options->origin, options->origin_count, err);
    }
    if (status == BN_OK) status = register_sweep(s, err);
    if (status == BN_OK) status = open_fleet(s, err);
    if (status == BN_OK) status = bn_sweeper_load(s, err);
    if (status == BN_OK) status = add_rows(s, err);
    if (status == BN_OK) status = arrange(s, err);
    if (status == BN_OK) status = adopt_all(s, err);
    if (status == BN_OK && s->sweep.state != BN_SWEEP_RUNNING) {
        s->sweep.state = BN_SWEEP_RUNNING; /* whoever calls us wants it to go on */
        status = bn_sweep_set_state(options->store, s->sweep.id, BN_SWEEP_RUNNING, err);
    }
    if (status == BN_OK) {
        *out = s;
    } else {
        bn_sweeper_close(s);
    }
    return status;
}

void bn_sweeper_close(bn_sweeper *s)
{
    if (!s) return;
    bn_fleet_close(s->fleet);
    if (s->options.launcher.ops) s->options.launcher.ops->close(s->options.launcher.self);
    bn_plan_close(s->plan);
    free(s->runs);
    free(s->memos);
    free(s->order);
    free(s->ranks);
    free(s);
}
