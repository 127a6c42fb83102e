/* [config], [run] and --set: what is fixed; and the configuration of one run. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/nearest.h"
#include "engine/config_files.h"
#include "runner/spec_macro.h"
#include "runner/spec_read.h"

static const char *kind_word(bn_knob_kind kind)
{
    switch (kind) {
    case BN_KNOB_INT:
        return "a whole number";
    case BN_KNOB_REAL:
        return "a number";
    case BN_KNOB_BOOL:
        return "true or false";
    case BN_KNOB_CHOICE:
    case BN_KNOB_TEXT:
        break;
    }
    return "a text";
}

static bool kind_fits(const bn_knob *knob, bn_setting_kind kind)
{
    bool number = kind == BN_SETTING_INT || kind == BN_SETTING_REAL;
    switch (knob->kind) {
    case BN_KNOB_INT:
    case BN_KNOB_REAL:
        return number;
    case BN_KNOB_BOOL:
        return kind == BN_SETTING_BOOL;
    case BN_KNOB_CHOICE:
        return kind == BN_SETTING_TEXT || kind == BN_SETTING_INT; /* act_bits = 8 */
    case BN_KNOB_TEXT:
        return kind == BN_SETTING_TEXT;
    }
    return false;
}

static bool is_file_knob(const char *name)
{
    return strcmp(name, "data.path") == 0 || strcmp(name, "data.tokenizer") == 0;
}

bn_status bn_spec_resolve_paths(const bn_spec *spec, bn_config *config, bn_error *err)
{
    char folder[BN_PATH_MAX];
    const char *slash = strrchr(spec->file, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - spec->file) : 1,
                   slash ? spec->file : ".");
    return bn_config_find_files(config, *folder ? folder : "/", err);
}

bn_status bn_spec_check_value(const bn_spec_reader *reader, const char *name,
                              const bn_setting *value, int line)
{
    const bn_knob *knob = bn_knob_find(name);
    if (!reader->spec->builtin) return BN_OK;
    if (knob && !kind_fits(knob, value->kind)) {
        bool text = value->kind == BN_SETTING_TEXT;
        return bn_spec_fail(reader, line, "'%s' must be %s, is %s%.60s%s", name,
                            kind_word(knob->kind), text ? "the text \"" : "", value->text,
                            text ? "\"" : "");
    }
    if (bn_config_set(reader->scratch, name, value->text, reader->err) != BN_OK) {
        return bn_spec_fail_at(reader, line);
    }
    if (is_file_knob(name) && *value->text &&
        bn_spec_resolve_paths(reader->spec, reader->scratch, reader->err) != BN_OK) {
        return bn_spec_fail_at(reader, line);
    }
    return BN_OK;
}

static size_t knob_index(const char *name)
{
    size_t count = 0;
    const bn_knob *table = bn_knob_table(&count);
    return (size_t)(bn_knob_find(name) - table);
}

/* A knob's text may be longer than a parameter's value. */
static bn_status set_long_text(bn_spec_reader *reader, const char *name, const char *text, int line)
{
    *reader->scratch = reader->spec->config;
    if (bn_config_set(reader->scratch, name, text, reader->err) != BN_OK ||
        bn_spec_resolve_paths(reader->spec, reader->scratch, reader->err) != BN_OK ||
        bn_config_set(&reader->spec->config, name, text, reader->err) != BN_OK) {
        return bn_spec_fail_at(reader, line);
    }
    return BN_OK;
}

static bn_status set_fixed(bn_spec_reader *reader, const char *name, const bn_toml_node *node,
                           int line)
{
    const bn_knob *knob = bn_knob_find(name);
    bool builtin = reader->spec->builtin;
    char what[96];
    bn_setting value;
    if (builtin && knob) {
        int *seen = &reader->config_lines[knob_index(name)];
        if (*seen) {
            return bn_spec_fail(reader, line, "'%s' is set twice, first in line %d", name, *seen);
        }
        *seen = line;
        if (knob->kind == BN_KNOB_TEXT && bn_toml_kind_of(node) == BN_TOML_TEXT) {
            return set_long_text(reader, name, bn_toml_text(node), line);
        }
    }
    (void)snprintf(what, sizeof what, "'%s'", name);
    bn_status status = bn_spec_read_setting(reader, node, what, &value);
    if (status != BN_OK) return status;
    if (!builtin) return bn_spec_add_constant(reader, name, &value, line);
    status = bn_spec_check_value(reader, name, &value, line);
    if (status != BN_OK) return status;
    return bn_config_set(&reader->spec->config, name, value.text, reader->err);
}

