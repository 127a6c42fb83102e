#include "engine/checkpoint.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/checkpoint_dir.h"
#include "engine/formats/safetensors_writer.h"

#define FORMAT_KEY   "bnexp.checkpoint"
#define FORMAT_VALUE "1"
#define DATA_KEY     "data.hash"

enum {
    CHUNK_FLOATS = 1 << 18,
    NAME_MAX_BYTES = BN_TENSOR_NAME_MAX + 16,
    META_MAX = 160,
    META_BYTES = 1 << 17, /* every knob as text: three paths of 1 KiB, the rest short */
};

/* The counters in the metadata: one row each. */
static const struct counter {
    const char *key;
    bool real;
    size_t offset;
} COUNTERS[] = {
    {"progress.step", false, offsetof(bn_progress, step)},
    {"progress.seq", false, offsetof(bn_progress, seq)},
    {"progress.loss_sum", true, offsetof(bn_progress, loss_sum)},
    {"progress.loss_steps", false, offsetof(bn_progress, loss_steps)},
    {"progress.val_loss", true, offsetof(bn_progress, val_loss)},
    {"progress.best_val_loss", true, offsetof(bn_progress, best_val_loss)},
    {"progress.energy_j", true, offsetof(bn_progress, energy_j)},
    {"optimizer.updates", false, offsetof(bn_progress, optimizer.updates)},
    {"optimizer.skipped", false, offsetof(bn_progress, optimizer.skipped)},
    {"optimizer.good_steps", false, offsetof(bn_progress, optimizer.good_steps)},
    {"optimizer.loss_scale", true, offsetof(bn_progress, optimizer.loss_scale)},
};
enum { COUNTER_COUNT = sizeof COUNTERS / sizeof COUNTERS[0] };

/* What is kept of a tensor: under which prefix, from which block of floats. */
typedef struct part {
    const char *prefix;
    float *floats;
} part;
enum { PARTS = 3 };

static void parts_of(const bn_checkpoint *what, part out[PARTS])
{
    out[0] = (part){"", what->model->weights};
    out[1] = (part){"adamw.m.", what->optimizer->m};
    out[2] = (part){"adamw.v.", what->optimizer->v};
}

static bn_st_tensor tensor_row(const bn_tensor *tensor, const char *name, bn_st_type type)
{
    bool gain = tensor->role == BN_ROLE_NORM || tensor->role == BN_ROLE_FINAL_NORM;
    bn_st_tensor row = {.name = name, .type = type, .dims = gain ? 1 : 2};
    row.shape[0] = gain ? tensor->cols : tensor->rows;
    row.shape[1] = gain ? 0 : tensor->cols;
    return row;
}

/* Tables that live as long as a file is being written or compared. */
typedef struct sheet {
    bn_st_tensor *rows;
    char (*names)[NAME_MAX_BYTES];
    size_t count;
    bn_st_meta meta[META_MAX];
    size_t meta_count;
    char *words; /* META_BYTES: keys and values of meta */
    size_t used;
    float *chunk; /* CHUNK_FLOATS */
} sheet;

static void sheet_release(sheet *s)
{
    free(s->rows);
    free(s->names);
    free(s->words);
    free(s->chunk);
    *s = (sheet){0};
}

static void sheet_add(sheet *s, const bn_tensor *tensor, const char *prefix, bn_st_type type)
{
    char *name = s->names[s->count];
    (void)snprintf(name, NAME_MAX_BYTES, "%s%s", prefix, tensor->name);
    s->rows[s->count++] = tensor_row(tensor, name, type);
}

static bn_status sheet_init(sheet *s, const bn_checkpoint *what, bn_error *err)
{
    const bn_params *params = &what->model->params;
    size_t most = params->count * (PARTS + 1);
    memset(s, 0, sizeof *s);
    s->rows = calloc(most, sizeof *s->rows);
    s->names = calloc(most, sizeof *s->names);
    s->words = calloc(1, META_BYTES);
    s->chunk = calloc(CHUNK_FLOATS, sizeof *s->chunk);
    if (!s->rows || !s->names || !s->words || !s->chunk) {
        sheet_release(s);
        return bn_fail(err, BN_ENOMEM, "no memory for a checkpoint's tables");
    }
    part parts[PARTS];
    parts_of(what, parts);
    for (int p = 0; p < PARTS; p++) {
        for (size_t i = 0; i < params->count; i++) {
            sheet_add(s, &params->tensors[i], parts[p].prefix, BN_ST_F32);
        }
    }
    for (size_t i = 0; what->codes && i < params->count; i++) {
        if (params->tensors[i].role != BN_ROLE_LINEAR) continue;
        sheet_add(s, &params->tensors[i], "codes.", BN_ST_I8);
    }
    return BN_OK;
}

