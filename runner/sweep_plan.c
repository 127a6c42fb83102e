#include "runner/sweep_plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sha256.h"

enum { CHUNK = 256, PARAMS_MAX = 160 }; /* rows of one transaction; parameters of one row */

struct bn_plan {
    const bn_spec *spec;
    bn_search *search;
    int64_t last_index; /* configuration that `last` holds; -1: none */
    bn_point last;
    uint64_t *names; /* hashes of the folder names in use: open addressing, 0 is free */
    size_t names_room, names_count;
    int64_t names_upto; /* numbers below it are in names */
};

bn_status bn_plan_open(bn_plan **out, const bn_spec *spec, bn_error *err)
{
    bn_plan *plan = calloc(1, sizeof *plan);
    *out = NULL;
    if (!plan) return bn_fail(err, BN_ENOMEM, "no memory for a plan");
    plan->spec = spec;
    plan->last_index = -1;
    if (bn_search_open(&plan->search, &spec->space, &spec->search, err) != BN_OK) {
        bn_plan_close(plan);
        return err->status;
    }
    *out = plan;
    return BN_OK;
}

void bn_plan_close(bn_plan *plan)
{
    if (!plan) return;
    bn_search_close(plan->search);
    free(plan->names);
    free(plan);
}

int64_t bn_plan_count(const bn_plan *plan)
{
    int64_t configurations = bn_search_count(plan->search), cap = plan->spec->run_cap;
    if (configurations < 0) return cap > 0 ? cap : -1;
    int64_t runs = configurations * plan->spec->replicates;
    return cap > 0 && cap < runs ? cap : runs;
}

bool bn_plan_learns(const bn_plan *plan)
{
    return bn_search_learns(plan->search);
}

void bn_plan_tally(const bn_plan *plan, bn_search_tally *out)
{
    bn_search_tally_of(plan->search, out);
}

void bn_planned_release(bn_planned *planned)
{
    bn_text_release(&planned->config_json);
}

/* The seed of a program's replicate, which counts up from the parameter of that name where there is
 * one. False: the parameter says it all. */
static bool program_seed(const bn_spec *spec, const bn_point *point, int replicate, int64_t *seed)
{
    int own = bn_space_find(&spec->space, "seed");
    if (spec->builtin || (own >= 0 && spec->replicates == 1)) return false;
    *seed = own < 0 ? spec->config.train.seed : (int64_t)point->values[own].number;
    *seed += replicate;
    return true;
}

/* What an external program is given: the point, and the seed of the replicate. */
static void external_json(const bn_spec *spec, const bn_point *point, int replicate, bn_text *out)
{
    int64_t seed = 0;
    bool counts = program_seed(spec, point, replicate, &seed);
    bn_json json = {.text = out};
    bn_json_object(&json);
    for (int i = 0; i < point->count; i++) {
        const char *name = spec->space.params[i].name;
        bool ours = counts && strcmp(name, "seed") == 0;
        if (point->values[i].kind == BN_SETTING_NONE || ours) continue;
        bn_json_key(&json, name);
        bn_setting_json(&point->values[i], &json);
    }
    if (counts) {
        bn_json_key(&json, "seed");
        bn_json_int(&json, seed);
    }
    bn_json_end_object(&json);
}

static void hash_text(const char *text, char hex[BN_SHA256_HEX])
{
    bn_sha256 hash;
    bn_sha256_init(&hash);
    bn_sha256_add(&hash, text, strlen(text));
    bn_sha256_end(&hash, hex);
}

static bn_status describe_builtin(const bn_spec *spec, bn_planned *out, bn_error *err)
{
    bn_text identity = {0};
    bn_json hashed = {.text = &identity}, whole = {.text = &out->config_json};
    if (bn_spec_config(spec, &out->point, out->replicate, &out->config, err) != BN_OK) {
        return bn_fail_in(err, "run %lld", (long long)out->number);
    }
    bn_config_json(&out->config, false, &whole);
    bn_config_json(&out->config, true, &hashed);
    if (!identity.failed) hash_text(identity.data, out->config_hash);
    bool failed = identity.failed || out->config_json.failed;
    bn_text_release(&identity);
    char word[32];
    (void)snprintf(out->variant, sizeof out->variant, "%.15s",
                   bn_config_word(&out->config, "quant.variant", word));
    return failed ? bn_fail(err, BN_ENOMEM, "no memory for a configuration") : BN_OK;
}