bn_status bn_spec_read_config(bn_spec_reader *reader)
{
    const bn_toml_node *table = NULL;
    bn_status status = bn_spec_section(reader, "config", &table);
    return table ? bn_spec_each_leaf(reader, table, set_fixed) : status;
}

/* Adds a word of the command; wandb's ${program} is what `program` says. */
static bn_status add_argument(bn_spec_reader *reader, size_t place, const char *word)
{
    bn_spec *spec = reader->spec;
    bool program = *spec->program && strcmp(word, "${program}") == 0;
    spec->command[place] = strdup(program ? spec->program : word);
    if (spec->command[place]) return BN_OK;
    return bn_fail(reader->err, BN_ENOMEM, "too little memory for a command");
}

/* What wandb runs when there is a program and no command. */
static bn_status default_command(bn_spec_reader *reader)
{
    static const char *const words[] = {"${env}", "${interpreter}", "${program}", "${args}"};
    bn_status status = BN_OK;
    if (!*reader->spec->program) return BN_OK;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && status == BN_OK; i++) {
        status = add_argument(reader, i, words[i]);
    }
    reader->spec->builtin = false;
    return status;
}

static bn_status read_arguments(bn_spec_reader *reader, const bn_toml_node *list)
{
    bn_spec *spec = reader->spec;
    int line = bn_toml_line(list);
    size_t count = bn_toml_count(list);
    if (bn_toml_kind_of(list) != BN_TOML_ARRAY || count == 0 || count >= BN_SPEC_ARGS_MAX) {
        return bn_spec_fail(reader, line,
                            "'command' must be an array of 1 to %d texts, such as [\"python3\", "
                            "\"train.py\"]",
                            BN_SPEC_ARGS_MAX - 1);
    }
    for (size_t i = 0; i < count; i++) {
        const bn_toml_node *item = bn_toml_at(list, i);
        if (bn_toml_kind_of(item) != BN_TOML_TEXT || (i == 0 && !*bn_toml_text(item))) {
            return bn_spec_fail(reader, bn_toml_line(item), "'command' must hold only texts");
        }
        bn_status status = add_argument(reader, i, bn_toml_text(item));
        if (status != BN_OK) return status;
    }
    spec->builtin = false;
    return BN_OK;
}

/* [run] command, or wandb's command at the top. */
bn_status bn_spec_read_command(bn_spec_reader *reader)
{
    const bn_toml_node *section = NULL;
    const bn_toml_node *top = bn_toml_get(reader->root, "command");
    reader->spec->builtin = true;
    bn_status status = bn_spec_section(reader, "run", &section);
    if (section) status = bn_spec_read_keys(reader, section, "run");
    if (status != BN_OK) return status;
    const bn_toml_node *list = section ? bn_toml_get(section, "command") : NULL;
    if (list && top) {
        return bn_spec_fail(reader, bn_toml_line(top), "'command' is also in [run] (line %d)",
                            bn_toml_line(list));
    }
    if (!list) list = top;
    const bn_toml_node *said = list ? list : bn_toml_get(reader->root, "program");
    reader->command_line = said ? bn_toml_line(said) : 1;
    return list ? read_arguments(reader, list) : default_command(reader);
}

