/* comparison_read.c - the runs of a sweep told apart: side, shape, setting, seed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "engine/base/text.h"
#include "reporters/comparison_making.h"
#include "store/history.h"

static const char TUNED_PREFIX[] = "optim.";
static const char *const SEED_KNOBS[] = {"train.seed", "seed"}; /* ours; other programs' */

bool bn_comparison_is_seed(const char *knob)
{
    return strcmp(knob, SEED_KNOBS[0]) == 0 || strcmp(knob, SEED_KNOBS[1]) == 0;
}

bn_status bn_making_grow(void *place, size_t count, size_t *room, size_t size_bytes, bn_error *err)
{
    if (count < *room) return BN_OK;
    void *array = NULL;
    memcpy(&array, place, sizeof array);
    size_t wanted = *room ? *room * 2 : 16;
    void *more = realloc(array, wanted * size_bytes);
    if (!more) return bn_fail(err, BN_ENOMEM, "comparison: out of memory");
    memset((char *)more + *room * size_bytes, 0, (wanted - *room) * size_bytes);
    memcpy(place, &more, sizeof more);
    *room = wanted;
    return BN_OK;
}

/* "\"ternary\"" -> ternary: JSON's quotes are no part of a word. */
static void unquote(char *out, size_t size, const char *json)
{
    size_t length = strlen(json);
    bool quoted = length >= 2 && json[0] == '"' && json[length - 1] == '"';
    (void)snprintf(out, size, "%.*s", (int)(quoted ? length - 2 : length),
                   quoted ? json + 1 : json);
}

static int compare_param_run(const void *key, const void *item)
{
    int64_t run = *(const int64_t *)key, other = ((const bn_run_param *)item)->run;
    return (run > other) - (run < other);
}

/* The first row of a run in rows sorted by run, or NULL. */
static const bn_run_param *rows_of(const bn_run_param *rows, size_t count, int64_t run)
{
    const bn_run_param *row =
        count ? bsearch(&run, rows, count, sizeof *rows, compare_param_run) : NULL;
    while (row && row > rows && row[-1].run == run) row--;
    return row;
}

/* A growing array of texts of one size, kept in the comparison. */
typedef struct name_list {
    void *place; /* of the array's pointer */
    size_t size_bytes;
    size_t *count, *room;
} name_list;

/* The index of a text, adding it when it is new. */
static bn_status intern(const name_list *list, const char *text, int *index, bn_error *err)
{
    char *texts = NULL;
    memcpy(&texts, list->place, sizeof texts);
    for (size_t i = 0; i < *list->count; i++) {
        *index = (int)i;
        if (strcmp(texts + i * list->size_bytes, text) == 0) return BN_OK;
    }
    if (bn_making_grow(list->place, *list->count, list->room, list->size_bytes, err) != BN_OK) {
        return err->status;
    }
    memcpy(&texts, list->place, sizeof texts);
    *index = (int)(*list->count)++;
    (void)snprintf(texts + (size_t)*index * list->size_bytes, list->size_bytes, "%s", text);
    return BN_OK;
}

/* Is the name an item of "a,b,c"? */
static bool listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *item = list; item; item = strchr(item, ',')) {
        if (*item == ',') item++;
        if (strncmp(item, name, length) == 0 && (item[length] == ',' || !item[length])) return true;
    }
    return false;
}

static bool is_tuned(const bn_comparison_ask *ask, const char *name)
{
    if (ask->pair) return !listed(ask->pair, name);
    return strncmp(name, TUNED_PREFIX, strlen(TUNED_PREFIX)) == 0;
}

/* What was varied of a run, told apart: "model.width=64" and "optim.lr=0.001". */
static void describe(const bn_making *make, int64_t run, char shape[BN_SETTING_MAX],
                     char setting[BN_SETTING_MAX])
{
    bn_text texts[2];
    bn_text_fixed(&texts[0], shape, BN_SETTING_MAX);
    bn_text_fixed(&texts[1], setting, BN_SETTING_MAX);
    const bn_run_param *end = make->varied + make->varied_count;
    const bn_run_param *row = rows_of(make->varied, make->varied_count, run);
    for (; row && row < end && row->run == run; row++) {
        const char *name = row->param.name;
        bool side = make->ask->by && listed(make->ask->by, name);
        if (side || bn_comparison_is_seed(name)) continue;
        bool tuned = is_tuned(make->ask, name);
        char value[sizeof row->param.value];
        unquote(value, sizeof value, row->param.value);
        bn_text_addf(&texts[tuned], "%s%s=%s", texts[tuned].length ? " " : "", name, value);
    }
}

