#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "runner/spec_read.h"

#define FIELD(part) offsetof(bn_spec, part), sizeof(((bn_spec *)0)->part)

/* clang-format off: a table reads by its columns */
static const bn_spec_key KEYS[] = {
    {"name", BN_KEY_TEXT, FIELD(name), 0, 0, NULL},
    {"description", BN_KEY_TEXT, FIELD(description), 0, 0, NULL},
    {"project", BN_KEY_TEXT, FIELD(project), 0, 0, NULL},
    {"entity", BN_KEY_TEXT, FIELD(entity), 0, 0, NULL},
    {"method", BN_KEY_CHOICE, FIELD(method), 0, 0, "grid|random|sobol|tpe|gp|bayes"},
    {"order", BN_KEY_CHOICE, FIELD(order), 0, 0, "grid|shuffle|sobol"},
    {"metric", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"metric.name", BN_KEY_TEXT, FIELD(metric), 0, 0, NULL},
    {"metric.goal", BN_KEY_CHOICE, FIELD(goal), 0, 0, "minimize|maximize"},
    {"metric.target", BN_KEY_REAL, FIELD(target), -1e300, 1e300, NULL},
    {"metric.impute", BN_KEY_CHOICE, FIELD(impute), 0, 0, "worst|best|latest"},
    {"parameters", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"zip", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"derived", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"constraints", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"enqueue", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"config", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"run", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"run.command", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"command", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"program", BN_KEY_TEXT, FIELD(program), 0, 0, NULL},
    {"seed", BN_KEY_INT64, FIELD(seed), 0, 9007199254740991.0, NULL},
    {"run_cap", BN_KEY_INT64, FIELD(run_cap), 1, 1e9, NULL},
    {"replicates", BN_KEY_INT, FIELD(replicates), 1, 10000, NULL},
    {"resources", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"resources.jobs", BN_KEY_INT, FIELD(resources.jobs), 0, 4096, NULL},
    {"resources.threads", BN_KEY_INT, FIELD(resources.threads), 0, 1024, NULL},
    {"resources.gpus", BN_KEY_INT, FIELD(resources.gpus), 0, 64, NULL},
    {"resources.timeout", BN_KEY_SECONDS, FIELD(resources.timeout_s), 0, 1e9, NULL},
    {"resources.stall_timeout", BN_KEY_SECONDS, FIELD(resources.stall_timeout_s), 0, 1e9, NULL},
    {"resources.grace", BN_KEY_SECONDS, FIELD(resources.grace_s), 0, 1e6, NULL},
    {"resources.retries", BN_KEY_INT, FIELD(resources.retries), 0, 1000, NULL},
    {"resources.retry_on", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"resources.max_initial_failures", BN_KEY_INT, FIELD(resources.max_initial_failures), 0, 1e6,
     NULL},
    {"early_terminate", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"early_terminate.type", BN_KEY_CHOICE, FIELD(early.type), 0, 0,
     "hyperband|asha|median|threshold"},
    {"early_terminate.min_iter", BN_KEY_INT64, FIELD(early.min_iter), 1, 1e15, NULL},
    {"early_terminate.max_iter", BN_KEY_INT64, FIELD(early.max_iter), 1, 1e15, NULL},
    {"early_terminate.s", BN_KEY_INT, FIELD(early.s), 0, 100, NULL},
    {"early_terminate.eta", BN_KEY_REAL, FIELD(early.eta), 1.01, 1e6, NULL},
    {"early_terminate.strict", BN_KEY_BOOL, FIELD(early.strict), 0, 1, NULL},
    {"early_terminate.threshold", BN_KEY_REAL, FIELD(early.threshold), -1e300, 1e300, NULL},
    {"early_terminate.protect", BN_KEY_TEXT, FIELD(early.protect), 0, 0, NULL},
    {"baseline", BN_KEY_PART, 0, 0, 0, 0, NULL},
    {"baseline.where", BN_KEY_TEXT, FIELD(baseline.where), 0, 0, NULL},
    {"baseline.pair_on", BN_KEY_PART, 0, 0, 0, 0, NULL},
};
/* clang-format on */

enum { KEY_COUNT = sizeof KEYS / sizeof KEYS[0] };

const bn_spec_key *bn_spec_key_table(size_t *count)
{
    *count = KEY_COUNT;
    return KEYS;
}

