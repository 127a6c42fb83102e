#include "reporters/comparison.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "engine/base/rng.h"
#include "engine/base/text.h"
#include "store/history.h"
#include "store/run.h"

static const char TUNED_PREFIX[] = "optim.";
static const char SEED_KNOB[] = "train.seed";

/* What a comparison is made from; gone when it is made. */
typedef struct making {
    bn_store *store;
    const bn_comparison_ask *ask;
    bn_comparison *out;
    bn_run *runs;
    size_t run_count;
    bn_run_param *sides, *seeds, *varied; /* by run */
    size_t side_count, seed_count, varied_count;
    size_t shape_room, setting_room, side_room, out_room, cell_room, pair_room;
} making;

static bn_status grow(void *place, size_t count, size_t *room, size_t size_bytes, bn_error *err)
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
    if (grow(list->place, *list->count, list->room, list->size_bytes, err) != BN_OK) {
        return err->status;
    }
    memcpy(&texts, list->place, sizeof texts);
    *index = (int)(*list->count)++;
    (void)snprintf(texts + (size_t)*index * list->size_bytes, list->size_bytes, "%s", text);
    return BN_OK;
}

/* What was varied of a run, told apart: "model.width=64" and "optim.lr=0.001". */
static void describe(const making *make, int64_t run, char shape[BN_SETTING_MAX],
                     char setting[BN_SETTING_MAX])
{
    bn_text texts[2];
    bn_text_fixed(&texts[0], shape, BN_SETTING_MAX);
    bn_text_fixed(&texts[1], setting, BN_SETTING_MAX);
    const bn_run_param *end = make->varied + make->varied_count;
    const bn_run_param *row = rows_of(make->varied, make->varied_count, run);
    for (; row && row < end && row->run == run; row++) {
        const char *name = row->param.name;
        if (strcmp(name, make->ask->by) == 0 || strcmp(name, SEED_KNOB) == 0) continue;
        bool tuned = strncmp(name, TUNED_PREFIX, strlen(TUNED_PREFIX)) == 0;
        char value[sizeof row->param.value];
        unquote(value, sizeof value, row->param.value);
        bn_text_addf(&texts[tuned], "%s%s=%s", texts[tuned].length ? " " : "", name, value);
    }
}

