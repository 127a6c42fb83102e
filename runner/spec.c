#include "runner/spec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/record.h"
#include "runner/spec_read.h"

void bn_spec_release(bn_spec *spec)
{
    free(spec->source);
    for (int i = 0; i < BN_SPEC_ARGS_MAX; i++) free(spec->command[i]);
    bn_space_release(&spec->space);
    free(spec->enqueue);
    memset(spec, 0, sizeof *spec);
}

bn_pruner bn_spec_pruner(const bn_spec *spec)
{
    const bn_early *early = &spec->early;
    return (bn_pruner){.type = early->type,
                       .maximize = spec->maximize,
                       .min_iter = early->min_iter,
                       .max_iter = early->max_iter,
                       .s = early->s,
                       .eta = early->eta,
                       .strict = early->strict,
                       .threshold = early->threshold};
}

static void set_defaults(bn_spec *spec, const char *file)
{
    memset(spec, 0, sizeof *spec);
    (void)snprintf(spec->file, sizeof spec->file, "%s", file);
    (void)snprintf(spec->metric, sizeof spec->metric, "val/loss");
    (void)snprintf(spec->goal, sizeof spec->goal, "minimize");
    (void)snprintf(spec->impute, sizeof spec->impute, "worst");
    spec->target = NAN;
    (void)snprintf(spec->order, sizeof spec->order, "grid");
    spec->replicates = 1;
    spec->resources.grace_s = 30;
    spec->early.eta = 3;
    spec->early.threshold = NAN;
    spec->early.strict = true; /* as wandb's schema has it */
    bn_config_init(&spec->config);
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    size_t length = strcspn(base, ".");
    if (length > 0 && length < sizeof spec->name) memcpy(spec->name, base, length);
}

/* A sweep's name is a folder's too. */
static bn_status check_name(const bn_spec_reader *reader)
{
    const char *name = reader->spec->name;
    const bn_toml_node *node = bn_toml_get(reader->root, "name");
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    bool fine = *name && *name != '.' && *name != '-' && strspn(name, plain) == strlen(name);
    if (fine && strlen(name) <= 64) return BN_OK;
    return bn_spec_fail(reader, node ? bn_toml_line(node) : 1,
                        "'name' must be 1 to 64 of A-Z a-z 0-9 _ . - and not begin with . or -, "
                        "is '%.70s'",
                        name);
}

/* Other methods have an order of their own: a key that changes nothing is a mistake. */
static bn_status check_order(const bn_spec_reader *reader)
{
    const bn_toml_node *node = bn_toml_get(reader->root, "order");
    const char *method = reader->spec->method;
    if (!node || strcmp(method, "grid") == 0) return BN_OK;
    return bn_spec_fail(reader, bn_toml_line(node),
                        "'order' is of a grid; method '%s' has an order of its own", method);
}

static bn_status read_section(bn_spec_reader *reader, const char *section)
{
    const bn_toml_node *node = NULL;
    bn_status status = bn_spec_section(reader, section, &node);
    return node ? bn_spec_read_keys(reader, node, section) : status;
}

static const char *const RETRY_WORDS[] = {"failed",  "crashed", "preempted", "oom", "timeout",
                                          "stalled", "lost",    "diverged",  NULL};

static bn_status read_retry_on(bn_spec_reader *reader)
{
    bn_resources *resources = &reader->spec->resources;
    const bn_toml_node *section = bn_toml_get(reader->root, "resources");
    const bn_toml_node *list = section ? bn_toml_get(section, "retry_on") : NULL;
    if (!list) return BN_OK;
    const char *wanted = "'resources.retry_on' must be an array of failed, crashed, preempted, "
                         "oom, timeout, stalled, lost, diverged";
    size_t count = bn_toml_count(list);
    if (bn_toml_kind_of(list) != BN_TOML_ARRAY || count > 8) {
        return bn_spec_fail(reader, bn_toml_line(list), "%s", wanted);
    }
    for (size_t i = 0; i < count; i++) {
        const bn_toml_node *item = bn_toml_at(list, i);
        const char *word = bn_toml_kind_of(item) == BN_TOML_TEXT ? bn_toml_text(item) : "";
        bool known = false;
        for (int k = 0; RETRY_WORDS[k] && !known; k++) known = strcmp(RETRY_WORDS[k], word) == 0;
        if (!known) {
            return bn_spec_fail(reader, bn_toml_line(item), "%s; not '%.20s'", wanted, word);
        }
        (void)snprintf(resources->retry_on[i], sizeof resources->retry_on[i], "%s", word);
    }
    resources->retry_on_count = (int)count;
    return BN_OK;
}