/* Keeps a copy of words in the sheet. */
static const char *keep_words(sheet *s, const char *words)
{
    size_t bytes = strlen(words) + 1;
    assert(s->used + bytes <= META_BYTES); /* knobs are bounded in number and length */
    char *copy = s->words + s->used;
    memcpy(copy, words, bytes);
    s->used += bytes;
    return copy;
}

static void add_meta(sheet *s, const char *key, const char *value)
{
    assert(s->meta_count < META_MAX);
    s->meta[s->meta_count++] = (bn_st_meta){keep_words(s, key), keep_words(s, value)};
}

static void knob_key(char out[NAME_MAX_BYTES], const bn_knob *knob)
{
    (void)snprintf(out, NAME_MAX_BYTES, "knob.%s", knob->name);
}

static void fill_meta(sheet *s, const bn_checkpoint *what)
{
    char key[NAME_MAX_BYTES], number[40];
    size_t count = 0;
    const bn_knob *knobs = bn_knob_table(&count);
    add_meta(s, FORMAT_KEY, FORMAT_VALUE);
    add_meta(s, DATA_KEY, what->data_hash);
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const char *field = (const char *)what->progress + COUNTERS[i].offset;
        if (COUNTERS[i].real) {
            (void)snprintf(number, sizeof number, "%.17g", *(const double *)(const void *)field);
        } else {
            (void)snprintf(number, sizeof number, "%lld",
                           (long long)*(const int64_t *)(const void *)field);
        }
        add_meta(s, COUNTERS[i].key, number);
    }
    for (size_t i = 0; i < count; i++) {
        bn_text value = {0};
        knob_key(key, &knobs[i]);
        bn_config_get(what->config, &knobs[i], &value);
        add_meta(s, key, value.data ? value.data : "");
        bn_text_release(&value);
    }
}

static void write_parts(const sheet *s, const bn_checkpoint *what, bn_st_writer *writer)
{
    const bn_model *model = what->model;
    part parts[PARTS];
    parts_of(what, parts);
    for (size_t i = 0; i < model->params.count * PARTS; i++) {
        const bn_tensor *tensor = &model->params.tensors[i % model->params.count];
        const float *from = parts[i / model->params.count].floats + tensor->offset;
        for (size_t at = 0; at < tensor->count; at += CHUNK_FLOATS) {
            size_t count = tensor->count - at < CHUNK_FLOATS ? tensor->count - at : CHUNK_FLOATS;
            bn_backend_read(model->be, s->chunk, from + at, count * sizeof *s->chunk);
            bn_st_append(writer, s->chunk, count * sizeof *s->chunk);
        }
    }
    if (what->codes) bn_st_append(writer, what->codes->last, what->codes->count);
}

static bn_status write_file(const bn_checkpoint *what, const char *path, bn_error *err)
{
    sheet s;
    bn_st_writer *writer = NULL;
    if (sheet_init(&s, what, err) != BN_OK) return err->status;
    fill_meta(&s, what);
    bn_st_plan plan = {s.rows, s.count, s.meta, s.meta_count};
    bn_status status = bn_st_create(&writer, path, &plan, err);
    if (status == BN_OK) {
        write_parts(&s, what, writer);
        status = bn_backend_sync(what->model->be, err);
    }
    if (status == BN_OK) {
        status = bn_st_commit(writer, err);
    } else {
        bn_st_abandon(writer);
    }
    sheet_release(&s);
    return status;
}

bn_status bn_checkpoint_write(const bn_checkpoint *what, const char *dir, int keep, bn_error *err)
{
    char path[BN_PATH_MAX];
    bn_progress *progress = what->progress;
    bool best = !isnan(progress->val_loss) && !(progress->val_loss >= progress->best_val_loss);
    progress->optimizer = what->optimizer->state;
    if (best) progress->best_val_loss = progress->val_loss;
    if (bn_checkpoint_dir_step(path, dir, progress->step, err) != BN_OK) return err->status;
    if (write_file(what, path, err) != BN_OK) return err->status;
    if (best && bn_checkpoint_dir_best(dir, path, err) != BN_OK) return err->status;
    return bn_checkpoint_dir_trim(dir, progress->step, keep, err);
}

static bn_status foreign_knob(const bn_config *config, const bn_config *theirs, const bn_knob *knob,
                              bn_error *err)
{
    bn_text own = {0}, said = {0};
    bn_config_get(config, knob, &own);
    bn_config_get(theirs, knob, &said);
    const char *mine = own.data ? own.data : "", *other = said.data ? said.data : "";
    bool same = strcmp(mine, other) == 0;
    if (!same) {
        (void)bn_fail(err, BN_EINVAL, "its '%s' is %.60s, the run's is %.60s", knob->name,
                      other[0] ? other : "''", mine[0] ? mine : "''");
    }
    bn_text_release(&own);
    bn_text_release(&said);
    return same ? BN_OK : BN_EINVAL;
}