static bn_status no_such_knob(const making *make, bn_error *err)
{
    bn_param *params = NULL;
    size_t count = 0;
    bn_status status = bn_run_params(make->store, make->runs[0].id, &params, &count, err);
    if (status != BN_OK) return status;
    const char **names = calloc(count + 1, sizeof *names);
    for (size_t i = 0; names && i < count; i++) names[i] = params[i].name;
    const char *near = names ? bn_nearest(make->ask->by, names, count, sizeof *names) : NULL;
    (void)bn_fail(err, BN_EINVAL, "no run has a knob '%.60s'%s%s%s", make->ask->by,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free(names);
    free(params);
    return err->status;
}

static bn_status load(making *make, bn_error *err)
{
    int64_t sweep = make->ask->sweep;
    bn_store *store = make->store;
    bn_status status = bn_run_list(store, sweep, &make->runs, &make->run_count, err);
    if (status == BN_OK) {
        status = bn_run_knob(store, sweep, make->ask->by, &make->sides, &make->side_count, err);
    }
    if (status == BN_OK) {
        status = bn_run_knob(store, sweep, SEED_KNOB, &make->seeds, &make->seed_count, err);
    }
    if (status == BN_OK) {
        status = bn_run_varied(store, sweep, &make->varied, &make->varied_count, err);
    }
    if (status == BN_OK && make->side_count == 0 && make->run_count > 0) {
        status = no_such_knob(make, err);
    }
    return status;
}

/* The finished run whose numbers a run stands for: itself, or what made it skipped. */
static bn_status source_of(const making *make, const bn_run *run, bool *found, int64_t *id,
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
    if (strcmp(latest->key, "tokens_per_s") == 0) run->tokens_per_s = latest->last;
    /* Not the process's peak: that may be the tokenizer's, in whichever run came first. */
    if (strcmp(latest->key, "mem/engine_bytes") == 0) run->memory_bytes = latest->max;
    if (strcmp(latest->key, "model/deployed_bytes") == 0) run->deployed_bytes = latest->last;
    if (strcmp(latest->key, "model/params") == 0) run->params = latest->last;
}

static bn_status read_numbers(const making *make, bn_comparison_run *run, int64_t source,
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
    return status;
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

static bn_status place_run(making *make, bn_comparison_run *taken, const char *value, bn_error *err)
{
    bn_comparison *out = make->out;
    char shape[BN_SETTING_MAX], setting[BN_SETTING_MAX], side[BN_SIDE_MAX];
    const name_list shapes = {&out->shapes, sizeof *out->shapes, &out->shape_count,
                              &make->shape_room};
    const name_list settings = {&out->settings, sizeof *out->settings, &out->setting_count,
                                &make->setting_room};
    const name_list sides = {&out->sides, sizeof *out->sides, &out->side_count, &make->side_room};
    unquote(side, sizeof side, value);
    describe(make, taken->run, shape, setting);
    bn_status status = intern(&shapes, shape, &taken->shape, err);
    if (status == BN_OK) status = intern(&settings, setting, &taken->setting, err);
    return status == BN_OK ? intern(&sides, side, &taken->side, err) : status;
}

static bn_status take_run(making *make, const bn_run *run, bn_error *err)
{
    bn_comparison *out = make->out;
    bn_comparison_run taken = {.run = run->id};
    bool found = false;
    int64_t source = 0;
    const bn_run_param *value = rows_of(make->sides, make->side_count, run->id);
    bn_status status = source_of(make, run, &found, &source, err);
    if (status != BN_OK || !found || !value) {
        out->unfinished++;
        return status;
    }
    status = read_numbers(make, &taken, source, err);
    if (status != BN_OK || !isfinite(taken.value)) {
        out->without_value++;
        return status;
    }
    (void)snprintf(taken.key, sizeof taken.key, "%s", run->key);
    if (place_run(make, &taken, value->param.value, err) != BN_OK) return err->status;
    const bn_run_param *seed = rows_of(make->seeds, make->seed_count, run->id);
    if (seed) (void)snprintf(taken.seed, sizeof taken.seed, "%s", seed->param.value);
    if (!seed) place_as_seed(out, &taken);
    if (grow(&out->runs, out->run_count, &make->out_room, sizeof *out->runs, err) != BN_OK) {
        return err->status;
    }
    out->runs[out->run_count++] = taken;
    return BN_OK;
}

static void find_baseline(making *make)
{
    bn_comparison *out = make->out;
    out->baseline = -1;
    for (size_t i = 0; i < out->side_count; i++) {
        if (strcmp(out->sides[i], make->ask->baseline) == 0) out->baseline = (int)i;
    }
    if (out->baseline <= 0) return;
    /* First in every table: swap it to the front. */
    char moved[BN_SIDE_MAX];
    memcpy(moved, out->sides[0], sizeof moved);
    memcpy(out->sides[0], out->sides[out->baseline], sizeof moved);
    memcpy(out->sides[out->baseline], moved, sizeof moved);
    for (size_t i = 0; i < out->run_count; i++) {
        int side = out->runs[i].side;
        if (side == 0) out->runs[i].side = out->baseline;
        if (side == out->baseline) out->runs[i].side = 0;
    }
    out->baseline = 0;
}

/* Mean over the runs of a cell at one setting; a number that some of them lack is left out. */
static void average(const bn_comparison *out, bn_comparison_cell *cell)
{
    double sums[5] = {0}, squares = 0;
    int counts[5] = {0};
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *run = &out->runs[i];
        bool here = run->shape == cell->shape && run->side == cell->side;
        if (!here || run->setting != cell->setting) continue;
        const double numbers[5] = {run->value, run->tokens_per_s, run->memory_bytes,
                                   run->deployed_bytes, run->params};
        for (int k = 0; k < 5; k++) {
            if (!isfinite(numbers[k])) continue;
            sums[k] += numbers[k];
            counts[k]++;
        }
        squares += run->value * run->value;
    }
    double means[5];
    for (int k = 0; k < 5; k++) means[k] = counts[k] ? sums[k] / counts[k] : (double)NAN;
    cell->runs = counts[0];
    cell->value = means[0];
    cell->tokens_per_s = means[1];
    cell->memory_bytes = means[2];
    cell->deployed_bytes = means[3];
    cell->params = means[4];
    double variance = (squares - counts[0] * means[0] * means[0]) / (counts[0] - 1.0);
    cell->deviation = counts[0] > 1 ? sqrt(fmax(0, variance)) : (double)NAN;
}

/* The number behind the only '=' of a setting; NaN when several knobs were tuned, or none. */
static double setting_number(const char *setting)
{
    const char *equals = strchr(setting, '=');
    if (!equals || strchr(equals + 1, '=')) return (double)NAN;
    char *end = NULL;
    double number = strtod(equals + 1, &end);
    return *end ? (double)NAN : number;
}

/* Is this run the first of its shape, side and setting? */
static bool first_of_setting(const bn_comparison *out, size_t index)
{
    const bn_comparison_run *run = &out->runs[index];
    for (size_t i = 0; i < index; i++) {
        const bn_comparison_run *other = &out->runs[i];
        if (other->shape == run->shape && other->side == run->side &&
            other->setting == run->setting) {
            return false;
        }
    }
    return true;
}

static void choose_best(const bn_comparison *out, bool maximize, bn_comparison_cell *cell)
{
    double least = (double)INFINITY, most = -(double)INFINITY;
    int settings = 0;
    bn_comparison_cell best = *cell;
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *run = &out->runs[i];
        bool here = run->shape == cell->shape && run->side == cell->side;
        if (!here || !first_of_setting(out, i)) continue;
        bn_comparison_cell trial = {.shape = cell->shape, .side = cell->side};
        trial.setting = run->setting;
        average(out, &trial);
        bool better = maximize ? trial.value > best.value : trial.value < best.value;
        if (settings++ == 0 || better) best = trial;
        least = fmin(least, setting_number(out->settings[run->setting]));
        most = fmax(most, setting_number(out->settings[run->setting]));
    }
    *cell = best;
    cell->settings = settings;
    if (settings < 2) return;
    double chosen = setting_number(out->settings[cell->setting]);
    cell->edge = chosen == least || chosen == most;
}