static bn_status describe_external(const bn_spec *spec, bn_planned *out, bn_error *err)
{
    bn_text identity = {0};
    int place = bn_space_find(&spec->space, "quant.variant");
    external_json(spec, &out->point, out->replicate, &out->config_json);
    for (int i = 0; spec->command[i]; i++) bn_text_addf(&identity, "%s\n", spec->command[i]);
    bn_text_add(&identity, out->config_json.data ? out->config_json.data : "");
    if (!identity.failed) hash_text(identity.data, out->config_hash);
    bool failed = identity.failed || out->config_json.failed;
    bn_text_release(&identity);
    out->variant[0] = '\0';
    if (place >= 0) {
        (void)snprintf(out->variant, sizeof out->variant, "%.15s", out->point.values[place].text);
    }
    return failed ? bn_fail(err, BN_ENOMEM, "no memory for a configuration") : BN_OK;
}

static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return hash ? hash : 1;
}

static bool insert_hash(uint64_t *table, size_t room, uint64_t hash)
{
    size_t place = (size_t)(hash % room);
    while (table[place]) {
        if (table[place] == hash) return false;
        place = (place + 1) % room;
    }
    table[place] = hash;
    return true;
}

/* Whether a name is new in this plan; it then is taken. */
static bool take_name(bn_plan *plan, const char *name)
{
    if (plan->names_count * 2 >= plan->names_room) {
        size_t room = plan->names_room ? plan->names_room * 2 : 1024;
        uint64_t *table = calloc(room, sizeof *table);
        if (!table) return false; /* then the name gets its number: longer, still right */
        for (size_t i = 0; i < plan->names_room; i++) {
            if (plan->names[i]) (void)insert_hash(table, room, plan->names[i]);
        }
        free(plan->names);
        plan->names = table;
        plan->names_room = room;
    }
    bool fresh = insert_hash(plan->names, plan->names_room, hash_name(name));
    plan->names_count += fresh;
    return fresh;
}

void bn_plan_know(bn_plan *plan, const bn_run *run)
{
    (void)take_name(plan, run->name);
    if (run->number >= plan->names_upto) plan->names_upto = run->number + 1;
}

void bn_plan_prime(bn_plan *plan, int64_t index, const bn_point *point)
{
    plan->last = *point;
    plan->last_index = index;
}

/* One part of a path from a name that anyone may have written. */
static void folder_part(char *out, size_t size, const char *name)
{
    (void)snprintf(out, size, "%s", *name ? name : "_");
    for (char *c = out; *c; c++) {
        bool plain = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') ||
                     *c == '-' || *c == '_' || (*c == '.' && c != out);
        if (!plain) *c = '_';
    }
}

/* The run's name, and its folder <sweep>/<name>; a name that was there before gets the number.
 * Names are handed out in the order of the numbers, so that they are always the same. */
static void name_run(bn_plan *plan, bn_planned *out)
{
    char sweep[BN_NAME_MAX], name[BN_NAME_MAX], spoken[BN_NAME_MAX];
    bn_spec_run_name(plan->spec, &out->point, out->replicate, spoken);
    (void)snprintf(out->name, sizeof out->name, "%s", spoken);
    bool fresh = out->number >= plan->names_upto && take_name(plan, spoken);
    if (!fresh) {
        (void)snprintf(out->name, sizeof out->name, "%.72s-n%lld", spoken, (long long)out->number);
    }
    if (out->number >= plan->names_upto) plan->names_upto = out->number + 1;
    folder_part(sweep, sizeof sweep, plan->spec->name);
    folder_part(name, sizeof name, out->name);
    (void)snprintf(out->dir, sizeof out->dir, "%s/%s", sweep, name);
}

bn_status bn_plan_at(bn_plan *plan, int64_t number, bn_lessons lessons, bn_planned *out,
                     bn_error *err)
{
    const bn_spec *spec = plan->spec;
    int64_t index = number / spec->replicates, count = bn_plan_count(plan);
    if (count >= 0 && number >= count) {
        return bn_fail(err, BN_ENOENT, "the sweep has only %lld runs", (long long)count);
    }
    if (index != plan->last_index) {
        plan->last_index = -1;
        bn_status status =
            bn_search_suggest(plan->search, index, lessons.trials, lessons.count, &plan->last, err);
        if (status != BN_OK) return status;
        plan->last_index = index;
    }
    out->number = number;
    out->replicate = (int)(number % spec->replicates);
    out->point = plan->last;
    bn_text_clear(&out->config_json);
    bn_status status =
        spec->builtin ? describe_builtin(spec, out, err) : describe_external(spec, out, err);
    if (status == BN_OK) name_run(plan, out);
    return status;
}

static bool is_varied(const bn_spec *spec, const char *name)
{
    int place = bn_space_find(&spec->space, name);
    if (place < 0) return false;
    const bn_parameter *p = &spec->space.params[place];
    return p->dist != BN_DIST_CONSTANT && (p->dist != BN_DIST_CATEGORICAL || p->value_count > 1);
}