/* Every knob that says what is trained must be the same. One that is younger than the file had its
 * default then. */
static bn_status check_knobs(const bn_checkpoint *what, const bn_st_reader *file, bn_error *err)
{
    size_t count = 0;
    const bn_knob *knobs = bn_knob_table(&count);
    const char *format = bn_st_meta_of(file, FORMAT_KEY);
    bn_config theirs;
    if (!format || strcmp(format, FORMAT_VALUE) != 0) {
        return bn_fail(err, BN_ECORRUPT, "not a checkpoint of this program's version");
    }
    if (bn_checkpoint_config(&theirs, file, err) != BN_OK) return err->status;
    for (size_t i = 0; i < count; i++) {
        if (!knobs[i].identity) continue;
        if (foreign_knob(what->config, &theirs, &knobs[i], err) != BN_OK) return err->status;
    }
    const char *hash = bn_st_meta_of(file, DATA_KEY);
    if (hash && strcmp(hash, what->data_hash) == 0) return BN_OK;
    return bn_fail(err, BN_EINVAL, "its data had the hash %.12s, the run's has %.12s",
                   hash ? hash : "(none)", what->data_hash);
}

/* Codes may be missing: whether they are kept is no part of what is trained. */
static bn_status check_tensors(const sheet *s, const bn_st_reader *file, bn_error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        const bn_st_tensor *own = &s->rows[i], *its = bn_st_find(file, own->name);
        if (!its && own->type == BN_ST_I8) continue;
        bool same = its && its->type == own->type && its->dims == own->dims &&
                    its->shape[0] == own->shape[0] && its->shape[1] == own->shape[1];
        if (!same) return bn_fail(err, BN_ECORRUPT, "its tensor '%.80s' does not fit", own->name);
    }
    return BN_OK;
}

static bn_status read_counters(bn_progress *progress, const bn_st_reader *file, bn_error *err)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        char *field = (char *)progress + COUNTERS[i].offset, *end = NULL;
        const char *text = bn_st_meta_of(file, COUNTERS[i].key);
        if (!text) return bn_fail(err, BN_ECORRUPT, "it lacks '%s'", COUNTERS[i].key);
        if (COUNTERS[i].real) {
            *(double *)(void *)field = strtod(text, &end);
        } else {
            *(int64_t *)(void *)field = (int64_t)strtoll(text, &end, 10);
        }
        if (end == text || *end != '\0') {
            return bn_fail(err, BN_ECORRUPT, "its '%s' is '%.40s'", COUNTERS[i].key, text);
        }
    }
    return BN_OK;
}

static bn_status load_tensor(const sheet *s, bn_backend be, bn_st_reader *file, size_t row,
                             float *to, bn_error *err)
{
    const bn_st_tensor *tensor = bn_st_find(file, s->rows[row].name);
    size_t total = (size_t)(tensor->end - tensor->begin);
    size_t most = CHUNK_FLOATS * sizeof *s->chunk;
    for (size_t at = 0; at < total; at += most) {
        size_t bytes = total - at < most ? total - at : most;
        bn_status status = bn_st_read(file, tensor, at, s->chunk, bytes, err);
        if (status != BN_OK) return status;
        bn_backend_write(be, to + at / sizeof *to, s->chunk, bytes);
    }
    return BN_OK;
}

static bn_status load_codes(const sheet *s, const bn_checkpoint *what, bn_st_reader *file,
                            bn_error *err)
{
    size_t at = 0;
    if (!what->codes) return BN_OK;
    for (size_t row = what->model->params.count * PARTS; row < s->count; row++) {
        const bn_st_tensor *tensor = bn_st_find(file, s->rows[row].name);
        if (!tensor) return BN_OK;
        size_t bytes = (size_t)(tensor->end - tensor->begin);
        bn_status status = bn_st_read(file, tensor, 0, what->codes->last + at, bytes, err);
        if (status != BN_OK) return status;
        at += bytes;
    }
    return BN_OK;
}

static bn_status load(const sheet *s, const bn_checkpoint *what, bn_st_reader *file, bn_error *err)
{
    const bn_params *params = &what->model->params;
    part parts[PARTS];
    parts_of(what, parts);
    for (size_t row = 0; row < params->count * PARTS; row++) {
        float *to = parts[row / params->count].floats + params->tensors[row % params->count].offset;
        bn_status status = load_tensor(s, what->model->be, file, row, to, err);
        if (status != BN_OK) return status;
    }
    bn_model_prepare(what->model);
    if (what->codes) {
        bn_quant_stats unused; /* the codes of now, in case the file has no earlier ones */
        bn_codes_look(what->codes, what->model, &unused);
    }
    if (load_codes(s, what, file, err) != BN_OK) return err->status;
    return bn_backend_sync(what->model->be, err);
}

