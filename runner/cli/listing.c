#include "runner/cli/listing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "store/history.h"
#include "store/label.h"

enum { COLUMNS_MAX = 64, NAME_MAX_BYTES = 128 };

typedef enum column_format { FORMAT_PLAIN, FORMAT_TIME, FORMAT_DURATION } column_format;

typedef struct column {
    char name[NAME_MAX_BYTES];
    column_format format;
    bool numeric;
    bn_listing_cell *cells; /* by place of the run in runs */
    void *owned;            /* what the cells' words point into, or NULL */
} column;

typedef struct run_place {
    int64_t id;
    size_t place;
} run_place;

struct bn_listing {
    bn_store *store;
    int64_t sweep;
    double now_s;
    bn_run *runs;
    size_t run_count;
    run_place *by_id; /* sorted */
    size_t *rows;     /* places in runs, as filtered and sorted */
    size_t count;
    column columns[COLUMNS_MAX];
    size_t column_count;
    char metric[NAME_MAX_BYTES]; /* whose summaries these are: columns often share one */
    bn_latest *latest;
    size_t latest_count;
};

typedef enum field {
    FIELD_ID,
    FIELD_NAME,
    FIELD_SWEEP,
    FIELD_NUMBER,
    FIELD_STATE,
    FIELD_REASON,
    FIELD_ATTEMPT,
    FIELD_VARIANT,
    FIELD_HOST,
    FIELD_DEVICE,
    FIELD_EXIT_CODE,
    FIELD_CREATED,
    FIELD_STARTED,
    FIELD_ENDED,
    FIELD_DURATION,
    FIELD_RECORDS,
    FIELD_COUNT
} field;
static const char *const FIELDS[] = {
    "id",   "name",   "sweep",     "number",  "state",   "reason", "attempt",  "variant",
    "host", "device", "exit_code", "created", "started", "ended",  "duration", "records"};
static const char *const PARTS[] = {"last", "min", "max", "step"};

