/* The run at wandb comes into being: its names, tags and configuration. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/wandb_inside.h"

static void see_fact(void *self, const bn_run_fact *fact)
{
    bn_wandb_words *about = self;
    if (strcmp(fact->name, "git.commit") != 0) return;
    (void)snprintf(about->commit, sizeof about->commit, "%s", fact->value);
}

bn_status bn_wandb_words_read(bn_wandb_words *out, bn_store *store,
                              const bn_wandb_settings *settings, int64_t run, bn_error *err)
{
    bn_note *notes = NULL;
    size_t count = 0;
    *out = (bn_wandb_words){0};
    bn_status status = bn_run_each_origin(store, run, see_fact, out, err);
    if (status == BN_OK) status = bn_tag_list(store, run, &out->tags, &out->tag_count, err);
    if (status == BN_OK) status = bn_note_list(store, run, &notes, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) bn_text_add(&out->notes, "\n\n"); /* a paragraph each: the page reads Markdown */
        bn_text_add(&out->notes, notes[i].text);
    }
    if (count == 0) bn_text_add(&out->notes, settings->notes);
    free(notes);
    if (status == BN_OK && out->notes.failed) {
        status = bn_fail(err, BN_ENOMEM, "no memory for notes");
    }
    (void)snprintf(out->more_tags, sizeof out->more_tags, "%s", settings->tags);
    return status;
}

void bn_wandb_words_release(bn_wandb_words *about)
{
    free(about->tags);
    bn_text_release(&about->notes);
    *about = (bn_wandb_words){0};
}

static void add_tag(const char **tags, size_t *count, const char *tag)
{
    if (!tag[0] || strlen(tag) > 64 || *count == BN_WANDB_TAGS_MAX) return;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(tags[i], tag) == 0) return;
    }
    tags[(*count)++] = tag;
}

size_t bn_wandb_words_tags(bn_wandb_words *about, const bn_run *run,
                           const char *tags[BN_WANDB_TAGS_MAX])
{
    size_t count = 0;
    add_tag(tags, &count, run->variant);
    add_tag(tags, &count, run->sweep_name);
    for (size_t i = 0; i < about->tag_count; i++) add_tag(tags, &count, about->tags[i].tag);
    for (char *tag = about->more_tags; tag;) {
        char *comma = strchr(tag, ',');
        if (comma) *comma++ = '\0';
        add_tag(tags, &count, tag + strspn(tag, " "));
        tag = comma;
    }
    return count;
}

bn_status bn_wandb_environment(bn_wandb *w, bn_text *out, bn_error *err)
{
    bn_wandb_words about = {0};
    bn_status status =
        bn_wandb_words_read(&about, w->store, w->options.settings, w->batch->run.id, err);
    if (status == BN_OK) bn_wandb_metadata(out, &w->batch->run, about.commit);
    bn_wandb_words_release(&about);
    return status;
}

bn_status bn_wandb_describe(bn_wandb *w, bool yaml, bn_text *out, bn_error *err)
{
    char *flat = NULL;
    bn_text environment = {0};
    bn_status status = bn_wandb_environment(w, &environment, err);
    if (status == BN_OK) status = bn_run_config(w->store, w->batch->run.id, &flat, err);
    if (status == BN_OK) {
        bn_wandb_config config = {.flat_json = flat,
                                  .metrics = w->latest,
                                  .metric_count = w->latest_count,
                                  .objective = w->sweep.metric,
                                  .maximize = w->sweep.maximize,
                                  .writer = w->batch->run.key,
                                  .environment_json = environment.data};
        status = environment.failed ? bn_fail(err, BN_ENOMEM, "no memory for a configuration")
                 : yaml             ? bn_wandb_config_yaml(out, &config, err)
                                    : bn_wandb_config_json(out, &config, err);
    }
    bn_text_release(&environment);
    free(flat);
    return status;
}

bn_status bn_wandb_note(bn_wandb *w, bn_error *err)
{
    bn_text memo = {0};
    bn_wandb_memo_write(&memo, &w->memo);
    bn_status status = memo.failed ? bn_fail(err, BN_ENOMEM, "no memory for a memo")
                                   : bn_feed_note(w->feed, w->batch->run.id, memo.data, err);
    bn_text_release(&memo);
    return status;
}

static void adopt(char *out, size_t size, const json_t *name, const char *otherwise)
{
    const char *text = json_string_value(name);
    (void)snprintf(out, size, "%s", text && text[0] ? text : otherwise);
}

