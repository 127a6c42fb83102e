#include "runner/sweep_command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/text.h"
#include "runner/spec_macro.h"

typedef struct builder {
    char **argv;
    size_t count;
    const bn_command_facts *facts;
    json_t *config;
} builder;

static bn_status add(builder *b, const char *word, bn_error *err)
{
    if (b->count == BN_COMMAND_ARGS_MAX) {
        return bn_fail(err, BN_EINVAL, "'command' has more than %d words", BN_COMMAND_ARGS_MAX);
    }
    b->argv[b->count] = strdup(word);
    if (!b->argv[b->count]) return bn_fail(err, BN_ENOMEM, "no memory for a command");
    b->count++;
    return BN_OK;
}

/* A parameter's value as a program expects it on its command line. */
static void value_text(const json_t *value, bn_text *out)
{
    if (json_is_string(value)) {
        bn_text_add(out, json_string_value(value));
    } else if (json_is_integer(value)) {
        bn_text_addf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        bn_text_number(out, json_real_value(value), BN_NONFINITE_BARE);
    } else {
        bn_text_add(out, json_is_true(value) ? "True" : json_is_false(value) ? "False" : "null");
    }
}

/* One parameter in the form of an ${args...} macro: "--lr=0.1", or two words. */
static bn_status add_parameter(builder *b, const char *macro, const char *name, const json_t *value,
                               bn_error *err)
{
    bn_text word = {0};
    bool two = strcmp(macro, "args_no_equals") == 0;
    bool bare = strcmp(macro, "args_no_hyphens") == 0 || strcmp(macro, "args_override_hydra") == 0;
    bool flag = strcmp(macro, "args_no_boolean_flags") == 0 && json_is_boolean(value);
    bn_status status = BN_OK;
    if (flag && json_is_false(value)) return BN_OK;
    bn_text_add(&word, strcmp(macro, "args_append_hydra") == 0 ? "+" : bare ? "" : "--");
    bn_text_add(&word, name);
    if (!flag && !two) bn_text_add(&word, "=");
    if (!flag && !two) value_text(value, &word);
    if (word.failed) status = bn_fail(err, BN_ENOMEM, "no memory for a command");
    if (status == BN_OK) status = add(b, word.data, err);
    if (status == BN_OK && two) {
        bn_text_clear(&word);
        value_text(value, &word);
        status = word.failed ? bn_fail(err, BN_ENOMEM, "no memory for a command")
                             : add(b, word.data ? word.data : "", err);
    }
    bn_text_release(&word);
    return status;
}

static bn_status add_parameters(builder *b, const char *macro, bn_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(b->config, name, value)
    {
        bn_status status = add_parameter(b, macro, name, value, err);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

static bn_status parameter_text(const builder *b, const char *name, bn_text *out, bn_error *err)
{
    const json_t *value = json_object_get(b->config, name);
    if (!value) return bn_fail(err, BN_EINVAL, "'command': no parameter is called '%.60s'", name);
    value_text(value, out);
    return BN_OK;
}

/* A macro inside a word. */
static bn_status put_macro(const builder *b, const char *macro, bn_text *out, bn_error *err)
{
    const bn_command_facts *f = b->facts;
    const char *parameter = bn_macro_parameter(macro);
    if (bn_macro_check(macro, false, err) != BN_OK) return err->status;
    if (strcmp(macro, "run_id") == 0) {
        bn_text_add(out, f->run_id);
    } else if (strcmp(macro, "run_dir") == 0) {
        bn_text_add(out, f->run_dir);
    } else if (strcmp(macro, "gpu") == 0) {
        bn_text_add(out, f->gpu);
    } else if (strcmp(macro, "seed") == 0) {
        bn_text_addf(out, "%lld", (long long)f->seed);
    } else if (strcmp(macro, "slot") == 0) {
        bn_text_addf(out, "%d", f->slot);
    } else if (strcmp(macro, "attempt") == 0) {
        bn_text_addf(out, "%d", f->attempt);
    } else if (strcmp(macro, "args_json") == 0) {
        bn_text_add(out, f->config_json);
    } else if (strcmp(macro, "args_json_file") == 0) {
        bn_text_add(out, f->config_path);
    } else if (parameter) {
        return parameter_text(b, parameter, out, err);
    } else {
        const char *value = getenv(strchr(macro, ':') + 1); /* NOLINT(concurrency-mt-unsafe): one
                                                               thread */
        bn_text_add(out, value ? value : "");
    }
    return BN_OK;
}

static bn_status expand_inside(builder *b, const char *word, bn_error *err)
{
    bn_text out = {0};
    bn_status status = BN_OK;
    bn_text_add(&out, "");
    for (const char *c = word; *c && status == BN_OK;) {
        char macro[BN_MACRO_MAX];
        size_t length = bn_macro_at(c, macro);
        if (length == 0) {
            bn_text_add_bytes(&out, c++, 1);
            continue;
        }
        status = put_macro(b, macro, &out, err);
        c += length;
    }
    if (status == BN_OK && out.failed) status = bn_fail(err, BN_ENOMEM, "no memory for a command");
    if (status == BN_OK) status = add(b, out.data, err);
    bn_text_release(&out);
    return status;
}

static bn_status expand_word(builder *b, const char *word, bn_error *err)
{
    static const char *const lists[] = {"args",
                                        "args_no_equals",
                                        "args_no_hyphens",
                                        "args_no_boolean_flags",
                                        "args_append_hydra",
                                        "args_override_hydra"};
    char macro[BN_MACRO_MAX] = "";
    size_t length = bn_macro_at(word, macro);
    if (word[length]) return expand_inside(b, word, err); /* more than a macro */
    if (strcmp(macro, "env") == 0) return add(b, "/usr/bin/env", err);
    if (strcmp(macro, "interpreter") == 0) return add(b, "python3", err);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (strcmp(macro, lists[i]) == 0) return add_parameters(b, macro, err);
    }
    return expand_inside(b, word, err);
}

bn_status bn_command_expand(char *const *command, const bn_command_facts *facts, char ***out,
                            bn_error *err)
{
    json_error_t why;
    builder b = {.argv = calloc(BN_COMMAND_ARGS_MAX + 1, sizeof(char *)), .facts = facts};
    bn_status status = BN_OK;
    *out = NULL;
    if (!b.argv) return bn_fail(err, BN_ENOMEM, "no memory for a command");
    b.config = json_loads(facts->config_json, 0, &why);
    if (!b.config) status = bn_fail(err, BN_ECORRUPT, "configuration: %s", why.text);
    for (size_t i = 0; status == BN_OK && command[i]; i++) {
        status = expand_word(&b, command[i], err);
    }
    json_decref(b.config);
    if (status == BN_OK) {
        *out = b.argv;
    } else {
        bn_command_release(b.argv);
    }
    return status;
}

void bn_command_release(char **argv)
{
    for (size_t i = 0; argv && argv[i]; i++) free(argv[i]);
    free((void *)argv);
}