static int compare_ids(const void *a, const void *b)
{
    const run_place *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bn_status index_runs(bn_listing *listing, bn_error *err)
{
    listing->rows = calloc(listing->run_count + 1, sizeof *listing->rows);
    listing->by_id = calloc(listing->run_count + 1, sizeof *listing->by_id);
    if (!listing->rows || !listing->by_id) {
        return bn_fail(err, BN_ENOMEM, "list of runs: out of memory");
    }
    listing->count = listing->run_count;
    for (size_t i = 0; i < listing->count; i++) {
        listing->rows[i] = i;
        listing->by_id[i] = (run_place){listing->runs[i].id, i};
    }
    qsort(listing->by_id, listing->count, sizeof *listing->by_id, compare_ids);
    return BN_OK;
}

bn_status bn_listing_open(bn_listing **out, bn_store *store, int64_t sweep, double now_s,
                          bn_error *err)
{
    *out = NULL;
    bn_listing *listing = calloc(1, sizeof *listing);
    if (!listing) return bn_fail(err, BN_ENOMEM, "list of runs: out of memory");
    listing->store = store;
    listing->sweep = sweep;
    listing->now_s = now_s;
    bn_status status = bn_run_list(store, sweep, &listing->runs, &listing->run_count, err);
    if (status == BN_OK) status = index_runs(listing, err);
    if (status != BN_OK) {
        bn_listing_close(listing);
        return status;
    }
    *out = listing;
    return BN_OK;
}

void bn_listing_close(bn_listing *listing)
{
    if (!listing) return;
    for (size_t i = 0; i < listing->column_count; i++) {
        free(listing->columns[i].cells);
        free(listing->columns[i].owned);
    }
    free(listing->latest);
    free(listing->rows);
    free(listing->by_id);
    free(listing->runs);
    free(listing);
}

size_t bn_listing_count(const bn_listing *listing)
{
    return listing->count;
}

const bn_run *bn_listing_run(const bn_listing *listing, size_t row)
{
    return &listing->runs[listing->rows[row]];
}

static double duration_of(const bn_listing *listing, const bn_run *run)
{
    if (run->attempt == 0) return (double)NAN;
    double current_s = listing->now_s - run->started_s;
    bool adds = run->state == BN_RUN_RUNNING && current_s > 0;
    return run->duration_s + (adds ? current_s : 0);
}

double bn_listing_duration_s(const bn_listing *listing, size_t row)
{
    return duration_of(listing, bn_listing_run(listing, row));
}

static bn_listing_cell number_cell(double number)
{
    return (bn_listing_cell){.kind = BN_LISTING_NUMBER, .number = number};
}

/* A time or duration that is not known yet is no number to compare with. */
static bn_listing_cell known_cell(double number)
{
    return isnan(number) ? (bn_listing_cell){0} : number_cell(number);
}

static bn_listing_cell words_cell(const char *words)
{
    return (bn_listing_cell){.kind = BN_LISTING_WORDS, .number = (double)NAN, .words = words};
}

static bn_listing_cell field_cell(const bn_listing *listing, const bn_run *run, field which)
{
    switch (which) {
    case FIELD_ID:
        return words_cell(run->key);
    case FIELD_NAME:
        return words_cell(run->name);
    case FIELD_SWEEP:
        return words_cell(run->sweep_name);
    case FIELD_NUMBER:
        return number_cell(run->number);
    case FIELD_STATE:
        return words_cell(bn_run_state_name(run->state));
    case FIELD_REASON:
        return words_cell(run->reason);
    case FIELD_ATTEMPT:
        return number_cell(run->attempt);
    case FIELD_VARIANT:
        return words_cell(run->variant);
    case FIELD_HOST:
        return words_cell(run->host);
    case FIELD_DEVICE:
        return words_cell(run->device);
    case FIELD_EXIT_CODE:
        return run->exit_code < 0 ? (bn_listing_cell){0} : number_cell(run->exit_code);
    case FIELD_CREATED:
        return known_cell(run->created_s);
    case FIELD_STARTED:
        return known_cell(run->started_s);
    case FIELD_ENDED:
        return known_cell(run->ended_s);
    case FIELD_DURATION:
        return known_cell(duration_of(listing, run));
    case FIELD_RECORDS:
        return number_cell((double)run->next_seq);
    case FIELD_COUNT:
        break;
    }
    return (bn_listing_cell){0};
}

static bool fill_field(bn_listing *listing, column *col)
{
    int which = 0;
    while (which < FIELD_COUNT && strcmp(FIELDS[which], col->name) != 0) which++;
    if (which == FIELD_COUNT) return false;
    for (size_t i = 0; i < listing->run_count; i++) {
        col->cells[i] = field_cell(listing, &listing->runs[i], (field)which);
        if (col->cells[i].kind == BN_LISTING_NUMBER) col->numeric = true;
    }
    if (which == FIELD_CREATED || which == FIELD_STARTED || which == FIELD_ENDED) {
        col->format = FORMAT_TIME;
    }
    if (which == FIELD_DURATION) col->format = FORMAT_DURATION;
    return true;
}

/* NULL: the run is in the trash. */
static bn_listing_cell *cell_of(const bn_listing *listing, const column *col, int64_t run)
{
    run_place wanted = {.id = run};
    const run_place *found =
        bsearch(&wanted, listing->by_id, listing->run_count, sizeof wanted, compare_ids);
    return found ? &col->cells[found->place] : NULL;
}

/* The tags of each run, "best,kept". */
static bn_status fill_tags(bn_listing *listing, column *col, bn_error *err)
{
    bn_tag *tags = NULL;
    size_t count = 0, used = 0;
    bn_status status = bn_tag_list(listing->store, 0, &tags, &count, err);
    size_t size = (count + 1) * (sizeof tags->tag + 1);
    char *words = status == BN_OK ? calloc(size, 1) : NULL;
    if (status == BN_OK && !words) status = bn_fail(err, BN_ENOMEM, "tags: out of memory");
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        bool first = i == 0 || tags[i].run != tags[i - 1].run;
        used += first && i > 0; /* the end of the one before stays */
        bn_listing_cell *cell = first ? cell_of(listing, col, tags[i].run) : NULL;
        if (cell) *cell = words_cell(words + used);
        used += (size_t)snprintf(words + used, size - used, "%s%s", first ? "" : ",", tags[i].tag);
    }
    col->owned = words;
    free(tags);
    return status;
}

