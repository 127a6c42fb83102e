#include "runner/sweep.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "runner/fleet/rundir.h"
#include "runner/sweep_inside.h"
#include "runner/sweep_lessons.h"

static const double CONTROL_EVERY_S = 0.5; /* looks at what other commands wrote about the sweep */
static const double PRUNE_EVERY_S = 0.5;
static const double BACK_OFF_FIRST_S = 0.1, BACK_OFF_MAX_S = 60;

static bool startable(bn_run_state state)
{
    return state == BN_RUN_PENDING || state == BN_RUN_PREEMPTED;
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

/* The run that is started place-th. */
static bn_run *run_at(const bn_sweeper *s, size_t place)
{
    return &s->runs[s->order ? s->order[place] : place];
}

/* A run waits again: the search for the next one begins there at the latest. */
static void look_from(bn_sweeper *s, const bn_run *run)
{
    size_t number = (size_t)run->number, place = s->ranks ? s->ranks[number] : number;
    if (place < s->cursor) s->cursor = place;
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
    bn_sweep_memo *note = &s->memos[m->run.number];
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
        look_from(s, run);
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
    look_from(s, run);
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
    /* A method that learns wants every outcome to be its own. */
    if (s->options.force || run->attempt > 0 || bn_plan_learns(s->plan)) return BN_OK;
    bn_status status =
        bn_run_find_finished(s->options.store, run->config_hash, skipped, &twin, err);
    if (status != BN_OK || !*skipped) return status;
    (void)snprintf(why, sizeof why, "same as run %s of sweep '%s'", twin.key, twin.sweep_name);
    bn_run_change change = {
        .from = run->state, .to = BN_RUN_SKIPPED, .reason = why, .exit_code = -1};
    run->state = BN_RUN_SKIPPED;
    return bn_fleet_move(s->fleet, run->id, &change, err);
}

static bn_classroom room_of(const bn_sweeper *s)
{
    return (bn_classroom){.spec = s->options.spec,
                          .store = s->options.store,
                          .sweep = s->sweep.id,
                          .runs = s->runs,
                          .count = s->count};
}

/* The rows of the next configuration, by a method that learns from those before. */
static bn_status extend(bn_sweeper *s, bn_error *err)
{
    bn_classroom room = room_of(s);
    bn_trial *trials = NULL;
    size_t count = 0;
    int64_t added = 0, left = s->planned - (int64_t)s->count;
    int replicates = s->options.spec->replicates;
    if (!bn_plan_learns(s->plan) || left <= 0) return BN_OK;
    bn_status status = bn_lessons_trials(&room, &trials, &count, err);
    if (status == BN_OK && s->count % (size_t)replicates != 0) {
        bn_plan_prime(s->plan, (int64_t)count - 1, &trials[count - 1].point);
    }
    if (status == BN_OK) {
        bn_plan_range next = {.store = s->options.store,
                              .sweep = s->sweep.id,
                              .first = (int64_t)s->count,
                              .count = left < replicates ? left : replicates,
                              .lessons = {.trials = trials, .count = count}};
        status = bn_plan_add(s->plan, &next, &added, err);
    }
    free(trials);
    if (status == BN_OK && added == 0) s->planned = (int64_t)s->count; /* exhausted */
    return status == BN_OK && added > 0 ? bn_sweeper_load(s, err) : status;
}

/* Ends what the rule says is not worth its time. Runs that are asked already are left alone. */
static bn_status prune(bn_sweeper *s, double mono_s, bn_error *err)
{
    bn_classroom room = room_of(s);
    bn_pruning *verdicts = NULL;
    int64_t records = bn_fleet_records(s->fleet);
    if (mono_s < s->prune_s || records == s->pruned_records) return BN_OK;
    s->pruned_records = records;
    bn_status status = bn_lessons_prune(&room, &verdicts, err);
    for (size_t i = 0; status == BN_OK && i < bn_fleet_count(s->fleet); i++) {
        const bn_member *m = bn_fleet_at(s->fleet, i);
        if (m->phase != BN_PHASE_RUNNING || m->run.sweep != s->sweep.id) continue;
        const bn_pruning *v = &verdicts[m->run.number];
        bn_ask ask = v->diverged ? BN_ASK_DIVERGED : BN_ASK_PRUNE;
        if (v->stop || v->diverged) status = bn_fleet_ask(s->fleet, m, ask, v->reason, err);
    }
    free(verdicts);
    /* Judging many long histories must not take more than a twentieth of our time. */
    double cost_s = bn_clock_mono_s() - mono_s;
    s->prune_s = mono_s + fmax(PRUNE_EVERY_S, 20 * cost_s);
    return status;
}

/* wandb's metric.target: once a run has it nothing more is started. Looked at before every start,
 * so that none follows the record that says so. */
static bn_status aim(bn_sweeper *s, bn_error *err)
{
    bn_classroom room = room_of(s);
    int64_t records = bn_fleet_records(s->fleet);
    if (isnan(s->options.spec->target) || records == s->aimed_records) return BN_OK;
    s->aimed_records = records;
    return bn_lessons_reached(&room, &s->reached, err);
}

/* The next run that may start now, or NULL. */
static bn_run *next_run(bn_sweeper *s, double mono_s)
{
    bool passed = false;
    for (size_t i = s->cursor; i < s->count; i++) {
        bn_run *run = run_at(s, i);
        if (!startable(run->state)) {
            if (!passed) s->cursor = i + 1;
            continue;
        }
        if (s->memos[run->number].not_before_s <= mono_s) return run;
        passed = true;
    }
    return NULL;
}

static bn_status fill_slots(bn_sweeper *s, double mono_s, bn_error *err)
{
    if (s->draining || s->gave_up || s->sweep.state != BN_SWEEP_RUNNING) return BN_OK;
    if (!s->reached && bn_fleet_free(s->fleet) > 0 && aim(s, err) != BN_OK) return err->status;
    while (!s->reached && bn_fleet_free(s->fleet) > 0) {
        bool skipped = false;
        bn_run *run = next_run(s, mono_s);
        if (!run && extend(s, err) != BN_OK) return err->status;
        if (!run) run = next_run(s, mono_s);
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
    if (s->draining || s->gave_up || s->reached) return true;
    if (s->sweep.state == BN_SWEEP_PAUSED) return false;
    if (s->sweep.state != BN_SWEEP_RUNNING) return true;
    for (size_t i = s->cursor; i < s->count; i++) {
        if (startable(run_at(s, i)->state)) return false;
    }
    return (int64_t)s->count >= s->planned;
}

static bn_status finish(bn_sweeper *s, bn_error *err)
{
    bn_sweep row;
    /* Somebody may have said something since we last looked: a sweep that was canceled is not
     * finished. */
    if (bn_sweep_get(s->options.store, s->sweep.id, &row, err) != BN_OK) return err->status;
    bool ended = row.state == BN_SWEEP_CANCELED || row.state == BN_SWEEP_STOPPED;
    if (ended) s->sweep.state = row.state;
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
    if (status == BN_OK) status = prune(s, mono_s, err);
    if (status == BN_OK) status = fill_slots(s, mono_s, err);
    if (status == BN_OK) status = bn_fleet_commit(s->fleet, wall_s, err);
    if (status != BN_OK) return status;
    launch_begun(s, mono_s);
    if (!is_done(s)) return BN_OK;
    status = bn_sweeper_refresh(s, err);
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
                           .reached = s->reached,
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