static void set_param(bn_param *out, const bn_spec *spec, const char *name, const bn_text *value)
{
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    (void)snprintf(out->value, sizeof out->value, "%s", value->data);
    out->varied = is_varied(spec, name);
    /* A text that was cut is no longer JSON; the whole of it stands in the run's configuration. */
    if (value->length >= sizeof out->value) {
        (void)snprintf(out->value + sizeof out->value - 5, 5, "...\"");
    }
}

/* Every knob, or for an external program every parameter. */
static size_t fill_params(const bn_spec *spec, const bn_planned *run, bn_param *out)
{
    size_t knobs = 0, count = 0;
    int64_t seed = 0;
    bool counts = program_seed(spec, &run->point, run->replicate, &seed);
    char words[4096];
    const bn_knob *table = bn_knob_table(&knobs);
    for (size_t i = 0; spec->builtin && i < knobs && count < PARAMS_MAX; i++) {
        bn_text text;
        bn_text_fixed(&text, words, sizeof words);
        bn_json json = {.text = &text};
        bn_config_json_value(&run->config, &table[i], &json);
        set_param(&out[count++], spec, table[i].name, &text);
    }
    for (int i = 0; i < run->point.count && count < PARAMS_MAX; i++) {
        const char *name = spec->space.params[i].name;
        bool known =
            spec->builtin ? bn_knob_find(name) != NULL : counts && strcmp(name, "seed") == 0;
        if (known || run->point.values[i].kind == BN_SETTING_NONE) continue;
        bn_text text;
        bn_text_fixed(&text, words, sizeof words);
        bn_json json = {.text = &text};
        bn_setting_json(&run->point.values[i], &json);
        set_param(&out[count++], spec, name, &text);
    }
    /* So that twins are told by their seeds, not by the order in which they end. */
    if (counts && count < PARAMS_MAX) {
        bn_text text;
        bn_text_fixed(&text, words, sizeof words);
        bn_text_addf(&text, "%lld", (long long)seed);
        set_param(&out[count++], spec, "seed", &text);
    }
    return count;
}

static bn_run_new row_of(const bn_planned *run, int64_t sweep, const bn_param *params, size_t count)
{
    return (bn_run_new){.sweep = sweep,
                        .number = (int)run->number,
                        .name = run->name,
                        .config_json = run->config_json.data,
                        .params = params,
                        .param_count = count,
                        .variant = run->variant,
                        .config_hash = run->config_hash,
                        .dir = run->dir};
}

/* Memory of the rows of one transaction. */
typedef struct chunk {
    bn_planned *planned;
    bn_param *params;
    bn_run_new *rows;
} chunk;

static void release_chunk(chunk *c)
{
    for (int i = 0; c->planned && i < CHUNK; i++) bn_planned_release(&c->planned[i]);
    free(c->planned);
    free(c->params);
    free(c->rows);
}

static bn_status fill_chunk(bn_plan *plan, const bn_plan_range *part, const chunk *c, size_t *count,
                            bn_error *err)
{
    *count = 0;
    while ((int64_t)*count < part->count) {
        bn_planned *run = &c->planned[*count];
        bn_param *params = &c->params[*count * PARAMS_MAX];
        bn_status status = bn_plan_at(plan, part->first + (int64_t)*count, part->lessons, run, err);
        if (status == BN_ENOENT) {
            *err = (bn_error){0}; /* exhausted: fewer than hoped for */
            return BN_OK;
        }
        if (status != BN_OK) return status;
        size_t filled = fill_params(plan->spec, run, params);
        c->rows[*count] = row_of(run, part->sweep, params, filled);
        (*count)++;
    }
    return BN_OK;
}

static bn_status add_chunks(bn_plan *plan, const bn_plan_range *range, const chunk *c,
                            int64_t *added, bn_error *err)
{
    while (*added < range->count) {
        size_t filled = 0;
        bn_plan_range part = *range;
        part.first += *added;
        part.count = range->count - *added < CHUNK ? range->count - *added : CHUNK;
        bn_status status = fill_chunk(plan, &part, c, &filled, err);
        if (status != BN_OK || filled == 0) return status;
        status = bn_run_add_all(range->store, c->rows, filled, err);
        if (status != BN_OK) return status;
        *added += (int64_t)filled;
        if ((int64_t)filled < part.count) break;
    }
    return BN_OK;
}

bn_status bn_plan_add(bn_plan *plan, const bn_plan_range *range, int64_t *added, bn_error *err)
{
    chunk c = {.planned = calloc(CHUNK, sizeof *c.planned),
               .params = calloc((size_t)CHUNK * PARAMS_MAX, sizeof *c.params),
               .rows = calloc(CHUNK, sizeof *c.rows)};
    bn_status status = BN_OK;
    *added = 0;
    if (c.planned && c.params && c.rows) {
        status = add_chunks(plan, range, &c, added, err);
    } else {
        status = bn_fail(err, BN_ENOMEM, "no memory for a plan");
    }
    release_chunk(&c);
    return status;
}