static bn_status no_such_knob(const bn_making *make, const char *name, bn_error *err)
{
    bn_param *params = NULL;
    size_t count = 0;
    bn_status status = bn_run_params(make->store, make->runs[0].id, &params, &count, err);
    if (status != BN_OK) return status;
    const char **names = calloc(count + 1, sizeof *names);
    for (size_t i = 0; names && i < count; i++) names[i] = params[i].name;
    const char *near = names ? bn_nearest(name, names, count, sizeof *names) : NULL;
    (void)bn_fail(err, BN_EINVAL, "no run has a knob '%.60s'%s%s%s", name,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free(names);
    free(params);
    return err->status;
}

/* Every knob that --pair names must be one that some run varied. */
static bn_status check_pair(const bn_making *make, bn_error *err)
{
    char name[64];
    for (const char *item = make->ask->pair; item && *item; item += *item == ',') {
        size_t length = strcspn(item, ",");
        (void)snprintf(name, sizeof name, "%.*s", (int)length, item);
        item += length;
        bool varied = bn_comparison_is_seed(name);
        for (size_t i = 0; i < make->varied_count && !varied; i++) {
            varied = strcmp(make->varied[i].param.name, name) == 0;
        }
        if (!varied && make->run_count > 0) return no_such_knob(make, name, err);
    }
    return BN_OK;
}

/* The values of every knob that `by` lists. */
static bn_status load_sides(bn_making *make, bn_error *err)
{
    char name[64];
    for (const char *item = make->ask->by; item && *item; item += *item == ',') {
        size_t length = strcspn(item, ",");
        (void)snprintf(name, sizeof name, "%.*s", (int)length, item);
        item += length;
        if (make->by_count == BN_BY_MAX) {
            return bn_fail(err, BN_EINVAL, "a side may be told by at most %d knobs", BN_BY_MAX);
        }
        int i = make->by_count++;
        bn_status status = bn_comparison_knob(make->store, make->ask, name, &make->sides[i],
                                              &make->side_counts[i], err);
        if (status != BN_OK) return status;
        if (make->side_counts[i] == 0 && make->run_count > 0) return no_such_knob(make, name, err);
    }
    return BN_OK;
}

static bn_status load(bn_making *make, bn_error *err)
{
    const bn_comparison_ask *ask = make->ask;
    bn_store *store = make->store;
    bn_status status = bn_comparison_runs(store, ask, &make->runs, &make->run_count, err);
    for (size_t i = 0; status == BN_OK && i < 2 && make->seed_count == 0; i++) {
        free(make->seeds);
        make->seeds = NULL;
        status =
            bn_comparison_knob(store, ask, SEED_KNOBS[i], &make->seeds, &make->seed_count, err);
    }
    if (status == BN_OK) {
        status = bn_comparison_varied(store, ask, &make->varied, &make->varied_count, err);
    }
    if (status == BN_OK) status = load_sides(make, err);
    return status == BN_OK ? check_pair(make, err) : status;
}

/* The side of a run: its values of the knobs that tell sides; false when it has none of them. */
static bool read_side(const bn_making *make, int64_t run, char side[BN_SIDE_MAX])
{
    bool has = make->by_count == 0;
    bn_text text;
    bn_text_fixed(&text, side, BN_SIDE_MAX);
    side[0] = '\0';
    for (int i = 0; i < make->by_count; i++) {
        const bn_run_param *row = rows_of(make->sides[i], make->side_counts[i], run);
        char value[sizeof row->param.value] = "-";
        if (row) unquote(value, sizeof value, row->param.value);
        bn_text_addf(&text, "%s%s", i ? " " : "", value);
        has = has || row;
    }
    return has;
}

/* The finished run whose numbers a run stands for: itself, or what made it skipped. */
static bn_status source_of(const bn_making *make, const bn_run *run, bool *found, int64_t *id,
                           bn_error *err)
{
    *id = run->id;
    *found = run->state == BN_RUN_FINISHED;
    if (run->state != BN_RUN_SKIPPED) return BN_OK;
    bn_run *same = calloc(1, sizeof *same);
    if (!same) return bn_fail(err, BN_ENOMEM, "comparison: out of memory");
    bn_status status = bn_run_find_finished(make->store, run->config_hash, found, same, err);
    *id = same->id;
    free(same);
    return status;
}

static void take_metric(bn_comparison_run *run, const bn_comparison_ask *ask,
                        const bn_latest *latest)
{
    if (strcmp(latest->key, ask->metric) == 0) {
        run->value = ask->maximize ? latest->max : latest->min;
    }
    /* Not the process's peak: that may be the tokenizer's, in whichever run came first. */
    if (strcmp(latest->key, "mem/engine_bytes") == 0) run->memory_bytes = latest->max;
    if (strcmp(latest->key, "model/deployed_bytes") == 0) run->deployed_bytes = latest->last;
    if (strcmp(latest->key, "model/params") == 0) run->params = latest->last;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median over its records: the last one alone is whatever else the machine did just then. */
static bn_status read_speed(const bn_making *make, bn_comparison_run *run, int64_t source,
                            bn_error *err)
{
    bn_series speed = {0};
    bn_status status = bn_history_series(make->store, source, "tokens_per_s", &speed, err);
    if (status != BN_OK) return status;
    size_t finite = 0;
    for (size_t i = 0; i < speed.count; i++) {
        if (isfinite(speed.number[i])) speed.number[finite++] = speed.number[i];
    }
    if (finite > 0) {
        qsort(speed.number, finite, sizeof *speed.number, compare_doubles);
        run->tokens_per_s = speed.number[finite / 2];
    }
    bn_series_release(&speed);
    return BN_OK;
}

static bn_status read_numbers(const bn_making *make, bn_comparison_run *run, int64_t source,
                              bn_error *err)
{
    bn_latest *latest = NULL;
    size_t count = 0;
    double device_bytes = (double)NAN;
    const double nan = (double)NAN;
    run->value = run->tokens_per_s = run->memory_bytes = run->deployed_bytes = run->params = nan;
    bn_status status = bn_history_latest(make->store, source, &latest, &count, err);
    for (size_t i = 0; i < count; i++) {
        take_metric(run, make->ask, &latest[i]);
        if (strcmp(latest[i].key, "mem/device_bytes") == 0) device_bytes = latest[i].max;
    }
    if (isfinite(device_bytes)) run->memory_bytes = device_bytes; /* where the training was */
    free(latest);
    return status == BN_OK ? read_speed(make, run, source, err) : status;
}

/* Replicates without a seed knob are told apart by their place. */
static void place_as_seed(const bn_comparison *out, bn_comparison_run *run)
{
    int before = 0;
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *other = &out->runs[i];
        before += other->shape == run->shape && other->side == run->side &&
                  other->setting == run->setting;
    }
    (void)snprintf(run->seed, sizeof run->seed, "#%d", before);
}

static bn_status place_run(bn_making *make, bn_comparison_run *taken, const char *side,
                           bn_error *err)
{
    bn_comparison *out = make->out;
    char shape[BN_SETTING_MAX], setting[BN_SETTING_MAX];
    const name_list shapes = {&out->shapes, sizeof *out->shapes, &out->shape_count,
                              &make->shape_room};
    const name_list settings = {&out->settings, sizeof *out->settings, &out->setting_count,
                                &make->setting_room};
    const name_list sides = {&out->sides, sizeof *out->sides, &out->side_count, &make->side_room};
    describe(make, taken->run, shape, setting);
    bn_status status = intern(&shapes, shape, &taken->shape, err);
    if (status == BN_OK) status = intern(&settings, setting, &taken->setting, err);
    return status == BN_OK ? intern(&sides, side, &taken->side, err) : status;
}

/* Whether the same numbers are in the same place already. */
static bool is_there(const bn_comparison *out, const bn_comparison_run *run)
{
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *other = &out->runs[i];
        if (other->source == run->source && other->shape == run->shape &&
            other->side == run->side && other->setting == run->setting) {
            return true;
        }
    }
    return false;
}