/* Takes over the names in the reply: a server may have its own idea of them. */
static bn_status adopt_names(bn_wandb *w, const json_t *data, bn_error *err)
{
    const json_t *bucket = json_object_get(json_object_get(data, "upsertBucket"), "bucket");
    const json_t *project = json_object_get(bucket, "project");
    const json_t *entity = json_object_get(project, "entity");
    bn_wandb_place *place = &w->memo.place;
    adopt(place->id, sizeof place->id, json_object_get(bucket, "id"), "");
    adopt(place->run, sizeof place->run, json_object_get(bucket, "name"), w->batch->run.key);
    adopt(place->project, sizeof place->project, json_object_get(project, "name"), w->want.project);
    adopt(place->entity, sizeof place->entity, json_object_get(entity, "name"), w->want.entity);
    if (json_is_object(bucket) && place->entity[0] && place->project[0]) return BN_OK;
    return bn_fail(err, BN_EINVAL, "the server's answer names no run, project or entity");
}

/* Tags and notes as one number, never 0: has somebody changed them since they were told? FNV-1a. */
static int64_t number_of_labels(const bn_wandb_words *about)
{
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i <= about->tag_count; i++) {
        const char *words = i < about->tag_count ? about->tags[i].tag : about->notes.data;
        for (const char *c = words; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211U;
        hash = (hash ^ ',') * 1099511628211U;
    }
    return (int64_t)(hash >> 1) | 1;
}

static bn_status are_labels_news(bn_wandb *w, bool *news, bn_error *err)
{
    bn_wandb_words about = {0};
    bn_status status =
        bn_wandb_words_read(&about, w->store, w->options.settings, w->batch->run.id, err);
    *news = status == BN_OK && w->memo.labels != number_of_labels(&about);
    bn_wandb_words_release(&about);
    return status;
}

static bn_status upsert(bn_wandb *w, bn_error *err)
{
    bn_wandb_words about = {0};
    bn_text config = {0};
    json_t *data = NULL;
    const bn_run *run = &w->batch->run;
    bool known = w->memo.place.run[0] != '\0';
    bn_status status =
        bn_wandb_words_read(&about, w->store, w->options.settings, w->batch->run.id, err);
    if (status == BN_OK) status = bn_wandb_describe(w, false, &config, err);
    if (status != BN_OK) goto done;
    bn_wandb_upsert request = {.run = run,
                               .id = w->memo.place.id,
                               .entity = known ? w->memo.place.entity : w->want.entity,
                               .project = known ? w->memo.place.project : w->want.project,
                               .group = w->options.settings->group,
                               .job_type = w->options.settings->job_type,
                               .notes = about.notes.data,
                               .commit = about.commit,
                               .program = "bnexp train",
                               .sweep = w->memo.sweep.name,
                               .config_json = config.data};
    request.tag_count = bn_wandb_words_tags(&about, run, request.tags);
    bn_text_clear(&w->body);
    bn_wandb_upsert_body(&w->body, &request);
    if (config.failed) w->body.failed = true;
    status = bn_wandb_link_query(w->link, BN_REQUEST_UPSERT, &w->body, &data, err);
    if (status == BN_OK) status = adopt_names(w, data, err);
    if (status != BN_OK) goto done;
    if (w->memo.attempt != run->attempt) bn_wandb_forget_files(w);
    w->memo.attempt = run->attempt;
    w->memo.metrics = (int64_t)w->latest_count;
    w->memo.labels = number_of_labels(&about);
    if (!known) w->memo.clock.start_s = isfinite(run->started_s) ? run->started_s : run->created_s;
    status = bn_wandb_note(w, err);
done:
    json_decref(data);
    bn_wandb_words_release(&about);
    bn_text_release(&config);
    return status;
}

bn_status bn_wandb_create(bn_wandb *w, bn_error *err)
{
    const bn_run *run = &w->batch->run;
    bool known = w->memo.place.run[0] != '\0';
    bool ends = w->batch->last && bn_run_state_final(run->state);
    /* At its end a run may have metrics that its definition there does not name yet. */
    bool outgrown = ends && w->memo.metrics != (int64_t)w->latest_count;
    bool labels = false;
    if (known && w->batch->last && are_labels_news(w, &labels, err) != BN_OK) return err->status;
    if (known && w->memo.attempt == run->attempt && !outgrown && !labels) return BN_OK;
    if (!known && bn_wandb_join_sweep(w, err) != BN_OK) return err->status;
    return upsert(w, err);
}