/* Everything is checked before anything is loaded; a failure while loading is the machine's. */
static bn_status try_file(const sheet *s, const bn_checkpoint *what, const char *path,
                          bool *touched, bn_error *err)
{
    bn_progress progress;
    bn_st_reader *file = NULL;
    *touched = false;
    bn_status status = bn_st_open(&file, path, err);
    if (status == BN_EINVAL) err->status = BN_ECORRUPT; /* no file at all: no other run's */
    if (status != BN_OK) return err->status;
    status = check_knobs(what, file, err);
    if (status == BN_OK) status = check_tensors(s, file, err);
    if (status == BN_OK) status = read_counters(&progress, file, err);
    if (status != BN_OK) {
        (void)bn_fail_in(err, "%s", path);
    } else {
        status = bn_st_verify(file, err);
    }
    if (status == BN_OK) {
        *touched = true;
        status = load(s, what, file, err);
    }
    if (status == BN_OK) {
        *what->progress = progress;
        bn_optimizer_resume(what->optimizer, &progress.optimizer);
    }
    bn_st_close(file);
    return status;
}

/* Tries one file; what is wrong with the file is told or remembered, not returned. */
typedef struct attempt {
    const sheet *tables;
    bn_listener listener;
    bn_error other_run; /* the first file that is sound but of another configuration */
    int refused;
    bool found;
} attempt;

static bn_status attempt_file(attempt *a, const bn_checkpoint *what, const char *path,
                              bn_error *err)
{
    bn_error why = {0};
    bool touched = false;
    bn_status status = try_file(a->tables, what, path, &touched, &why);
    a->found = status == BN_OK;
    if (status == BN_OK || status == BN_ENOENT) return BN_OK;
    if (touched || status == BN_ENOMEM) return bn_fail(err, status, "%s", why.text);
    if (status ==
        BN_EINVAL) { /* told of once, at the end: as the error, or as what was passed over */
        if (a->other_run.status == BN_OK) a->other_run = why;
        return BN_OK;
    }
    a->refused++;
    if (a->listener.say) a->listener.say(a->listener.self, why.text);
    return BN_OK;
}

static bn_status attempt_all(attempt *a, const bn_checkpoint *what, const char *dir, bn_error *err)
{
    char path[BN_PATH_MAX];
    bn_checkpoint_list list;
    bn_status status = bn_checkpoint_dir_list(&list, dir, err);
    for (size_t i = 0; i < list.count && status == BN_OK && !a->found; i++) {
        status = bn_checkpoint_dir_step(path, dir, list.steps[i], err);
        if (status == BN_OK) status = attempt_file(a, what, path, err);
    }
    if (status == BN_OK && !a->found) {
        status = bn_path_join(path, dir, BN_CHECKPOINT_BEST, err);
        if (status == BN_OK) status = attempt_file(a, what, path, err);
    }
    free(list.steps);
    return status;
}

bn_status bn_checkpoint_resume(const bn_checkpoint *what, const char *dir, bn_listener listener,
                               bool *found, bn_error *err)
{
    sheet s;
    *found = false;
    if (sheet_init(&s, what, err) != BN_OK) return err->status;
    attempt a = {.tables = &s, .listener = listener};
    bn_status status = attempt_all(&a, what, dir, err);
    *found = status == BN_OK && a.found;
    if (status == BN_OK && a.other_run.status != BN_OK) {
        if (!a.found) status = bn_fail(err, BN_EINVAL, "%s", a.other_run.text);
        if (a.found && listener.say) listener.say(listener.self, a.other_run.text);
    }
    if (status == BN_OK && !a.found && a.refused > 0 && listener.say) {
        listener.say(listener.self, "no checkpoint is sound: the run starts from the beginning");
    }
    sheet_release(&s);
    return status;
}

bn_status bn_checkpoint_config(bn_config *config, const bn_st_reader *file, bn_error *err)
{
    char key[NAME_MAX_BYTES];
    size_t count = 0;
    const bn_knob *knobs = bn_knob_table(&count);
    bn_config_init(config);
    for (size_t i = 0; i < count; i++) {
        knob_key(key, &knobs[i]);
        const char *text = bn_st_meta_of(file, key);
        if (!text) continue;
        if (bn_config_set(config, knobs[i].name, text, err) != BN_OK) return err->status;
    }
    if (config->model.vocab > 0) return bn_config_resolve(config, err);
    return bn_fail(err, BN_ECORRUPT, "it does not say what it was trained with");
}
