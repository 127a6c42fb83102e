/* The configuration of a run in wandb's shape: flat dotted names become nested objects, and the
 * "_wandb" block beside them tells the page how to draw the metrics. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/wandb_body.h"

enum {
    PARTS_MAX = 4,    /* wandb sorts and filters by names of at most three dots */
    KNOBS_MAX = 4096, /* of one run */
};

typedef struct knob {
    const char *name;
    const json_t *value;
    const char *part[PARTS_MAX]; /* name, split at its dots */
    size_t length[PARTS_MAX];
    size_t parts;
    bool flat; /* stands under its whole name, behind all nested ones */
} knob;

static int order(const void *a, const void *b)
{
    int flat = ((const knob *)a)->flat - ((const knob *)b)->flat;
    if (flat) return flat;
    /* A dot sorts before every other character, so that all names under one prefix are neighbours.
     */
    const char *left = ((const knob *)a)->name;
    const char *right = ((const knob *)b)->name;
    while (*left && *left == *right) {
        left++;
        right++;
    }
    int l = *left == '.' ? 1 : *left ? 1 + (unsigned char)*left : 0;
    int r = *right == '.' ? 1 : *right ? 1 + (unsigned char)*right : 0;
    return l - r;
}

/* Is a a name and b a name under it ("a" and "a.b")? Then b cannot be nested in a. */
static bool is_prefix(const knob *a, const char *b)
{
    size_t length = strlen(a->name);
    return strncmp(a->name, b, length) == 0 && b[length] == '.';
}

static void split(knob *item)
{
    const char *rest = item->name;
    item->parts = 0;
    for (;;) {
        size_t length = strcspn(rest, ".");
        /* An empty part ("a..b", ".a") is no name; what is left stays as it is. */
        bool last = item->flat || item->parts == PARTS_MAX - 1 || !rest[length] || length == 0;
        item->part[item->parts] = rest;
        item->length[item->parts++] = last ? strlen(rest) : length;
        if (last) return;
        rest += length + 1;
    }
}

static bool same_part(const knob *a, const knob *b, size_t i)
{
    return a->length[i] == b->length[i] && memcmp(a->part[i], b->part[i], a->length[i]) == 0;
}

static void add_key(bn_json *json, const knob *item, size_t i)
{
    bn_text key = {0};
    bn_text_add_bytes(&key, item->part[i], item->length[i]);
    bn_json_key(json, key.failed ? "" : key.data);
    if (key.failed) json->text->failed = true;
    bn_text_release(&key);
}

static void add_value(bn_json *json, const json_t *value)
{
    if (json_is_real(value)) {
        bn_json_real(json, json_real_value(value));
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    bn_json_raw(json, text ? text : "null");
    if (!text) json->text->failed = true;
    free(text);
}

/* Closes the objects that `last` was in and `next` is not in, and opens those the other way round.
 * Level 0 has two brackets: wandb puts every top value under "value". */
static void move_to(bn_json *json, const knob *last, const knob *next)
{
    size_t common = 0;
    size_t shorter = last && last->parts < next->parts ? last->parts : next->parts;
    while (last && common + 1 < shorter && same_part(last, next, common)) common++;
    for (size_t i = last ? last->parts - 1 : 0; i > common; i--) bn_json_end_object(json);
    if (last && common == 0) bn_json_end_object(json);
    for (size_t i = common; i + 1 < next->parts; i++) {
        add_key(json, next, i);
        bn_json_object(json);
        if (i > 0) continue;
        bn_json_key(json, "value");
        bn_json_object(json);
    }
}

static void add_knobs(bn_json *json, const knob *knobs, size_t count)
{
    const knob *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const knob *item = &knobs[i];
        move_to(json, last, item);
        add_key(json, item, item->parts - 1);
        if (item->parts == 1) {
            bn_json_object(json);
            bn_json_key(json, "value");
        }
        add_value(json, item->value);
        last = item;
    }
    for (size_t i = last ? last->parts : 0; i > 0; i--) bn_json_end_object(json);
}

