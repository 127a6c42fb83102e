#include "runner/sweep.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "runner/fleet/rundir.h"
#include "runner/sweep_plan.h"

static const double CONTROL_EVERY_S = 0.5; /* looks at what other commands wrote about the sweep */
static const double BACK_OFF_FIRST_S = 0.1, BACK_OFF_MAX_S = 60;

/* What only this process knows of a run. */
typedef struct memo {
    double not_before_s; /* [monotonic s] */
    int failures;        /* attempts that failed under this manager */
} memo;

struct bn_sweeper {
    bn_sweeper_options options;
    bn_start_options start;
    bn_sweep sweep;
    bn_plan *plan;
    bn_fleet *fleet;
    bn_run *runs; /* by number */
    memo *memos;
    size_t count, room;
    size_t cursor; /* no run below it can be started */
    int64_t planned, attempts;
    int64_t finished, failed_first; /* successes; failures before the first of them */
    double finished_s;              /* their durations, summed */
    double control_s;
    bool exhausted, draining, gave_up, found;
};

static bool startable(bn_run_state state)
{
    return state == BN_RUN_PENDING || state == BN_RUN_PREEMPTED;
}

static bn_status grow(bn_sweeper *s, size_t room, bn_error *err)
{
    if (room <= s->room) return BN_OK;
    bn_run *runs = realloc(s->runs, room * sizeof *runs);
    if (runs) s->runs = runs;
    memo *memos = runs ? realloc(s->memos, room * sizeof *memos) : NULL;
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
    s->memos[s->count++] = (memo){.not_before_s = -INFINITY};
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

/* Reads the rows from number s->count on. */
static bn_status load(bn_sweeper *s, bn_error *err)
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
    if (status == BN_OK) status = load(s, err);
    return status == BN_OK ? push_removed(s, (size_t)s->planned, err) : status;
}

/* Before the end: has somebody put runs back into the queue? */
static bn_status refresh(bn_sweeper *s, bn_error *err)
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
    return bn_fleet_open(&s->fleet, &fleet, err);
}

bn_status bn_sweeper_open(bn_sweeper **out, const bn_sweeper_options *options, bn_error *err)
{
    bn_sweeper *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return bn_fail(err, BN_ENOMEM, "no memory for a sweep");
    s->options = *options;
    s->control_s = -INFINITY;
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
    if (status == BN_OK) status = load(s, err);
    if (status == BN_OK) status = add_rows(s, err);
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
    bn_plan_close(s->plan);
    free(s->runs);
    free(s->memos);
    free(s);
}

/* "oom: killed for memory" and "timeout after 60 s" begin with the word that retry_on may name. */
static bool named(const bn_resources *r, const bn_verdict *v)
{
    if (r->retry_on_count == 0) return v->state == BN_RUN_CRASHED;
    for (int i = 0; i < r->retry_on_count; i++) {
        const char *word = r->retry_on[i];
        if (strcmp(word, bn_run_state_name(v->state)) == 0) return true;
        if (strncmp(word, v->reason, strlen(word)) == 0) return true;
    }
    return false;
}

static double back_off_s(int failures)
{
    double wait = BACK_OFF_FIRST_S * pow(2, failures - 1);
    return wait < BACK_OFF_MAX_S ? wait : BACK_OFF_MAX_S;
}

static void count_failure(bn_sweeper *s)
{
    int most = s->options.spec->resources.max_initial_failures;
    if (s->finished == 0) s->failed_first++;
    if (most > 0 && s->finished == 0 && s->failed_first >= most) s->gave_up = true;
}

/* An ended run of ours: into the table, and back into the queue where that is right. */
static bn_status settle(bn_sweeper *s, const bn_member *m, double mono_s, bn_error *err)
{
    const bn_resources *resources = &s->options.spec->resources;
    const bn_verdict *v = &m->verdict;
    bn_run *run = &s->runs[m->run.number];
    memo *note = &s->memos[m->run.number];
    run->state = v->state;
    run->attempt = m->run.attempt;
    if (v->state == BN_RUN_FINISHED) {
        s->finished++;
        s->finished_s += mono_s - m->since_s;
        return BN_OK;
    }
    if (v->state == BN_RUN_PREEMPTED && !s->draining) {
        note->not_before_s = mono_s + (m->ask == BN_ASK_NOTHING ? back_off_s(1) : 0);
    }
    if (startable(v->state)) {
        if ((size_t)run->number < s->cursor) s->cursor = (size_t)run->number;
        return BN_OK;
    }
    if (v->state != BN_RUN_FAILED && v->state != BN_RUN_CRASHED) return BN_OK;
    count_failure(s);
    if (note->failures >= resources->retries || !named(resources, v)) return BN_OK;
    note->failures++;
    note->not_before_s = mono_s + back_off_s(note->failures);
    bn_run_change again = {
        .from = v->state, .to = BN_RUN_PENDING, .reason = v->reason, .exit_code = -1};
    run->state = BN_RUN_PENDING;
    if ((size_t)run->number < s->cursor) s->cursor = (size_t)run->number;
    return bn_fleet_move(s->fleet, run->id, &again, err);
}

