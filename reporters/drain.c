#include "reporters/drain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A reporter that sees no reason to wait is not asked again at once, all the same. */
static const double PAUSE_MIN_S = 0.05;

typedef struct contact {
    int64_t run, sweep;
    double at_s; /* of the last push */
    bool live;   /* it was running then */
} contact;

typedef struct drain {
    bn_feed *feed;
    const bn_reporter *reporter;
    const bn_drain_options *options;
    const bn_drain_world *world;
    bn_drain_result *result;
    contact *contacts; /* runs that something was said of, by run */
    size_t contact_count, contact_room;
    bn_text memo;
    double success_s; /* of the last push that went well */
    size_t news;      /* runs with news at the last look */
    bn_error later;   /* why something of this pass has to come again; BN_OK: nothing has */
    bool greeted, watching, troubled;
} drain;

bn_drain_options bn_drain_defaults(void)
{
    return (bn_drain_options){
        .patience_s = 120, .live_s = 15, .beat_s = 30, .look_s = 1, .watch = false};
}

static double now_s(const drain *d)
{
    return d->world->now_s(d->world->self);
}

static int by_run(const void *a, const void *b)
{
    int64_t left = ((const contact *)a)->run;
    int64_t right = ((const contact *)b)->run;
    return (left > right) - (left < right);
}

static contact *find_contact(const drain *d, int64_t run)
{
    if (d->contact_count == 0) return NULL;
    contact key = {.run = run};
    return bsearch(&key, d->contacts, d->contact_count, sizeof key, by_run);
}

static bn_status note_contact(drain *d, const bn_run *run, bn_error *err)
{
    contact now = {run->id, run->sweep, now_s(d), run->state == BN_RUN_RUNNING};
    contact *known = find_contact(d, run->id);
    if (known) {
        *known = now;
        return BN_OK;
    }
    if (d->contact_count == d->contact_room) {
        size_t room = d->contact_room ? 2 * d->contact_room : 64;
        contact *more = realloc(d->contacts, room * sizeof *more);
        if (!more) return bn_fail(err, BN_ENOMEM, "no memory for the list of runs");
        d->contacts = more;
        d->contact_room = room;
    }
    bool in_order = d->contact_count == 0 || d->contacts[d->contact_count - 1].run < run->id;
    d->contacts[d->contact_count++] = now;
    if (!in_order) qsort(d->contacts, d->contact_count, sizeof *d->contacts, by_run);
    d->result->runs++;
    return BN_OK;
}

/* The far side has the batch's records; of the run's state nothing is said yet unless `whole`. */
static bn_status ack(drain *d, const bn_feed_batch *batch, bool whole, bn_error *err)
{
    bn_feed_batch heard = *batch;
    heard.last = batch->last && whole;
    if (d->memo.failed) return bn_fail(err, BN_ENOMEM, "no memory for a memo");
    if (bn_feed_ack(d->feed, &heard, d->memo.data ? d->memo.data : "", err) != BN_OK) {
        return err->status;
    }
    d->result->records += (int64_t)batch->count;
    if (whole || batch->count > 0) d->success_s = now_s(d);
    return note_contact(d, &batch->run, err);
}

static bn_status block(drain *d, int64_t run, bn_error *err)
{
    (void)snprintf(d->result->why, sizeof d->result->why, "%s", err->text);
    d->result->blocked++;
    *err = (bn_error){0};
    d->success_s = now_s(d); /* an answer, if an unwelcome one */
    return bn_feed_block(d->feed, run, d->result->why, err);
}

/* The end of one push. BN_OK: go on with the same run (*more) or the next. */
static bn_status settle(drain *d, const bn_feed_batch *batch, bn_status pushed, bool *more,
                        bn_error *err)
{
    bn_error failed = {0};
    *more = pushed == BN_OK && !batch->last;
    if (pushed != BN_OK && pushed != BN_EAGAIN && pushed != BN_EINVAL) return pushed;
    bool arrived = pushed == BN_OK || d->memo.length > 0;
    if (arrived && ack(d, batch, pushed == BN_OK, &failed) != BN_OK) {
        *err = failed;
        return err->status;
    }
    if (pushed == BN_EINVAL) return block(d, batch->run.id, err);
    if (pushed == BN_OK) d->troubled = false;
    if (pushed == BN_EAGAIN && arrived) {
        d->later = *err;
        *err = (bn_error){0};
    }
    return err->status;
}

