#include "reporters/wandb.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "reporters/wandb_inside.h"
#include "reporters/wandb_log.h"

/* Lines of one stream that wait to be sent: elements of a JSON array with commas between. */
typedef struct lines {
    bn_text text;
    int64_t offset; /* place of the first in its stream */
    int64_t count;
} lines;

typedef struct push {
    bn_wandb w; /* first: what the other files see */
    lines history, events, logs, summary;
    bn_text line;
    bn_wandb_clock clock; /* the memo's, moved on by lines that are not acked yet */
    bool said;            /* something was sent */
    bool arrived;         /* the server has all lines of the batch, whatever became of files */
} push;

typedef enum ending { GOES_ON, ENDS } ending;

static void add_line(push *p, lines *to)
{
    if (to->count) bn_text_add(&to->text, ",");
    bn_text_quoted(&to->text, p->line.data);
    if (p->line.failed) to->text.failed = true;
    to->count++;
}

static void begin_lines(lines *at, int64_t offset)
{
    bn_text_clear(&at->text);
    at->offset = offset;
    at->count = 0;
}

static void add_file(bn_json *json, const char *name, const lines *of)
{
    if (of->count == 0) return;
    bn_json_key(json, name);
    bn_json_object(json);
    bn_json_key(json, "offset");
    bn_json_int(json, of->offset);
    bn_json_key(json, "content");
    bn_json_array(json);
    bn_json_raw(json, of->text.data);
    bn_json_end_array(json);
    bn_json_end_object(json);
    if (of->text.failed) json->text->failed = true;
}

static void add_ending(bn_json *json, const bn_run *run)
{
    if (run->state == BN_RUN_PREEMPTED) {
        bn_json_key(json, "preempting");
        bn_json_bool(json, true);
        return;
    }
    bn_json_key(json, "complete");
    bn_json_bool(json, true);
    bn_json_key(json, "exitcode");
    bn_json_int(json, bn_wandb_exit_code(run));
}

static void write_body(push *p, ending how)
{
    bn_wandb *w = &p->w;
    bn_text_clear(&w->body);
    bn_json json = {.text = &w->body};
    bn_json_object(&json);
    if (p->history.count + p->events.count + p->logs.count + p->summary.count > 0) {
        bn_json_key(&json, "files");
        bn_json_object(&json);
        add_file(&json, "wandb-history.jsonl", &p->history);
        add_file(&json, "wandb-events.jsonl", &p->events);
        add_file(&json, "output.log", &p->logs);
        add_file(&json, "wandb-summary.json", &p->summary);
        bn_json_end_object(&json);
    }
    if (w->uploaded.length > 0) {
        bn_json_key(&json, "uploaded");
        bn_json_array(&json);
        bn_json_raw(&json, w->uploaded.data);
        bn_json_end_array(&json);
        if (w->uploaded.failed) w->body.failed = true;
    }
    if (how == ENDS) add_ending(&json, &w->batch->run);
    bn_json_end_object(&json);
}