static bn_status take_run(bn_making *make, const bn_run *run, bn_error *err)
{
    bn_comparison *out = make->out;
    bn_comparison_run taken = {.run = run->id};
    bool found = false;
    int64_t source = 0;
    char side[BN_SIDE_MAX];
    bn_status status = source_of(make, run, &found, &source, err);
    if (status != BN_OK || !found || !read_side(make, run->id, side)) {
        out->unfinished++;
        return status;
    }
    status = read_numbers(make, &taken, source, err);
    if (status != BN_OK || !isfinite(taken.value)) {
        out->without_value++;
        return status;
    }
    (void)snprintf(taken.key, sizeof taken.key, "%s", run->key);
    taken.source = source;
    if (place_run(make, &taken, side, err) != BN_OK) return err->status;
    if (is_there(out, &taken)) return BN_OK;
    const bn_run_param *seed = rows_of(make->seeds, make->seed_count, run->id);
    if (seed) (void)snprintf(taken.seed, sizeof taken.seed, "%s", seed->param.value);
    if (!seed) place_as_seed(out, &taken);
    if (bn_making_grow(&out->runs, out->run_count, &make->out_room, sizeof *out->runs, err) !=
        BN_OK) {
        return err->status;
    }
    out->runs[out->run_count++] = taken;
    return BN_OK;
}

bn_status bn_making_read(bn_making *make, bn_error *err)
{
    bn_status status = load(make, err);
    for (size_t i = 0; status == BN_OK && i < make->run_count; i++) {
        status = take_run(make, &make->runs[i], err);
    }
    free(make->runs);
    for (int i = 0; i < BN_BY_MAX; i++) free(make->sides[i]);
    free(make->seeds);
    free(make->varied);
    return status;
}