/* All that is new of one run. */
static bn_status deliver_claimed(drain *d, int64_t run, bn_error *err)
{
    const struct bn_reporter_ops *ops = d->reporter->ops;
    for (bool more = true; more;) {
        bn_feed_batch batch;
        bool found = false;
        if (bn_feed_peek_run(d->feed, run, &batch, &found, err) != BN_OK) return err->status;
        if (!found) return BN_OK; /* blocked or thrown away meanwhile */
        bn_text_clear(&d->memo);
        bn_status status = ops->push(d->reporter->self, &batch, &d->memo, err);
        if (status == BN_EINVAL) (void)bn_fail_in(err, "run %s", batch.run.key);
        if (settle(d, &batch, status, &more, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

/* A run that another process is delivering comes again later, if it is news then. */
static bn_status deliver(drain *d, int64_t run, int64_t sweep, bn_error *err)
{
    const bn_drain_world *world = d->world;
    bn_error busy = {0};
    bn_status status = world->claim ? world->claim(world->self, sweep, &busy) : BN_OK;
    if (status == BN_EAGAIN) {
        d->later = busy;
        return BN_OK;
    }
    if (status != BN_OK) {
        *err = busy;
        return status;
    }
    status = deliver_claimed(d, run, err);
    if (world->unclaim) world->unclaim(world->self, sweep);
    return status;
}

static bool is_wanted(const drain *d, const bn_feed_news *news)
{
    for (size_t i = 0; i < d->options->sweep_count; i++) {
        if (d->options->sweeps[i] == news->sweep) return true;
    }
    return d->options->sweep_count == 0;
}

/* A live run is not disturbed by every record: its lines are gathered for a while. */
static bool is_due(const drain *d, const bn_feed_news *news)
{
    const contact *last = find_contact(d, news->run);
    if (!d->watching || !last || !last->live || news->state != BN_RUN_RUNNING) return true;
    return now_s(d) - last->at_s >= d->options->live_s;
}

static bn_status deliver_news(drain *d, bn_error *err)
{
    bn_feed_news *news = NULL;
    size_t count = 0;
    bn_status status = bn_feed_list(d->feed, &news, &count, err);
    /* Another process that gets on with it is no reason to give up. */
    if (d->later.status == BN_EAGAIN && count != d->news) d->success_s = now_s(d);
    d->news = count;
    d->later = (bn_error){0};
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if (!is_wanted(d, &news[i]) || !is_due(d, &news[i])) continue;
        if (!d->greeted) {
            status = d->reporter->ops->greet(d->reporter->self, err);
            d->greeted = status == BN_OK;
        }
        if (status == BN_OK) status = deliver(d, news[i].run, news[i].sweep, err);
    }
    free(news);
    return status;
}

/* Runs that are alive and had nothing to say. */
static bn_status send_beats(drain *d, bn_error *err)
{
    bn_status status = BN_OK;
    for (size_t i = 0; status == BN_OK && d->watching && i < d->contact_count; i++) {
        contact *known = &d->contacts[i];
        if (!known->live || now_s(d) - known->at_s < d->options->beat_s) continue;
        known->at_s = now_s(d); /* also if it is no longer there */
        status = deliver(d, known->run, known->sweep, err);
    }
    return status;
}

static void complain(drain *d, const bn_error *why, double pause_s)
{
    if (d->troubled) return;
    char line[320];
    (void)snprintf(line, sizeof line, "%s: %s; trying again in %.1f s", d->reporter->ops->name,
                   why->text, pause_s);
    d->world->tell(d->world->self, line);
    d->troubled = true;
}

/* BN_OK: the pause is over, try again. */
static bn_status wait_out(drain *d, bn_error *err)
{
    double pause_s = fmax(d->reporter->ops->pause_s(d->reporter->self), PAUSE_MIN_S);
    double left_s = d->options->patience_s - (now_s(d) - d->success_s);
    if (!d->watching && pause_s > left_s) return BN_EAGAIN;
    complain(d, err, pause_s);
    if (!d->world->wait(d->world->self, pause_s) && d->watching) {
        d->watching = false;
        d->success_s = now_s(d);
    }
    *err = (bn_error){0};
    return BN_OK;
}

static bn_status run_passes(drain *d, bn_error *err)
{
    for (;;) {
        bn_status status = deliver_news(d, err);
        if (status == BN_OK) status = send_beats(d, err);
        if (status == BN_OK && d->later.status != BN_OK && !d->watching) {
            *err = d->later;
            status = BN_EAGAIN;
        }
        if (status == BN_EAGAIN) {
            if (wait_out(d, err) != BN_OK) return BN_EAGAIN;
            continue;
        }
        if (status != BN_OK || !d->watching) return status;
        if (!d->world->wait(d->world->self, d->options->look_s)) {
            d->watching = false;
            d->success_s = now_s(d);
        }
    }
}

bn_status bn_drain(bn_feed *feed, const bn_reporter *reporter, const bn_drain_options *options,
                   const bn_drain_world *world, bn_drain_result *result, bn_error *err)
{
    *result = (bn_drain_result){0};
    drain d = {.feed = feed,
               .reporter = reporter,
               .options = options,
               .world = world,
               .result = result,
               .watching = options->watch};
    d.success_s = now_s(&d);
    bn_status status = run_passes(&d, err);
    free(d.contacts);
    bn_text_release(&d.memo);
    return status;
}