static bn_status settle_all(bn_sweeper *s, double mono_s, bn_error *err)
{
    for (size_t i = 0; i < bn_fleet_count(s->fleet); i++) {
        const bn_member *m = bn_fleet_at(s->fleet, i);
        if (m->phase != BN_PHASE_ENDED || m->settled || m->run.sweep != s->sweep.id) continue;
        bn_fleet_settled(s->fleet, m);
        if (settle(s, m, mono_s, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

/* What took too long, or has gone silent. */
static bn_status watch_times(bn_sweeper *s, double mono_s, bn_error *err)
{
    const bn_resources *r = &s->options.spec->resources;
    char why[64];
    for (size_t i = 0; i < bn_fleet_count(s->fleet); i++) {
        const bn_member *m = bn_fleet_at(s->fleet, i);
        if (m->phase != BN_PHASE_RUNNING || m->run.sweep != s->sweep.id) continue;
        bn_ask ask = BN_ASK_NOTHING;
        if (r->timeout_s > 0 && mono_s - m->since_s > r->timeout_s) {
            ask = BN_ASK_TIMEOUT;
            (void)snprintf(why, sizeof why, "longer than %.6g s", r->timeout_s);
        } else if (r->stall_timeout_s > 0 && mono_s - m->heard_s > r->stall_timeout_s) {
            ask = BN_ASK_STALL;
            (void)snprintf(why, sizeof why, "nothing heard for %.6g s", r->stall_timeout_s);
        }
        if (ask != BN_ASK_NOTHING && bn_fleet_ask(s->fleet, m, ask, why, err) != BN_OK) {
            return err->status;
        }
    }
    return BN_OK;
}

/* Somebody outside, a reporter say, has put a wish into the run's folder. It is heard once: the
 * run's row says from then on that it is being stopped. */
static bn_status hear_wish(bn_sweeper *s, const bn_member *m, bn_error *err)
{
    char dir[BN_PATH_MAX], path[BN_PATH_MAX];
    char *who = NULL;
    size_t size = 0;
    bn_error missing = {0};
    if (bn_path_join(dir, s->options.home, m->run.dir, err) != BN_OK) return err->status;
    if (bn_path_join(path, dir, BN_RUNDIR_STOP, err) != BN_OK) return err->status;
    if (!bn_file_exists(path)) return BN_OK;
    bn_status status = bn_file_read(path, 160, &who, &size, &missing);
    if (status == BN_OK) who[strcspn(who, "\r\n")] = '\0';
    bool named = status == BN_OK && who[0];
    status = bn_fleet_ask(s->fleet, m, BN_ASK_CANCEL, named ? who : "somebody asked", err);
    if (status == BN_OK) (void)unlink(path);
    free(who);
    return status;
}

static bn_status hear_wishes(bn_sweeper *s, bn_error *err)
{
    for (size_t i = 0; i < bn_fleet_count(s->fleet); i++) {
        const bn_member *m = bn_fleet_at(s->fleet, i);
        if (m->phase != BN_PHASE_RUNNING || m->run.sweep != s->sweep.id) continue;
        if (hear_wish(s, m, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

/* bnexp pause, stop and cancel speak through the sweep's row, others through a run's folder. */
static bn_status obey(bn_sweeper *s, double mono_s, bn_error *err)
{
    bn_sweep row;
    if (mono_s - s->control_s < CONTROL_EVERY_S) return BN_OK;
    s->control_s = mono_s;
    if (bn_sweep_get(s->options.store, s->sweep.id, &row, err) != BN_OK) return err->status;
    s->sweep.state = row.state;
    if (hear_wishes(s, err) != BN_OK) return err->status;
    if (row.state != BN_SWEEP_CANCELED) return BN_OK;
    return bn_fleet_ask_all(s->fleet, BN_ASK_CANCEL, "the sweep was canceled", false, err);
}

/* Has this very configuration finished in this home already? Then the run is not worth its time. */
static bn_status skip(bn_sweeper *s, bn_run *run, bool *skipped, bn_error *err)
{
    bn_run twin;
    char why[160];
    *skipped = false;
    if (s->options.force || run->attempt > 0) return BN_OK;
    bn_status status =
        bn_run_find_finished(s->options.store, run->config_hash, skipped, &twin, err);
    if (status != BN_OK || !*skipped) return status;
    (void)snprintf(why, sizeof why, "same as run %s of sweep '%s'", twin.key, twin.sweep_name);
    bn_run_change change = {
        .from = run->state, .to = BN_RUN_SKIPPED, .reason = why, .exit_code = -1};
    run->state = BN_RUN_SKIPPED;
    return bn_fleet_move(s->fleet, run->id, &change, err);
}

/* The next run that may start now, or NULL. */
static bn_run *next_run(bn_sweeper *s, double mono_s)
{
    bool passed = false;
    for (size_t i = s->cursor; i < s->count; i++) {
        if (!startable(s->runs[i].state)) {
            if (!passed) s->cursor = i + 1;
            continue;
        }
        if (s->memos[i].not_before_s <= mono_s) return &s->runs[i];
        passed = true;
    }
    return NULL;
}

static bn_status fill_slots(bn_sweeper *s, double mono_s, bn_error *err)
{
    if (s->draining || s->gave_up || s->sweep.state != BN_SWEEP_RUNNING) return BN_OK;
    while (bn_fleet_free(s->fleet) > 0) {
        bool skipped = false;
        bn_run *run = next_run(s, mono_s);
        if (!run) break;
        if (skip(s, run, &skipped, err) != BN_OK) return err->status;
        if (skipped) continue;
        if (bn_fleet_plan(s->fleet, run, err) != BN_OK) return err->status;
        run->state = BN_RUN_RUNNING;
        run->attempt++;
        s->attempts++;
    }
    return BN_OK;
}

static void launch_begun(bn_sweeper *s, double mono_s)
{
    for (size_t i = 0; i < bn_fleet_count(s->fleet); i++) {
        const bn_member *m = bn_fleet_at(s->fleet, i);
        if (m->phase != BN_PHASE_BEGUN) continue;
        bn_start_run(s->fleet, m, &s->start, mono_s);
    }
}

/* Nothing lives, and nothing is left that may start, now or after its back-off. */
static bool is_done(const bn_sweeper *s)
{
    if (bn_fleet_count(s->fleet) > 0) return false;
    if (s->draining || s->gave_up) return true;
    if (s->sweep.state == BN_SWEEP_PAUSED) return false;
    if (s->sweep.state != BN_SWEEP_RUNNING) return true;
    for (size_t i = s->cursor; i < s->count; i++) {
        if (startable(s->runs[i].state)) return false;
    }
    return true;
}

static bn_status finish(bn_sweeper *s, bn_error *err)
{
    bool whole = s->sweep.state == BN_SWEEP_RUNNING && !s->draining && !s->gave_up;
    if (!whole) return BN_OK;
    s->sweep.state = BN_SWEEP_FINISHED;
    return bn_sweep_set_state(s->options.store, s->sweep.id, BN_SWEEP_FINISHED, err);
}

bn_status bn_sweeper_tick(bn_sweeper *s, double wall_s, double mono_s, bool *done, bn_error *err)
{
    *done = false;
    bn_status status = bn_fleet_tick(s->fleet, wall_s, mono_s, err);
    if (status == BN_OK) status = settle_all(s, mono_s, err);
    if (status == BN_OK) status = obey(s, mono_s, err);
    if (status == BN_OK) status = watch_times(s, mono_s, err);
    if (status == BN_OK) status = fill_slots(s, mono_s, err);
    if (status == BN_OK) status = bn_fleet_commit(s->fleet, wall_s, err);
    if (status != BN_OK) return status;
    launch_begun(s, mono_s);
    if (!is_done(s)) return BN_OK;
    status = refresh(s, err);
    *done = status == BN_OK && is_done(s);
    return *done ? finish(s, err) : status;
}

bn_status bn_sweeper_drain(bn_sweeper *s, bool kill, bn_error *err)
{
    s->draining = true;
    return bn_fleet_ask_all(s->fleet, BN_ASK_LATER, "the sweep was interrupted", kill, err);
}

void bn_sweeper_look(const bn_sweeper *s, bn_sweep_look *out)
{
    *out = (bn_sweep_look){.sweep = s->sweep.id,
                           .planned = s->planned,
                           .attempts = s->attempts,
                           .records = bn_fleet_records(s->fleet),
                           .run_s = s->finished ? s->finished_s / (double)s->finished : (double)NAN,
                           .state = s->sweep.state,
                           .gave_up = s->gave_up,
                           .found = s->found};
    for (size_t i = 0; i < s->count; i++) {
        out->counts[s->runs[i].state]++;
        out->waiting += s->runs[i].state == BN_RUN_PENDING && s->runs[i].attempt > 0;
    }
}

const bn_fleet *bn_sweeper_fleet(const bn_sweeper *s)
{
    return s->fleet;
}

const bn_run *bn_sweeper_runs(const bn_sweeper *s, size_t *count)
{
    *count = s->count;
    return s->runs;
}