static bn_status make_cells(making *make, bn_error *err)
{
    bn_comparison *out = make->out;
    for (int shape = 0; shape < (int)out->shape_count; shape++) {
        for (int side = 0; side < (int)out->side_count; side++) {
            bn_comparison_cell cell = {.shape = shape, .side = side};
            choose_best(out, make->ask->maximize, &cell);
            if (cell.settings == 0) continue;
            bn_status status =
                grow(&out->cells, out->cell_count, &make->cell_room, sizeof *out->cells, err);
            if (status != BN_OK) return status;
            out->cells[out->cell_count++] = cell;
        }
    }
    return BN_OK;
}

const bn_comparison_cell *bn_comparison_at(const bn_comparison *comparison, int shape, int side)
{
    for (size_t i = 0; i < comparison->cell_count; i++) {
        const bn_comparison_cell *cell = &comparison->cells[i];
        if (cell->shape == shape && cell->side == side) return cell;
    }
    return NULL;
}

/* The baseline's run that a run is paired with, or NULL. */
static const bn_comparison_run *twin_of(const bn_comparison *out, const bn_comparison_run *run,
                                        int setting)
{
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *other = &out->runs[i];
        if (other->side == out->baseline && other->shape == run->shape &&
            other->setting == setting && strcmp(other->seed, run->seed) == 0) {
            return other;
        }
    }
    return NULL;
}

/* The difference of a run from its twin; false when it has none. */
static bool difference(const bn_comparison *out, const bn_comparison_run *run, bool own_best,
                       double *value)
{
    int setting = run->setting;
    if (own_best) {
        const bn_comparison_cell *own = bn_comparison_at(out, run->shape, run->side);
        const bn_comparison_cell *base = bn_comparison_at(out, run->shape, out->baseline);
        if (!own || !base || own->setting != run->setting) return false;
        setting = base->setting;
    }
    const bn_comparison_run *twin = twin_of(out, run, setting);
    if (twin) *value = run->value - twin->value;
    return twin != NULL;
}

static int group_of(const bn_comparison *out, size_t run)
{
    size_t first = 0;
    while (out->runs[first].shape != out->runs[run].shape ||
           out->runs[first].setting != out->runs[run].setting) {
        first++;
    }
    return (int)first;
}

static bn_status pair_side(making *make, int side, bool own_best, bn_error *err)
{
    bn_comparison *out = make->out;
    bn_pair_difference *list = calloc(out->run_count + 1, sizeof *list);
    if (!list) return bn_fail(err, BN_ENOMEM, "comparison: out of memory");
    size_t count = 0;
    for (size_t i = 0; i < out->run_count; i++) {
        if (out->runs[i].side != side) continue;
        if (difference(out, &out->runs[i], own_best, &list[count].value)) {
            list[count++].group = group_of(out, i);
        }
    }
    bn_comparison_pairs pairs = {.side = side, .own_best = own_best};
    /* By what is compared, so that the same home always shows the same interval. */
    uint64_t seed = bn_rng_key(bn_rng_key(0, make->ask->metric, own_best), out->sides[side], count);
    bn_status status = bn_paired_compare(list, count, seed, &pairs.loss, err);
    free(list);
    if (status != BN_OK || count == 0) return status;
    status = grow(&out->pairs, out->pair_count, &make->pair_room, sizeof *out->pairs, err);
    if (status == BN_OK) out->pairs[out->pair_count++] = pairs;
    return status;
}

static bn_status make_pairs(making *make, bn_error *err)
{
    bn_status status = BN_OK;
    if (make->out->baseline < 0) return BN_OK;
    for (int side = 0; status == BN_OK && side < (int)make->out->side_count; side++) {
        if (side == make->out->baseline) continue;
        status = pair_side(make, side, true, err);
        if (status == BN_OK) status = pair_side(make, side, false, err);
    }
    return status;
}

bn_status bn_comparison_make(bn_comparison *out, bn_store *store, const bn_comparison_ask *ask,
                             bn_error *err)
{
    *out = (bn_comparison){.baseline = -1};
    making make = {.store = store, .ask = ask, .out = out};
    bn_status status = load(&make, err);
    for (size_t i = 0; status == BN_OK && i < make.run_count; i++) {
        status = take_run(&make, &make.runs[i], err);
    }
    find_baseline(&make);
    if (status == BN_OK) status = make_cells(&make, err);
    if (status == BN_OK) status = make_pairs(&make, err);
    free(make.runs);
    free(make.sides);
    free(make.seeds);
    free(make.varied);
    if (status != BN_OK) bn_comparison_release(out);
    return status;
}

void bn_comparison_release(bn_comparison *comparison)
{
    free(comparison->shapes);
    free(comparison->settings);
    free(comparison->sides);
    free(comparison->runs);
    free(comparison->cells);
    free(comparison->pairs);
    *comparison = (bn_comparison){.baseline = -1};
}