static bn_status check_early(const bn_spec_reader *reader)
{
    const bn_early *early = &reader->spec->early;
    const bn_toml_node *node = bn_toml_get(reader->root, "early_terminate");
    if (!node) return BN_OK;
    int line = bn_toml_line(node);
    if (!*early->type) {
        return bn_spec_fail(reader, line,
                            "'early_terminate.type' is missing; expected one of "
                            "hyperband, asha, median, threshold");
    }
    bool asha = strcmp(early->type, "asha") == 0;
    if (asha && early->min_iter == 0) {
        return bn_spec_fail(reader, line, "asha must have 'min_iter', the step of its first rung");
    }
    if (strcmp(early->type, "threshold") == 0 && isnan(early->threshold)) {
        return bn_spec_fail(reader, line,
                            "threshold must have 'threshold', the worst value allowed");
    }
    bool bands = early->min_iter > 0 || (early->max_iter > 0 && early->s > 0);
    if (strcmp(early->type, "hyperband") == 0 && !bands) {
        return bn_spec_fail(reader, line, "hyperband must have 'min_iter', or 'max_iter' and 's'");
    }
    return BN_OK;
}

static bn_status read_parts(bn_spec_reader *reader)
{
    bn_status (*const parts[])(bn_spec_reader *) = {
        bn_spec_read_command, bn_spec_read_config,      bn_spec_read_parameters, bn_spec_read_zips,
        bn_spec_read_derived, bn_spec_read_constraints, bn_spec_read_baseline,   read_retry_on,
    };
    static const char *const sections[] = {"metric", "resources", "early_terminate", "baseline"};
    bn_status status = bn_spec_read_keys(reader, reader->root, "");
    for (size_t i = 0; i < sizeof sections / sizeof sections[0] && status == BN_OK; i++) {
        status = read_section(reader, sections[i]);
    }
    if (status == BN_OK && !*reader->spec->method) {
        status = bn_spec_fail(
            reader, 1, "'method' is missing; expected one of grid, random, sobol, tpe, gp, bayes");
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == BN_OK; i++) {
        status = parts[i](reader);
    }
    return status;
}

/* Resolves every point of a grid (the first of them when they are many), and the first ones of
 * another method. */
static bn_status check_points(const bn_spec *spec, bn_search *search, bn_config *config,
                              bn_error *err)
{
    enum { CHECKED_MAX = 20000, CHECKED_DRAWS = 20 };
    int64_t count = bn_search_count(search);
    if (count == 0) {
        return bn_fail(err, BN_EINVAL, "%s: the constraints leave no point of the grid",
                       spec->file);
    }
    if (count < 0 || count > CHECKED_MAX) count = count < 0 ? CHECKED_DRAWS : CHECKED_MAX;
    for (int64_t i = 0; i < count && !bn_search_learns(search); i++) {
        bn_point point;
        char name[96];
        bn_status status = bn_search_suggest(search, i, NULL, 0, &point, err);
        if (status == BN_ENOENT && i > 0) { /* a small space is exhausted */
            *err = (bn_error){0};
            break;
        }
        if (status != BN_OK) return bn_fail_in(err, "%s", spec->file);
        if (!spec->builtin || bn_spec_config(spec, &point, 0, config, err) == BN_OK) continue;
        bn_spec_run_name(spec, &point, 0, name);
        return bn_fail_in(err, "%s: run '%s'", spec->file, name);
    }
    return BN_OK;
}

/* Replicates are told apart by their seeds alone: one that varies as well would give two runs the
 * same one. */
static bn_status check_seeds(const bn_spec_reader *reader)
{
    const bn_spec *spec = reader->spec;
    const char *name = spec->builtin ? "train.seed" : "seed";
    int place = bn_space_find(&spec->space, name);
    if (spec->replicates == 1 || place < 0) return BN_OK;
    const bn_parameter *p = &spec->space.params[place];
    bool whole = p->value_count == 1 && p->values[0].kind == BN_SETTING_INT;
    if (!p->derived && whole) return BN_OK;
    return bn_spec_fail(reader, reader->param_lines[place],
                        "'%s' is varied, and 'replicates' sets it too: give each value of it here, "
                        "or one whole number and replicates = %d",
                        name, spec->replicates);
}

