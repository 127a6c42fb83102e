#include "reporters/wandb_memo.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static void read_text(char *out, size_t size, const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    (void)snprintf(out, size, "%s", text ? text : "");
}

static int64_t read_int(const json_t *root, const char *key)
{
    return json_integer_value(json_object_get(root, key)); /* 0 when absent */
}

static bn_wandb_log_mark read_mark(const json_t *root, const char *key)
{
    const json_t *mark = json_object_get(root, key);
    return (bn_wandb_log_mark){.out_bytes = json_integer_value(json_array_get(mark, 0)),
                               .err_bytes = json_integer_value(json_array_get(mark, 1)),
                               .line = json_integer_value(json_array_get(mark, 2))};
}

void bn_wandb_memo_read(bn_wandb_memo *out, const char *text)
{
    *out = (bn_wandb_memo){.clock = {.wall_s = NAN, .step = -1}};
    json_t *root = json_loads(text, 0, NULL);
    if (!json_is_string(json_object_get(root, "run"))) {
        json_decref(root);
        return;
    }
    read_text(out->place.entity, sizeof out->place.entity, root, "entity");
    read_text(out->place.project, sizeof out->place.project, root, "project");
    read_text(out->place.id, sizeof out->place.id, root, "id");
    read_text(out->place.run, sizeof out->place.run, root, "run");
    read_text(out->sweep.name, sizeof out->sweep.name, root, "sweep");
    read_text(out->sweep.id, sizeof out->sweep.id, root, "sweep_id");
    out->attempt = (int)read_int(root, "attempt");
    out->metrics = read_int(root, "metrics");
    out->labels = read_int(root, "labels");
    out->clock.start_s = json_number_value(json_object_get(root, "start_s"));
    out->clock.step = read_int(root, "step");
    if (out->clock.step >= 0) {
        out->clock.wall_s = json_number_value(json_object_get(root, "wall_s"));
    }
    out->events = read_int(root, "events");
    out->log = read_mark(root, "log");
    out->plan = read_mark(root, "plan");
    out->plan_read_s = json_number_value(json_object_get(root, "plan_read_s"));
    out->files = (int)read_int(root, "files");
    out->ended = (int)read_int(root, "ended");
    json_decref(root);
}

static void write_mark(bn_json *json, const char *key, bn_wandb_log_mark mark)
{
    bn_json_key(json, key);
    bn_json_array(json);
    bn_json_int(json, mark.out_bytes);
    bn_json_int(json, mark.err_bytes);
    bn_json_int(json, mark.line);
    bn_json_end_array(json);
}

static void write_text(bn_json *json, const char *key, const char *text)
{
    bn_json_key(json, key);
    bn_json_string(json, text);
}

static void write_int(bn_json *json, const char *key, int64_t number)
{
    bn_json_key(json, key);
    bn_json_int(json, number);
}

static void write_real(bn_json *json, const char *key, double number)
{
    bn_json_key(json, key);
    bn_json_real(json, number);
}

void bn_wandb_memo_write(bn_text *out, const bn_wandb_memo *memo)
{
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    write_text(&json, "entity", memo->place.entity);
    write_text(&json, "project", memo->place.project);
    write_text(&json, "run", memo->place.run);
    write_text(&json, "id", memo->place.id);
    write_text(&json, "sweep", memo->sweep.name);
    write_text(&json, "sweep_id", memo->sweep.id);
    write_int(&json, "attempt", memo->attempt);
    write_int(&json, "metrics", memo->metrics);
    write_int(&json, "labels", memo->labels);
    write_real(&json, "start_s", memo->clock.start_s);
    write_real(&json, "wall_s", memo->clock.wall_s);
    write_int(&json, "step", memo->clock.step);
    write_int(&json, "events", memo->events);
    write_mark(&json, "log", memo->log);
    if (memo->plan_read_s != 0) {
        write_mark(&json, "plan", memo->plan);
        write_real(&json, "plan_read_s", memo->plan_read_s);
    }
    write_int(&json, "files", memo->files);
    if (memo->ended) write_int(&json, "ended", memo->ended);
    bn_json_end_object(&json);
}