/* "\"ternary\"" -> ternary, 0.001 -> a number; anything else stays as it is written. */
static bn_listing_cell knob_cell(char *json)
{
    size_t length = strlen(json);
    if (length >= 2 && json[0] == '"' && json[length - 1] == '"') {
        json[length - 1] = '\0';
        return words_cell(json + 1);
    }
    char *end = NULL;
    double number = strtod(json, &end);
    return *json && !*end ? number_cell(number) : words_cell(json);
}

static bn_status fill_knob(bn_listing *listing, column *col, bool *found, bn_error *err)
{
    bn_run_param *rows = NULL;
    size_t count = 0;
    bn_status status = bn_run_knob(listing->store, listing->sweep, col->name, &rows, &count, err);
    *found = count > 0;
    for (size_t i = 0; i < count; i++) {
        bn_listing_cell *cell = cell_of(listing, col, rows[i].run);
        if (cell) *cell = knob_cell(rows[i].param.value);
        if (cell && cell->kind == BN_LISTING_NUMBER) col->numeric = true;
    }
    col->owned = rows;
    return status;
}

static double part_of(const bn_latest *latest, const char *part)
{
    if (strcmp(part, "min") == 0) return latest->min;
    if (strcmp(part, "max") == 0) return latest->max;
    if (strcmp(part, "step") == 0) return (double)latest->last_step;
    return latest->last;
}

static bool is_part(const char *word)
{
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        if (strcmp(PARTS[i], word) == 0) return true;
    }
    return false;
}

static bn_status read_metric(bn_listing *listing, const char *key, bn_error *err)
{
    if (listing->latest && strcmp(listing->metric, key) == 0) return BN_OK;
    free(listing->latest);
    (void)snprintf(listing->metric, sizeof listing->metric, "%s", key);
    return bn_history_latest_of(listing->store, listing->sweep, key, &listing->latest,
                                &listing->latest_count, err);
}

static bn_status fill_metric(bn_listing *listing, column *col, bool *found, bn_error *err)
{
    char key[NAME_MAX_BYTES];
    const char *part = "last", *colon = strrchr(col->name, ':');
    bool parted = colon && is_part(colon + 1);
    if (parted) part = colon + 1;
    (void)snprintf(key, sizeof key, "%.*s",
                   parted ? (int)(colon - col->name) : (int)strlen(col->name), col->name);
    bn_status status = read_metric(listing, key, err);
    *found = listing->latest_count > 0;
    col->numeric = true;
    for (size_t i = 0; status == BN_OK && i < listing->latest_count; i++) {
        const bn_latest *row = &listing->latest[i];
        bn_listing_cell *cell = cell_of(listing, col, row->run);
        if (cell) *cell = number_cell(part_of(row, part));
    }
    return status;
}

static bn_status unknown(const bn_listing *listing, const char *name, bn_error *err)
{
    bn_metric_use *metrics = NULL;
    bn_param *params = NULL;
    size_t count = 0, param_count = 0, names = 0;
    bn_status status = bn_history_keys(listing->store, listing->sweep, &metrics, &count, err);
    if (status == BN_OK) { /* one run's knobs will do to guess from */
        status = bn_run_params(listing->store, listing->runs[0].id, &params, &param_count, err);
    }
    if (status != BN_OK) {
        free(metrics);
        return status;
    }
    const char **all = calloc(FIELD_COUNT + count + param_count, sizeof *all);
    for (int i = 0; all && i < FIELD_COUNT; i++) all[names++] = FIELDS[i];
    for (size_t i = 0; all && i < count; i++) all[names++] = metrics[i].key;
    for (size_t i = 0; all && i < param_count; i++) all[names++] = params[i].name;
    const char *near = all ? bn_nearest(name, all, names, sizeof *all) : NULL;
    (void)bn_fail(err, BN_EINVAL, "no run has a field, knob or metric '%.60s'%s%s%s", name,
                  near ? "; did you mean '" : "; 'bnexp ls metrics' lists metrics",
                  near ? near : "", near ? "'?" : "");
    free(all);
    free(params);
    free(metrics);
    return err->status;
}