bn_status bn_spec_fail(const bn_spec_reader *reader, int line, const char *fmt, ...)
{
    char words[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    if (line == 0) return bn_fail(reader->err, BN_EINVAL, "%s", words);
    return bn_fail(reader->err, BN_EINVAL, "%s:%d: %s", reader->spec->file, line, words);
}

bn_status bn_spec_fail_at(const bn_spec_reader *reader, int line)
{
    return bn_fail_in(reader->err, "%s:%d", reader->spec->file, line);
}

const char *bn_spec_describe(const bn_toml_node *node, char out[80])
{
    switch (bn_toml_kind_of(node)) {
    case BN_TOML_TABLE:
        return "a table";
    case BN_TOML_ARRAY:
        return "an array";
    case BN_TOML_TIME:
        return "a date";
    case BN_TOML_BOOL:
        return bn_toml_bool(node) ? "true" : "false";
    case BN_TOML_TEXT:
        (void)snprintf(out, 80, "the text \"%.40s\"", bn_toml_text(node));
        return out;
    case BN_TOML_INT:
        (void)snprintf(out, 80, "%lld", (long long)bn_toml_int(node));
        return out;
    case BN_TOML_REAL:
        (void)snprintf(out, 80, "%.12g", bn_toml_real(node));
        return out;
    }
    return "";
}

bn_status bn_spec_read_setting(const bn_spec_reader *reader, const bn_toml_node *node,
                               const char *what, bn_setting *out)
{
    char found[80];
    int line = bn_toml_line(node);
    switch (bn_toml_kind_of(node)) {
    case BN_TOML_TEXT:
        *out = bn_setting_of_text(bn_toml_text(node));
        if (strlen(bn_toml_text(node)) < sizeof out->text) return BN_OK;
        return bn_spec_fail(reader, line, "%s must be shorter than %d bytes", what,
                            BN_VALUE_TEXT_MAX);
    case BN_TOML_INT:
        if (llabs(bn_toml_int(node)) > 9007199254740991) {
            return bn_spec_fail(reader, line, "%s must be within +-2^53, is %lld", what,
                                (long long)bn_toml_int(node));
        }
        *out = bn_setting_of_number(BN_SETTING_INT, bn_toml_real(node));
        return BN_OK;
    case BN_TOML_REAL:
        *out = bn_setting_of_number(BN_SETTING_REAL, bn_toml_real(node));
        if (isfinite(bn_toml_real(node))) return BN_OK;
        return bn_spec_fail(reader, line, "%s must be a finite number, is %s", what,
                            bn_spec_describe(node, found));
    case BN_TOML_BOOL:
        *out = bn_setting_of_bool(bn_toml_bool(node));
        return BN_OK;
    case BN_TOML_TABLE:
    case BN_TOML_ARRAY:
    case BN_TOML_TIME:
        break;
    }
    return bn_spec_fail(reader, line, "%s must be a number, a text, true or false, is %s", what,
                        bn_spec_describe(node, found));
}

bn_status bn_spec_section(const bn_spec_reader *reader, const char *name, const bn_toml_node **out)
{
    char found[80];
    *out = bn_toml_get(reader->root, name);
    if (!*out || bn_toml_kind_of(*out) == BN_TOML_TABLE) return BN_OK;
    const bn_toml_node *node = *out;
    *out = NULL;
    return bn_spec_fail(reader, bn_toml_line(node), "'%s' must be a table, is %s", name,
                        bn_spec_describe(node, found));
}

static void *field_of(const bn_spec_reader *reader, const bn_spec_key *key)
{
    return (char *)reader->spec + key->offset;
}

static bn_status set_number(const bn_spec_reader *reader, const bn_spec_key *key, double number,
                            int line)
{
    bool whole = key->kind == BN_KEY_INT || key->kind == BN_KEY_INT64;
    if (number < key->min || number > key->max || (whole && number != floor(number))) {
        return bn_spec_fail(reader, line, "'%s' must be %s from %.12g to %.12g, is %.12g",
                            key->name, whole ? "a whole number" : "a number", key->min, key->max,
                            number);
    }
    if (key->kind == BN_KEY_INT) *(int *)field_of(reader, key) = (int)number;
    if (key->kind == BN_KEY_INT64) *(int64_t *)field_of(reader, key) = (int64_t)number;
    if (!whole) *(double *)field_of(reader, key) = number;
    return BN_OK;
}

/* "90s", "10m", "6h", "2d", "1.5h". */
static bool parse_seconds(const char *text, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    const char *units = "smhd";
    static const double seconds[] = {1, 60, 3600, 86400};
    if (end == text || !isfinite(*out) || strlen(end) != 1) return false;
    const char *unit = strchr(units, *end);
    if (!unit) return false;
    *out *= seconds[unit - units];
    return true;
}

static bn_status set_seconds(const bn_spec_reader *reader, const bn_spec_key *key,
                             const bn_setting *value, int line)
{
    double seconds = value->number;
    bool text = value->kind == BN_SETTING_TEXT;
    if ((text && !parse_seconds(value->text, &seconds)) || value->kind == BN_SETTING_BOOL) {
        return bn_spec_fail(reader, line,
                            "'%s' must be seconds or a text such as \"90s\", \"10m\", \"6h\" or "
                            "\"2d\", is '%.40s'",
                            key->name, value->text);
    }
    return set_number(reader, key, seconds, line);
}

static bool is_choice(const char *choices, const char *word)
{
    size_t length = strlen(word);
    for (const char *c = choices; length > 0; c += strcspn(c, "|") + 1) {
        size_t span = strcspn(c, "|");
        if (span == length && strncmp(c, word, span) == 0) return true;
        if (c[span] == '\0') break;
    }
    return false;
}

static bn_status set_text(const bn_spec_reader *reader, const bn_spec_key *key, const char *text,
                          int line)
{
    if (key->kind == BN_KEY_CHOICE && !is_choice(key->choices, text)) {
        return bn_spec_fail(reader, line, "'%s' must be one of %s, is '%.40s'", key->name,
                            key->choices, text);
    }
    if (strlen(text) >= key->size_bytes) {
        return bn_spec_fail(reader, line, "'%s' must be shorter than %zu bytes", key->name,
                            key->size_bytes);
    }
    (void)snprintf(field_of(reader, key), key->size_bytes, "%s", text);
    return BN_OK;
}

static const char *expected(bn_spec_key_kind kind)
{
    switch (kind) {
    case BN_KEY_TEXT:
    case BN_KEY_CHOICE:
        return "a text";
    case BN_KEY_INT:
    case BN_KEY_INT64:
        return "a whole number";
    case BN_KEY_REAL:
    case BN_KEY_SECONDS:
        return "a number";
    case BN_KEY_BOOL:
        return "true or false";
    case BN_KEY_PART:
        break;
    }
    return "a table";
}

/* Whether a value of that kind may stand for the key; found says what stands there. */
static bool kind_fits(bn_spec_key_kind key, bn_setting_kind value)
{
    bool number = value == BN_SETTING_INT || value == BN_SETTING_REAL;
    switch (key) {
    case BN_KEY_TEXT:
    case BN_KEY_CHOICE:
        return value == BN_SETTING_TEXT;
    case BN_KEY_INT:
    case BN_KEY_INT64:
    case BN_KEY_REAL:
        return number;
    case BN_KEY_SECONDS:
        return number || value == BN_SETTING_TEXT;
    case BN_KEY_BOOL:
        return value == BN_SETTING_BOOL;
    case BN_KEY_PART:
        break;
    }
    return false;
}

static bn_status set_value(const bn_spec_reader *reader, const bn_spec_key *key,
                           const bn_setting *value, int line)
{
    if (!kind_fits(key->kind, value->kind)) {
        bool text = value->kind == BN_SETTING_TEXT;
        return bn_spec_fail(reader, line, "'%s' must be %s, is %s%.40s%s", key->name,
                            expected(key->kind), text ? "the text \"" : "", value->text,
                            text ? "\"" : "");
    }
    switch (key->kind) {
    case BN_KEY_TEXT:
    case BN_KEY_CHOICE:
        return set_text(reader, key, value->text, line);
    case BN_KEY_INT:
    case BN_KEY_INT64:
    case BN_KEY_REAL:
        return set_number(reader, key, value->number, line);
    case BN_KEY_SECONDS:
        return set_seconds(reader, key, value, line);
    case BN_KEY_BOOL:
        *(bool *)field_of(reader, key) = value->number != 0;
        return BN_OK;
    case BN_KEY_PART:
        break;
    }
    return BN_OK;
}

/* Part of a key's name below its section: "jobs" of "resources.jobs"; NULL if it is not there. */
static const char *name_in(const bn_spec_key *key, const char *section)
{
    size_t length = strlen(section);
    const char *rest = key->name;
    if (length > 0) {
        if (strncmp(rest, section, length) != 0 || rest[length] != '.') return NULL;
        rest += length + 1;
    }
    return strchr(rest, '.') ? NULL : rest;
}

static const bn_spec_key *find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const char *own = name_in(&KEYS[i], section);
        if (own && strcmp(own, name) == 0) return &KEYS[i];
    }
    return NULL;
}