static bn_status check_search(bn_spec *spec, bn_config *config, bn_error *err)
{
    bn_search *search = NULL;
    spec->maximize = strcmp(spec->goal, "maximize") == 0;
    spec->search = (bn_search_options){
        .method = spec->method,
        .order = spec->order,
        .seed = (uint64_t)spec->seed,
        .enqueue = spec->enqueue,
        .enqueue_count = spec->enqueue_count,
    };
    bn_status status = bn_search_open(&search, &spec->space, &spec->search, err);
    if (status != BN_OK) return bn_fail_in(err, "%s", spec->file);
    status = check_points(spec, search, config, err);
    bn_search_close(search);
    return status;
}

/* What the knobs that do not vary are, for formulas. */
static bn_status keep_fixed(bn_spec_reader *reader)
{
    bn_space *space = &reader->spec->space;
    size_t count = 0;
    const bn_knob *knobs = bn_knob_table(&count);
    if (!reader->spec->builtin) return BN_OK;
    space->fixed = calloc(count, sizeof *space->fixed);
    if (!space->fixed) return bn_fail(reader->err, BN_ENOMEM, "too little memory for knobs");
    for (size_t i = 0; i < count; i++) {
        bn_fixed *fixed = &space->fixed[space->fixed_count++];
        bn_text text;
        char value[BN_CONFIG_TEXT_MAX];
        bn_text_fixed(&text, value, sizeof value);
        bn_config_get(&reader->spec->config, &knobs[i], &text);
        bool words = knobs[i].kind == BN_KNOB_TEXT || knobs[i].kind == BN_KNOB_CHOICE;
        fixed->value = words ? bn_setting_of_text(value) : bn_setting_parse(value);
        (void)snprintf(fixed->name, sizeof fixed->name, "%s", knobs[i].name);
    }
    return BN_OK;
}

static bn_status read_text(bn_spec_reader *reader, size_t bytes, const char *const *overrides,
                           size_t count)
{
    bn_spec *spec = reader->spec;
    bn_toml *document = NULL;
    bn_status status = bn_toml_parse(&document, spec->source, bytes, spec->file, reader->err);
    if (status != BN_OK) return status;
    reader->root = bn_toml_root(document);
    status = read_parts(reader);
    for (size_t i = 0; i < count && status == BN_OK; i++) {
        status = bn_spec_override(reader, overrides[i]);
    }
    bn_metric_name_clean(spec->metric);
    if (status == BN_OK) status = keep_fixed(reader);
    if (status == BN_OK) status = bn_spec_read_enqueue(reader);
    if (status == BN_OK) status = check_name(reader);
    if (status == BN_OK) status = check_early(reader);
    if (status == BN_OK) status = bn_spec_check_command(reader);
    if (status == BN_OK) status = check_seeds(reader);
    if (status == BN_OK) status = check_order(reader);
    if (status == BN_OK) status = check_search(spec, reader->scratch, reader->err);
    if (status == BN_OK) status = bn_spec_hash(spec, reader->err);
    bn_toml_close(document);
    return status;
}

/* With out->source in place. */
static bn_status read_source(bn_spec *out, size_t bytes, const char *const *overrides, size_t count,
                             bn_error *err)
{
    bn_config scratch = out->config;
    bn_spec_reader reader = {.spec = out, .scratch = &scratch, .err = err};
    bn_status status = read_text(&reader, bytes, overrides, count);
    if (status != BN_OK) bn_spec_release(out);
    return status;
}

bn_status bn_spec_read(bn_spec *out, const char *file, const char *const *overrides, size_t count,
                       bn_error *err)
{
    size_t bytes = 0;
    set_defaults(out, file);
    bn_status status = bn_file_read(file, BN_SPEC_BYTES_MAX, &out->source, &bytes, err);
    return status == BN_OK ? read_source(out, bytes, overrides, count, err) : status;
}

bn_status bn_spec_parse(bn_spec *out, const char *file, const char *text,
                        const char *const *overrides, size_t count, bn_error *err)
{
    set_defaults(out, file);
    out->source = strdup(text);
    if (!out->source) return bn_fail(err, BN_ENOMEM, "too little memory for %s", file);
    return read_source(out, strlen(text), overrides, count, err);
}