bn_status bn_listing_column(bn_listing *listing, const char *name, size_t *column_out,
                            bn_error *err)
{
    for (size_t i = 0; i < listing->column_count; i++) {
        *column_out = i;
        if (strcmp(listing->columns[i].name, name) == 0) return BN_OK;
    }
    if (listing->column_count == COLUMNS_MAX || strlen(name) >= NAME_MAX_BYTES) {
        return bn_fail(err, BN_EINVAL, "too many columns, or too long a name: '%.60s'", name);
    }
    column *col = &listing->columns[listing->column_count];
    (void)snprintf(col->name, sizeof col->name, "%s", name);
    col->cells = calloc(listing->run_count + 1, sizeof *col->cells);
    if (!col->cells) return bn_fail(err, BN_ENOMEM, "column '%s': out of memory", name);
    *column_out = listing->column_count++;
    bn_status status = BN_OK;
    bool found = fill_field(listing, col), tags = !found && strcmp(name, "tags") == 0;
    if (tags) {
        status = fill_tags(listing, col, err);
        found = true;
    }
    if (!found) status = fill_metric(listing, col, &found, err);
    if (status == BN_OK && !found) {
        col->numeric = false;
        status = fill_knob(listing, col, &found, err);
    }
    if (status == BN_OK && !found && listing->run_count > 0) return unknown(listing, name, err);
    return status;
}

bn_listing_cell bn_listing_cell_at(const bn_listing *listing, size_t col, size_t row)
{
    return listing->columns[col].cells[listing->rows[row]];
}

bool bn_listing_numeric(const bn_listing *listing, size_t col)
{
    return listing->columns[col].numeric;
}

const char *bn_listing_words(const bn_listing *listing, size_t col, size_t row,
                             char out[BN_WORDS_MAX])
{
    bn_listing_cell cell = bn_listing_cell_at(listing, col, row);
    switch (cell.kind) {
    case BN_LISTING_NONE:
        return "-";
    case BN_LISTING_WORDS:
        return cell.words;
    case BN_LISTING_NUMBER:
        break;
    }
    switch (listing->columns[col].format) {
    case FORMAT_TIME:
        return bn_words_time(out, cell.number);
    case FORMAT_DURATION:
        return bn_words_duration(out, cell.number);
    case FORMAT_PLAIN:
        break;
    }
    return bn_words_number(out, cell.number);
}

void bn_listing_filter(bn_listing *listing, bn_listing_keep *keep, void *self)
{
    size_t kept = 0;
    for (size_t row = 0; row < listing->count; row++) {
        if (keep(self, listing, row)) listing->rows[kept++] = listing->rows[row];
    }
    listing->count = kept;
}

typedef struct sort_item {
    bn_listing_cell cell;
    size_t place, order;
    int sign;
} sort_item;

static int rank(const sort_item *item)
{
    bool nothing = item->cell.kind == BN_LISTING_NONE ||
                   (item->cell.kind == BN_LISTING_NUMBER && isnan(item->cell.number));
    return nothing ? 2 : item->cell.kind == BN_LISTING_WORDS;
}

static int compare_items(const void *a, const void *b)
{
    const sort_item *x = a, *y = b;
    int ranks = rank(x) - rank(y);
    if (ranks != 0) return ranks;
    int order = 0;
    if (rank(x) == 0) {
        order = (x->cell.number > y->cell.number) - (x->cell.number < y->cell.number);
    } else if (rank(x) == 1) {
        order = strcmp(x->cell.words, y->cell.words);
    }
    if (order != 0) return order * x->sign;
    return (x->order > y->order) - (x->order < y->order);
}

bn_status bn_listing_sort(bn_listing *listing, const char *key, bn_error *err)
{
    size_t col = 0;
    int sign = key[0] == '-' ? -1 : 1;
    bn_status status = bn_listing_column(listing, key + (sign < 0), &col, err);
    if (status != BN_OK) return status;
    sort_item *items = calloc(listing->count + 1, sizeof *items);
    if (!items) return bn_fail(err, BN_ENOMEM, "sort: out of memory");
    for (size_t row = 0; row < listing->count; row++) {
        items[row] =
            (sort_item){bn_listing_cell_at(listing, col, row), listing->rows[row], row, sign};
    }
    qsort(items, listing->count, sizeof *items, compare_items);
    for (size_t row = 0; row < listing->count; row++) listing->rows[row] = items[row].place;
    free(items);
    return BN_OK;
}

void bn_listing_limit(bn_listing *listing, size_t count)
{
    if (count < listing->count) listing->count = count;
}