/* wandb's keys that are not ours, and what to do instead: ignoring them would change what is asked.
 */
static const struct {
    const char *where, *name, *why;
} REFUSED[] = {
    {"[metric]", "impute_while_running",
     "a run in progress counts as what the search expects of it until it ends; leave it out"},
    {"", "controller", "bnexp itself decides what runs next; leave it out"},
    {"", "job", "runs are started from this machine; give 'command'"},
    {"", "image_uri", "runs are started from this machine; give 'command'"},
    {"", "scheduler", "how much runs at a time is for [resources]"},
};

static const char *why_refused(const char *where, const char *name)
{
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        bool same = strcmp(REFUSED[i].where, where) == 0 && strcmp(REFUSED[i].name, name) == 0;
        if (same) return REFUSED[i].why;
    }
    return NULL;
}

static bn_status unknown_key(const bn_spec_reader *reader, const char *where, const char *name,
                             int line, const char *const *names)
{
    size_t count = 0;
    const char *why = why_refused(where, name);
    if (why) {
        return bn_spec_fail(reader, line, "wandb's '%s'%s%s is not read: %s", name,
                            *where ? " in " : "", where, why);
    }
    while (names[count]) count++;
    const char *near = bn_nearest(name, names, count, sizeof *names);
    if (near) {
        return bn_spec_fail(reader, line, "unknown key '%.40s'%s%s; did you mean '%s'?", name,
                            *where ? " in " : "", where, near);
    }
    char list[120] = "";
    bn_text text;
    bn_text_fixed(&text, list, sizeof list);
    for (size_t i = 0; i < count; i++) bn_text_addf(&text, "%s%s", i ? " " : "", names[i]);
    return bn_spec_fail(reader, line, "unknown key '%.40s'%s%s; expected one of %s%s", name,
                        *where ? " in " : "", where, list, text.failed ? " ..." : "");
}