/* "/" and the name, with %XX for what an address may not hold. */
static void add_path_part(bn_text *path, const char *name)
{
    bn_text_add(path, "/");
    for (const char *c = name; *c; c++) {
        bool plain = isalnum((unsigned char)*c) || strchr("-_.~", *c);
        bn_text_addf(path, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
}

/* Somebody pressed Stop there. The run's manager looks for this file; one that cannot be written
 * now is tried again with the next answer. */
static void wish_stop(const bn_wandb *w)
{
    static const char words[] = "asked for at wandb\n";
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    if (bn_path_join(path, w->dir, "stop", &ignored) != BN_OK || bn_file_exists(path)) return;
    (void)!bn_file_write(path, words, sizeof words - 1, 0600, &ignored);
}

/* Sends what is gathered. With nothing gathered it is "{}", a sign of life. */
static bn_status post(push *p, ending how, bn_error *err)
{
    bool stopped = false;
    char path[1280];
    const bn_wandb_place *place = &p->w.memo.place;
    bn_text address;
    bn_text_fixed(&address, path, sizeof path);
    bn_text_add(&address, "/files");
    add_path_part(&address, place->entity);
    add_path_part(&address, place->project);
    add_path_part(&address, place->run);
    bn_text_add(&address, "/file_stream");
    write_body(p, how);
    if (bn_wandb_link_stream(p->w.link, path, &p->w.body, &stopped, err) != BN_OK) {
        return err->status;
    }
    if (stopped && p->w.batch->run.state == BN_RUN_RUNNING) wish_stop(&p->w);
    begin_lines(&p->history, p->history.offset + p->history.count);
    begin_lines(&p->events, p->events.offset + p->events.count);
    begin_lines(&p->logs, p->logs.offset + p->logs.count);
    begin_lines(&p->summary, 0);
    bn_text_clear(&p->w.uploaded);
    p->said = true;
    return BN_OK;
}

/* Posts what is gathered when one more line might not fit the request. */
static bn_status make_room(push *p, bn_error *err)
{
    enum { LINE_BYTES_MAX = 128 << 10 };
    size_t bytes = p->history.text.length + p->events.text.length;
    return bytes + LINE_BYTES_MAX > BN_WANDB_BODY_MAX ? post(p, GOES_ON, err) : BN_OK;
}

static bn_status send_records(push *p, bn_error *err)
{
    const bn_feed_batch *batch = p->w.batch;
    begin_lines(&p->history, batch->first_seq);
    begin_lines(&p->events, p->w.memo.events);
    p->clock = p->w.memo.clock;
    for (size_t i = 0; i < batch->count; i++) {
        if (make_room(p, err) != BN_OK) return err->status;
        bn_text_clear(&p->line);
        bn_wandb_history_line(&p->line, &batch->records[i], &p->clock);
        add_line(p, &p->history);
        bn_text_clear(&p->line);
        if (bn_wandb_event_line(&p->line, &batch->records[i], p->clock.start_s)) {
            add_line(p, &p->events);
        }
    }
    return BN_OK;
}

/* Console lines go in requests of their own: a plan, kept before it is sent, then its lines. */
static bn_status send_logs(push *p, bool whole, bn_error *err)
{
    bn_wandb *w = &p->w;
    while (w->options.settings->console &&
           bn_wandb_log_plan(&w->memo, w->dir, whole, bn_clock_wall_s())) {
        if (p->history.count + p->events.count > 0 && post(p, GOES_ON, err) != BN_OK) {
            return err->status;
        }
        if (bn_wandb_note(w, err) != BN_OK) return err->status;
        begin_lines(&p->logs, w->memo.log.line);
        p->logs.count =
            bn_wandb_log_lines(&p->logs.text, &w->memo, w->dir, bn_wandb_link_structured(w->link));
        w->memo.plan.line = w->memo.log.line + p->logs.count; /* less if a file was cut meanwhile */
        if (post(p, GOES_ON, err) != BN_OK) return err->status;
        bn_wandb_log_done(&w->memo);
    }
    return BN_OK;
}

static void summarize(push *p)
{
    const bn_wandb *w = &p->w;
    const bn_run *run = &w->batch->run;
    double lasted_s = p->clock.wall_s - p->clock.start_s;
    bn_wandb_summary summary = {.latest = w->latest,
                                .count = w->latest_count,
                                .objective = w->sweep.metric,
                                .maximize = w->sweep.maximize,
                                .clock = p->clock,
                                .runtime_s = fmax(fmax(lasted_s, run->duration_s), 0),
                                .state = bn_run_state_name(run->state),
                                .reason = run->reason};
    bn_text_clear(&p->line);
    bn_wandb_summary_line(&p->line, &summary);
    begin_lines(&p->summary, 0);
    add_line(p, &p->summary);
}

/* Its files and its checkpoint. A live run does without what cannot be had now: it is tried again,
 * at the latest at its end. */
static bn_status send_files(push *p, bn_error *err)
{
    bn_wandb *w = &p->w;
    bool ends = bn_run_state_final(w->batch->run.state);
    bn_status status = bn_wandb_upload_files(w, ends ? &p->line : NULL, err);
    if (!ends && (status == BN_EAGAIN || status == BN_EINVAL)) {
        *err = (bn_error){0};
        return BN_OK;
    }
    return status == BN_OK ? bn_wandb_send_checkpoint(w, err) : status;
}

/* What comes when nothing more of the run is in the store: console, summary, files, its end. What
 * the files meet with does not keep the run from its end there. */
static bn_status finish(push *p, bn_error *err)
{
    bn_wandb *w = &p->w;
    bool ends = bn_run_state_final(w->batch->run.state);
    bool pauses = w->batch->run.state == BN_RUN_PREEMPTED;
    int ended = ends ? 1 + (int)w->batch->run.state : 0;
    bool told = ends && w->memo.ended == ended;
    if (send_logs(p, ends, err) != BN_OK) return err->status;
    if (w->batch->count > 0 || ends) summarize(p);
    if (told && w->batch->count == 0) begin_lines(&p->summary, 0);
    bn_error trouble = {0};
    bn_status sent = send_files(p, &trouble);
    if (sent != BN_OK && sent != BN_EAGAIN && sent != BN_EINVAL) {
        *err = trouble;
        return sent;
    }
    bool more = p->history.count + p->summary.count > 0 || w->uploaded.length > 0;
    bool news = pauses || more || (ends ? !told : !p->said);
    if (news && post(p, ends || pauses ? ENDS : GOES_ON, err) != BN_OK) return err->status;
    w->memo.ended = ended;
    p->arrived = true;
    if (sent != BN_OK) *err = trouble;
    return sent;
}

bn_status bn_wandb_want_read(bn_wandb_want *out, bn_store *store, const bn_wandb_options *options,
                             int64_t sweep, bn_error *err)
{
    char *file = NULL;
    bn_status status = bn_sweep_spec(store, sweep, &file, err);
    (void)snprintf(out->entity, sizeof out->entity, "%s", options->settings->entity);
    (void)snprintf(out->project, sizeof out->project, "%s", options->settings->project);
    if (status == BN_OK && options->read_want) options->read_want(options->self, file, out);
    free(file);
    return status;
}

static bn_status turn_to_sweep(bn_wandb *w, int64_t sweep, bn_error *err)
{
    bn_status status = bn_sweep_get(w->store, sweep, &w->sweep, err);
    if (status == BN_OK) status = bn_wandb_want_read(&w->want, w->store, &w->options, sweep, err);
    if (status != BN_OK) w->sweep.id = 0;
    return status;
}

static bn_status look_up(bn_wandb *w, bn_error *err)
{
    const bn_run *run = &w->batch->run;
    free(w->latest);
    w->latest = NULL;
    bn_status status = bn_path_join(w->dir, w->options.home, run->dir, err);
    if (status == BN_OK && w->sweep.id != run->sweep) status = turn_to_sweep(w, run->sweep, err);
    if (status != BN_OK) return status;
    return bn_history_latest(w->store, run->id, &w->latest, &w->latest_count, err);
}

static bn_status push_batch(void *self, const bn_feed_batch *batch, bn_text *memo, bn_error *err)
{
    push *p = self;
    bn_wandb *w = &p->w;
    w->batch = batch;
    p->said = p->arrived = false;
    bn_text_clear(&w->uploaded);
    bn_wandb_memo_read(&w->memo, batch->memo);
    /* A run that was skipped as a repetition has nothing to show; unless an attempt was begun. */
    if (batch->run.state == BN_RUN_SKIPPED && !w->memo.place.run[0]) return BN_OK;
    begin_lines(&p->logs, 0);
    begin_lines(&p->summary, 0);
    bn_status status = look_up(w, err);
    if (status == BN_OK) status = bn_wandb_create(w, err);
    if (status == BN_OK) status = send_records(p, err);
    if (status == BN_OK && batch->last) {
        status = finish(p, err);
    } else if (status == BN_OK && p->history.count > 0) {
        status = post(p, GOES_ON, err);
    }
    if (status != BN_OK && !p->arrived) return status;
    w->place = w->memo.place;
    w->memo.clock = p->clock;
    w->memo.events = p->events.offset + p->events.count;
    bn_wandb_memo_write(memo, &w->memo);
    return status;
}

static bn_status greet(void *self, bn_error *err)
{
    push *p = self;
    return bn_wandb_link_greet(p->w.link, err);
}

static double pause_s(void *self)
{
    const push *p = self;
    double storage_s = p->w.upload_failures ? p->w.upload_ready_s - bn_clock_mono_s() : 0;
    return fmax(bn_wandb_link_pause_s(p->w.link), storage_s);
}

static void close_push(void *self)
{
    push *p = self;
    bn_wandb_link_close(p->w.link);
    bn_text_release(&p->w.body);
    bn_text_release(&p->w.uploaded);
    bn_text_release(&p->history.text);
    bn_text_release(&p->events.text);
    bn_text_release(&p->logs.text);
    bn_text_release(&p->summary.text);
    bn_text_release(&p->line);
    free(p->w.latest);
    free(p);
}

bn_status bn_wandb_end(const bn_reporter *reporter, bn_error *err)
{
    push *p = reporter->self;
    return bn_wandb_close_sweep(&p->w, err);
}

void bn_wandb_page(const bn_reporter *reporter, char *out, size_t size)
{
    const push *p = reporter->self;
    bn_text page;
    bn_text_fixed(&page, out, size);
    if (!p->w.place.run[0]) return;
    bn_text_add(&page, p->w.options.settings->app_url);
    add_path_part(&page, p->w.place.entity);
    add_path_part(&page, p->w.place.project);
}

static const struct bn_reporter_ops OPS = {
    .name = "wandb", .greet = greet, .push = push_batch, .pause_s = pause_s, .close = close_push};

bn_status bn_wandb_open(bn_reporter *out, bn_store *store, bn_feed *feed,
                        const bn_wandb_options *options, bn_error *err)
{
    *out = (bn_reporter){0};
    push *p = calloc(1, sizeof *p);
    if (!p) return bn_fail(err, BN_ENOMEM, "no memory for the wandb reporter");
    p->w.store = store;
    p->w.feed = feed;
    p->w.options = *options;
    if (bn_wandb_link_open(&p->w.link, &options->link, err) != BN_OK) {
        free(p);
        return err->status;
    }
    *out = (bn_reporter){.ops = &OPS, .self = p};
    return BN_OK;
}