/* Reads flat JSON into sorted, split knobs that borrow from root. */
static knob *read_knobs(json_t *root, size_t *count)
{
    knob *knobs = calloc(json_object_size(root) + 1, sizeof *knobs);
    if (!knobs) return NULL;
    *count = 0;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(root, name, value)
    {
        bool theirs = strncmp(name, "_wandb", 6) == 0 && (name[6] == '.' || !name[6]);
        if (*count == KNOBS_MAX || theirs) continue;
        knobs[(*count)++] = (knob){.name = name, .value = value};
    }
    qsort(knobs, *count, sizeof *knobs, order);
    const knob *top = NULL; /* the last name that others may lie under */
    for (size_t i = 0; i < *count; i++) {
        knobs[i].flat = top && is_prefix(top, knobs[i].name);
        if (!knobs[i].flat) top = &knobs[i];
    }
    qsort(knobs, *count, sizeof *knobs, order);
    for (size_t i = 0; i < *count; i++) split(&knobs[i]);
    return knobs;
}

enum { SUMMARY_NONE = 6, SUMMARY_COPY = 7, OPTION_STEP_SYNC = 1, OPTION_DEFINED = 3 };

static void add_number_list(bn_json *json, const char *key, const int *numbers, size_t count)
{
    bn_json_key(json, key);
    bn_json_array(json);
    for (size_t i = 0; i < count; i++) bn_json_int(json, numbers[i]);
    bn_json_end_array(json);
}

/* Less is better for these, more is better for those; of the rest we do not know. */
static int goal_of(const bn_wandb_config *config, const char *key)
{
    if (strcmp(key, config->objective) == 0) return config->maximize ? 2 : 1;
    const char *word = strrchr(key, '/');
    word = word ? word + 1 : key;
    static const char *const less[] = {"loss", "ppl", "bpb", "step_ms", "energy_j"};
    static const char *const more[] = {"accuracy", "tokens_per_s", "mfu"};
    for (size_t i = 0; i < sizeof less / sizeof less[0]; i++) {
        if (strcmp(word, less[i]) == 0) return 1;
    }
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (strcmp(word, more[i]) == 0) return 2;
    }
    return 0;
}

/* One metric definition. Its members are numbered as wandb numbers them: 1 name, 5 the axis by its
 * place in the list, 6 options, 7 kinds of summary, 8 goal. */
static void define_metric(void *self, const bn_wandb_metric *metric)
{
    static const int synced[] = {OPTION_STEP_SYNC, OPTION_DEFINED};
    bn_json *json = self;
    int summary = metric->copied ? SUMMARY_COPY : SUMMARY_NONE;
    bn_json_object(json);
    bn_json_key(json, "1");
    bn_json_string(json, metric->key);
    if (metric->axis_place > 0) {
        bn_json_key(json, "5");
        bn_json_int(json, metric->axis_place);
    }
    add_number_list(json, "6", metric->synced ? synced : &synced[1], metric->synced ? 2 : 1);
    add_number_list(json, "7", &summary, 1);
    if (metric->goal) {
        bn_json_key(json, "8");
        bn_json_int(json, metric->goal);
    }
    bn_json_end_object(json);
}

static bool has_metric(const bn_wandb_config *config, const char *key)
{
    for (size_t i = 0; i < config->metric_count; i++) {
        if (strcmp(config->metrics[i].key, key) == 0) return true;
    }
    return false;
}

/* Wall time and, where it is measured, tokens come first as axes. Losses are drawn over tokens by
 * default: runs of different batch sizes then line up. The page still offers step and time. */
void bn_wandb_metrics_each(const bn_wandb_config *config, bn_wandb_metric_seen *seen, void *self)
{
    bool tokens = has_metric(config, "tokens");
    seen(self, &(bn_wandb_metric){.key = "_runtime"});
    if (tokens) seen(self, &(bn_wandb_metric){.key = "tokens", .copied = true});
    for (size_t i = 0; i < config->metric_count; i++) {
        const char *key = config->metrics[i].key;
        if (strcmp(key, "tokens") == 0 || key[0] == '_') continue;
        bool loss = strncmp(key, "train/", 6) == 0 || strncmp(key, "val/", 4) == 0;
        seen(self, &(bn_wandb_metric){.key = key,
                                      .axis = loss && tokens ? "tokens" : NULL,
                                      .axis_place = loss && tokens ? 2 : 0,
                                      .synced = true,
                                      .copied = true,
                                      .goal = goal_of(config, key)});
    }
}