/* One macro of the command; a parameter that it names must be one. */
static bn_status check_macro(const bn_spec_reader *reader, const char *macro, bool whole)
{
    const bn_space *space = &reader->spec->space;
    const char *parameter = bn_macro_parameter(macro);
    int line = reader->command_line;
    if (bn_macro_check(macro, whole, reader->err) != BN_OK) return bn_spec_fail_at(reader, line);
    if (strcmp(macro, "program") == 0) {
        return bn_spec_fail(reader, line,
                            "'command' has ${program}, but there is no key 'program', such as "
                            "program = \"train.py\"");
    }
    bool known = !parameter || strcmp(parameter, "seed") == 0;
    if (known || bn_space_find(space, parameter) >= 0) return BN_OK;
    const char *names[BN_SPACE_PARAMS_MAX];
    for (int i = 0; i < space->count; i++) names[i] = space->params[i].name;
    const char *near = bn_nearest(parameter, names, (size_t)space->count, sizeof names[0]);
    return bn_spec_fail(reader, line, "'command': there is no parameter '%.60s'%s%s%s", parameter,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

bn_status bn_spec_check_command(const bn_spec_reader *reader)
{
    char *const *words = reader->spec->command;
    for (size_t i = 0; words[i]; i++) {
        for (const char *at = strstr(words[i], "${"); at; at = strstr(at + 2, "${")) {
            char macro[BN_MACRO_MAX];
            size_t length = bn_macro_at(at, macro);
            bool whole = at == words[i] && !at[length];
            if (length == 0) continue;
            if (check_macro(reader, macro, whole) != BN_OK) return reader->err->status;
        }
    }
    return BN_OK;
}

/* Makes a parameter a constant. */
static bn_status fix_parameter(bn_spec_reader *reader, bn_parameter *p, const bn_setting *value)
{
    bn_setting *one = malloc(sizeof *one);
    if (!one) return bn_fail(reader->err, BN_ENOMEM, "too little memory for a value");
    *one = *value;
    free(p->values);
    free(p->probabilities);
    bn_expr_free(p->when);
    bn_expr_free(p->derived);
    bn_parameter fixed = {.dist = BN_DIST_CONSTANT, .values = one, .value_count = 1};
    memcpy(fixed.name, p->name, sizeof fixed.name);
    *p = fixed;
    return BN_OK;
}

static bn_status override_knob(bn_spec_reader *reader, const char *name, const char *text)
{
    bn_spec *spec = reader->spec;
    *reader->scratch = spec->config;
    bn_status status = bn_config_set(reader->scratch, name, text, reader->err);
    if (status == BN_OK) status = bn_spec_resolve_paths(spec, reader->scratch, reader->err);
    if (status != BN_OK) return status;
    int place = bn_space_find(&spec->space, name);
    if (place < 0) return bn_config_set(&spec->config, name, text, reader->err);
    bn_setting value = bn_setting_parse(text);
    if (bn_knob_find(name)->kind == BN_KNOB_TEXT) value = bn_setting_of_text(text);
    return fix_parameter(reader, &spec->space.params[place], &value);
}

static bn_status override_parameter(bn_spec_reader *reader, const char *name, const char *text)
{
    bn_space *space = &reader->spec->space;
    bn_setting value = bn_setting_parse(text);
    int place = bn_space_find(space, name);
    if (place >= 0) return fix_parameter(reader, &space->params[place], &value);
    /* A program's parameters may have any name: a misspelt key must not pass for one. */
    const char *key = bn_spec_like_key(name);
    if (key) {
        return bn_fail(reader->err, BN_EINVAL, "there is no key '%.60s'; did you mean '%s'?", name,
                       key);
    }
    return bn_spec_add_constant(reader, name, &value, 1);
}

bn_status bn_spec_override(bn_spec_reader *reader, const char *assignment)
{
    char name[96];
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment || (size_t)(equals - assignment) >= sizeof name) {
        return bn_fail(reader->err, BN_EINVAL,
                       "--set must be knob=value, such as optim.lr=1e-3, is '%.80s'", assignment);
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    const char *text = equals + 1;
    if (strlen(text) >= BN_CONFIG_TEXT_MAX) {
        return bn_fail(reader->err, BN_EINVAL, "--set %s: its value is too long", name);
    }
    bool builtin = reader->spec->builtin;
    bool knob = builtin && bn_knob_find(name);
    bn_status status = knob ? BN_ENOENT : bn_spec_set_key(reader, name, text);
    if (status == BN_ENOENT) {
        status =
            builtin ? override_knob(reader, name, text) : override_parameter(reader, name, text);
    }
    if (status != BN_OK && strncmp(reader->err->text, "--set", 5) != 0) {
        return bn_fail_in(reader->err, "--set %.80s", assignment);
    }
    return status;
}

bn_status bn_spec_config(const bn_spec *spec, const bn_point *point, int replicate, bn_config *out,
                         bn_error *err)
{
    assert(point->count == spec->space.count);
    *out = spec->config;
    for (int i = 0; i < point->count; i++) {
        const char *name = spec->space.params[i].name;
        const bn_setting *value = &point->values[i];
        if (value->kind == BN_SETTING_NONE || !bn_knob_find(name)) continue;
        if (bn_config_set(out, name, value->text, err) != BN_OK) return err->status;
    }
    out->train.seed += replicate;
    bn_status status = bn_spec_resolve_paths(spec, out, err);
    return status == BN_OK ? bn_config_resolve(out, err) : status;
}