bn_status bn_spec_known_keys(const bn_spec_reader *reader, const bn_toml_node *table,
                             const char *where, const char *const *names)
{
    for (size_t i = 0; i < bn_toml_count(table); i++) {
        const char *key = bn_toml_key(table, i);
        bool known = false;
        for (size_t k = 0; names[k] && !known; k++) known = strcmp(names[k], key) == 0;
        if (!known) return unknown_key(reader, where, key, bn_toml_key_line(table, i), names);
    }
    return BN_OK;
}

static bn_status known_in_section(const bn_spec_reader *reader, const bn_toml_node *table,
                                  const char *section)
{
    const char *names[KEY_COUNT + 1] = {0};
    char where[40] = "";
    size_t count = 0;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const char *own = name_in(&KEYS[i], section);
        if (own) names[count++] = own;
    }
    if (*section) (void)snprintf(where, sizeof where, "[%s]", section);
    return bn_spec_known_keys(reader, table, where, names);
}

bn_status bn_spec_read_keys(bn_spec_reader *reader, const bn_toml_node *table, const char *section)
{
    bn_status status = known_in_section(reader, table, section);
    for (size_t i = 0; i < bn_toml_count(table) && status == BN_OK; i++) {
        const bn_spec_key *key = find_key(section, bn_toml_key(table, i));
        if (!key || key->kind == BN_KEY_PART) continue;
        bn_setting value;
        char what[80];
        (void)snprintf(what, sizeof what, "'%s'", key->name);
        const bn_toml_node *node = bn_toml_at(table, i);
        if (bn_toml_kind_of(node) == BN_TOML_TEXT && key->kind == BN_KEY_TEXT) {
            status = set_text(reader, key, bn_toml_text(node), bn_toml_line(node));
            continue; /* a description may be longer than a value */
        }
        status = bn_spec_read_setting(reader, node, what, &value);
        if (status == BN_OK) status = set_value(reader, key, &value, bn_toml_line(node));
    }
    return status;
}

const char *bn_spec_like_key(const char *name)
{
    const char *near = bn_nearest(name, &KEYS[0].name, KEY_COUNT, sizeof KEYS[0]);
    const char *dot = strchr(name, '.'), *own = near ? strchr(near, '.') : NULL;
    if (!dot || !own) return NULL;
    size_t section = (size_t)(own - near) + 1;
    bool alike = strcmp(dot, own) == 0 || strncmp(name, near, section) == 0;
    return alike ? near : NULL;
}

bn_status bn_spec_set_key(bn_spec_reader *reader, const char *name, const char *text)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(KEYS[i].name, name) != 0 || KEYS[i].kind == BN_KEY_PART) continue;
        bool words = KEYS[i].kind == BN_KEY_TEXT || KEYS[i].kind == BN_KEY_CHOICE;
        bn_setting value = words ? bn_setting_of_text(text) : bn_setting_parse(text);
        return set_value(reader, &KEYS[i], &value, 0);
    }
    return BN_ENOENT;
}