/* `t` has to be there, even with little in it: wandb's own client takes a run without it for one
 * that never began. */
static void add_wandb_block(bn_json *json, const bn_wandb_config *config)
{
    bn_json_key(json, "t");
    bn_json_object(json);
    bn_json_key(json, "13");
    bn_json_string(json, "linux-x86_64");
    bn_json_end_object(json);
    bn_json_key(json, "m");
    bn_json_array(json);
    bn_wandb_metrics_each(config, define_metric, json);
    bn_json_end_array(json);
    bn_json_key(json, "e");
    bn_json_object(json);
    bn_json_key(json, config->writer);
    bn_json_raw(json, config->environment_json);
    bn_json_end_object(json);
}

static bn_status load(json_t **root, knob **knobs, size_t *count, const char *flat, bn_error *err)
{
    json_error_t why;
    *knobs = NULL;
    *root = json_loads(flat, JSON_DECODE_ANY, &why);
    if (!json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        return bn_fail(err, BN_EINVAL, "its configuration is no JSON object");
    }
    *knobs = read_knobs(*root, count);
    if (*knobs) return BN_OK;
    json_decref(*root);
    *root = NULL;
    return bn_fail(err, BN_ENOMEM, "no memory for a configuration");
}

bn_status bn_wandb_config_json(bn_text *out, const bn_wandb_config *config, bn_error *err)
{
    json_t *root = NULL;
    knob *knobs = NULL;
    size_t count = 0;
    if (load(&root, &knobs, &count, config->flat_json, err) != BN_OK) return err->status;
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_BARE};
    bn_json_object(&json);
    add_knobs(&json, knobs, count);
    bn_json_key(&json, "_wandb");
    bn_json_object(&json);
    bn_json_key(&json, "value");
    bn_json_object(&json);
    add_wandb_block(&json, config);
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    free(knobs);
    json_decref(root);
    return BN_OK;
}

/* knobs[0...count) share their top name: that name, quoted, and all below it as JSON. */
static void show(const knob *knobs, size_t count, bn_wandb_value_seen *seen, void *self)
{
    static const char between[] = ":{\"value\":";
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_QUOTED};
    bn_json_object(&json);
    add_knobs(&json, knobs, count);
    bn_json_end_object(&json);
    /* {"optim":{"value":X}} */
    char *split_at = text.failed ? NULL : strstr(text.data, between);
    if (split_at) {
        *split_at = '\0';
        text.data[text.length - 2] = '\0';
        seen(self, text.data + 1, split_at + strlen(between));
    } else {
        seen(self, NULL, NULL);
    }
    bn_text_release(&text);
}

bn_status bn_wandb_config_each(const char *flat_json, bn_wandb_value_seen *seen, void *self,
                               bn_error *err)
{
    json_t *root = NULL;
    knob *knobs = NULL;
    size_t count = 0;
    if (load(&root, &knobs, &count, flat_json, err) != BN_OK) return err->status;
    for (size_t first = 0; first < count;) {
        size_t last = first + 1;
        while (last < count && knobs[first].parts > 1 && knobs[last].parts > 1 &&
               same_part(&knobs[first], &knobs[last], 0)) {
            last++;
        }
        show(knobs + first, last - first, seen, self);
        first = last;
    }
    free(knobs);
    json_decref(root);
    return BN_OK;
}

/* YAML's flow style is JSON: one top name a line, its value as JSON below it. */
static void add_yaml(void *self, const char *quoted_name, const char *value_json)
{
    bn_text *out = self;
    if (quoted_name) {
        bn_text_addf(out, "%s:\n    value: %s\n", quoted_name, value_json);
    } else {
        out->failed = true;
    }
}

bn_status bn_wandb_config_yaml(bn_text *out, const bn_wandb_config *config, bn_error *err)
{
    return bn_wandb_config_each(config->flat_json, add_yaml, out, err);
}
