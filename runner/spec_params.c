/* [parameters]: what varies. A parameter is a table of wandb's keys; names may be dotted, quoted or
 * nested: "optim.lr" = {...}, optim.lr = {...}, [parameters.optim.parameters.lr]. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "runner/spec_read.h"

static const char *const PARAMETER_KEYS[] = {
    "value", "values", "distribution", "min",           "max",  "mu", "sigma", "a",
    "b",     "q",      "grid_points",  "probabilities", "when", NULL};

enum { VALUES_MAX = 100000 };

/* One parameter while it is read. */
typedef struct param_part {
    bn_spec_reader *reader;
    bn_parameter *p;
    const bn_toml_node *table;
    int line;
} param_part;

static bool name_is_plain(const char *name)
{
    bool letter = (name[0] | 32) >= 'a' && (name[0] | 32) <= 'z';
    const char *rest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return (letter || name[0] == '_') && strspn(name, rest) == strlen(name);
}

bn_status bn_spec_add_parameter(bn_spec_reader *reader, const char *name, int line,
                                bn_parameter **out)
{
    bn_space *space = &reader->spec->space;
    if (!name_is_plain(name) || strlen(name) >= sizeof space->params[0].name) {
        return bn_spec_fail(reader, line,
                            "a parameter's name must be at most 63 of A-Z a-z 0-9 _ . - and begin "
                            "with a letter, is '%.60s'",
                            name);
    }
    int same = bn_space_find(space, name);
    if (same >= 0) {
        return bn_spec_fail(reader, line, "parameter '%s' stands twice, first in line %d", name,
                            reader->param_lines[same]);
    }
    if (space->count == BN_SPACE_PARAMS_MAX) {
        return bn_spec_fail(reader, line, "there must be at most %d parameters",
                            BN_SPACE_PARAMS_MAX);
    }
    reader->param_lines[space->count] = line;
    *out = &space->params[space->count++];
    (void)snprintf((*out)->name, sizeof(*out)->name, "%s", name);
    return BN_OK;
}

bn_status bn_spec_add_constant(bn_spec_reader *reader, const char *name, const bn_setting *value,
                               int line)
{
    bn_parameter *p = NULL;
    bn_status status = bn_spec_add_parameter(reader, name, line, &p);
    if (status != BN_OK) return status;
    assert(p);
    p->values = malloc(sizeof *p->values);
    if (!p->values) return bn_fail(reader->err, BN_ENOMEM, "too little memory for a value");
    p->values[0] = *value;
    p->value_count = 1;
    return BN_OK;
}

static bn_status read_value(const bn_spec_reader *reader, const char *name,
                            const bn_toml_node *node, bn_setting *out)
{
    char what[80];
    (void)snprintf(what, sizeof what, "a value of '%s'", name);
    bn_status status = bn_spec_read_setting(reader, node, what, out);
    if (status != BN_OK) return status;
    return bn_spec_check_value(reader, name, out, bn_toml_line(node));
}

static bn_status read_constant(const param_part *part)
{
    bn_parameter *p = part->p;
    p->values = calloc(1, sizeof *p->values);
    if (!p->values) return bn_fail(part->reader->err, BN_ENOMEM, "too little memory for a value");
    p->dist = BN_DIST_CONSTANT;
    p->value_count = 1;
    return read_value(part->reader, p->name, bn_toml_get(part->table, "value"), &p->values[0]);
}

static bn_status read_probabilities(const param_part *part)
{
    const bn_toml_node *list = bn_toml_get(part->table, "probabilities");
    bn_parameter *p = part->p;
    if (!list) return BN_OK;
    int line = bn_toml_line(list);
    if (bn_toml_kind_of(list) != BN_TOML_ARRAY || bn_toml_count(list) != (size_t)p->value_count) {
        return bn_spec_fail(part->reader, line,
                            "'probabilities' of '%s' must be an array of %d numbers, one a value",
                            p->name, p->value_count);
    }
    p->probabilities = calloc((size_t)p->value_count, sizeof *p->probabilities);
    if (!p->probabilities) return bn_fail(part->reader->err, BN_ENOMEM, "too little memory");
    double sum = 0;
    for (int i = 0; i < p->value_count; i++) {
        double share = bn_toml_real(bn_toml_at(list, (size_t)i));
        if (!(share >= 0) || !isfinite(share)) sum = NAN;
        sum += share;
        p->probabilities[i] = share;
    }
    if (fabs(sum - 1) < 1e-6) return BN_OK;
    return bn_spec_fail(part->reader, line,
                        "'probabilities' of '%s' must be from 0 to 1 and sum to 1", p->name);
}

bn_status bn_spec_read_values(const bn_spec_reader *reader, bn_parameter *p,
                              const bn_toml_node *list)
{
    char found[80];
    if (bn_toml_kind_of(list) != BN_TOML_ARRAY) {
        return bn_spec_fail(reader, bn_toml_line(list), "'values' of '%s' must be an array, is %s",
                            p->name, bn_spec_describe(list, found));
    }
    size_t count = bn_toml_count(list);
    if (count == 0 || count > VALUES_MAX) {
        return bn_spec_fail(reader, bn_toml_line(list), "'values' of '%s' %s", p->name,
                            count ? "has more than 100000 values"
                                  : "is empty; it must have at least one value");
    }
    p->dist = BN_DIST_CATEGORICAL;
    p->values = calloc(count, sizeof *p->values);
    if (!p->values) return bn_fail(reader->err, BN_ENOMEM, "too little memory for values");
    p->value_count = (int)count;
    for (size_t i = 0; i < count; i++) {
        bn_status status = read_value(reader, p->name, bn_toml_at(list, i), &p->values[i]);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

static bn_status read_values(const param_part *part)
{
    const bn_toml_node *list = bn_toml_get(part->table, "values");
    bn_status status = bn_spec_read_values(part->reader, part->p, list);
    return status == BN_OK ? read_probabilities(part) : status;
}

/* A number among the parameter's keys; keeps *out when it is absent. */
static bn_status read_number(const param_part *part, const char *key, double *out)
{
    const bn_toml_node *node = bn_toml_get(part->table, key);
    char found[80];
    if (!node) return BN_OK;
    bn_toml_kind kind = bn_toml_kind_of(node);
    *out = bn_toml_real(node);
    if ((kind == BN_TOML_INT || kind == BN_TOML_REAL) && isfinite(*out)) return BN_OK;
    return bn_spec_fail(part->reader, bn_toml_line(node), "'%s' of '%s' must be a number, is %s",
                        key, part->p->name, bn_spec_describe(node, found));
}

static bool has(const param_part *part, const char *key)
{
    return bn_toml_get(part->table, key) != NULL;
}

/* What a distribution needs and what it may not have. */
typedef struct dist_needs {
    bool bounds, shapes, values_positive, rounded;
} dist_needs;

static dist_needs needs_of(bn_dist dist)
{
    const char *name = bn_dist_name(dist);
    dist_needs needs = {.rounded = strncmp(name, "q_", 2) == 0};
    needs.shapes = dist == BN_DIST_BETA || dist == BN_DIST_Q_BETA;
    needs.bounds = strstr(name, "uniform") != NULL;
    needs.values_positive = strstr(name, "_values") != NULL;
    return needs;
}

static bn_status check_bounds(const param_part *part, dist_needs needs)
{
    const bn_parameter *p = part->p;
    const char *dist = bn_dist_name(p->dist);
    if (!has(part, "min") || !has(part, "max")) {
        return bn_spec_fail(part->reader, part->line, "'%s' (%s) must have 'min' and 'max'",
                            p->name, dist);
    }
    if (!(p->min < p->max)) {
        return bn_spec_fail(part->reader, part->line,
                            "'%s' must have min < max, has min = %.12g and max = %.12g", p->name,
                            p->min, p->max);
    }
    if (needs.values_positive && p->min <= 0) {
        return bn_spec_fail(part->reader, part->line, "'%s' (%s) must have min > 0, has %.12g",
                            p->name, dist, p->min);
    }
    bool exponents = p->dist == BN_DIST_LOG_UNIFORM || p->dist == BN_DIST_Q_LOG_UNIFORM;
    if (exponents && p->min > 0 && p->max < 1) {
        return bn_spec_fail(part->reader, part->line,
                            "'%s' (%s): min and max are exponents of e here, so values would be "
                            "from %.4g to %.4g; did you mean '%s_values'?",
                            p->name, dist, exp(p->min), exp(p->max), dist);
    }
    if (p->dist != BN_DIST_INT_UNIFORM) return BN_OK;
    if (p->min != floor(p->min) || p->max != floor(p->max)) {
        return bn_spec_fail(part->reader, part->line,
                            "'%s' (int_uniform) must have whole min and max", p->name);
    }
    if (fabs(p->min) > 0x1p53 || fabs(p->max) > 0x1p53) {
        return bn_spec_fail(part->reader, part->line,
                            "'%s' (int_uniform) must have min and max within +-2^53", p->name);
    }
    return BN_OK;
}

static bn_status check_shape(const param_part *part, dist_needs needs)
{
    const bn_parameter *p = part->p;
    if (needs.rounded && !(p->q > 0)) {
        return bn_spec_fail(part->reader, part->line, "'q' of '%s' must be > 0, is %.12g", p->name,
                            p->q);
    }
    if (needs.shapes && !(p->a > 0 && p->b > 0)) {
        return bn_spec_fail(part->reader, part->line, "'%s' (%s) must have 'a' and 'b' > 0",
                            p->name, bn_dist_name(p->dist));
    }
    if (!needs.bounds && !needs.shapes && !(p->sigma > 0)) {
        return bn_spec_fail(part->reader, part->line, "'sigma' of '%s' must be > 0, is %.12g",
                            p->name, p->sigma);
    }
    return needs.bounds ? check_bounds(part, needs) : BN_OK;
}

static bn_status read_grid_points(const param_part *part)
{
    double points = 0;
    bn_status status = read_number(part, "grid_points", &points);
    if (status != BN_OK) return status;
    if (has(part, "grid_points") &&
        (points != floor(points) || points < 1 || points > VALUES_MAX)) {
        return bn_spec_fail(part->reader, part->line,
                            "'grid_points' of '%s' must be a whole number from 1 to %d",
                            part->p->name, VALUES_MAX);
    }
    part->p->grid_points = (int)points;
    return BN_OK;
}

/* The distribution by its word, or by wandb's rule: two whole bounds make it int_uniform. */
static bn_status choose_dist(const param_part *part)
{
    const bn_toml_node *word = bn_toml_get(part->table, "distribution");
    bn_parameter *p = part->p;
    if (!word) {
        const bn_toml_node *min = bn_toml_get(part->table, "min");
        const bn_toml_node *max = bn_toml_get(part->table, "max");
        if (!min && !max) {
            return bn_spec_fail(part->reader, part->line,
                                "'%s' must have 'value', 'values', 'min' and 'max', or a "
                                "'distribution'",
                                p->name);
        }
        bool whole = min && max && bn_toml_kind_of(min) == BN_TOML_INT &&
                     bn_toml_kind_of(max) == BN_TOML_INT;
        p->dist = whole ? BN_DIST_INT_UNIFORM : BN_DIST_UNIFORM;
        return BN_OK;
    }
    size_t count = 0;
    const char *const *names = bn_dist_names(&count);
    const char *text = bn_toml_kind_of(word) == BN_TOML_TEXT ? bn_toml_text(word) : "";
    int dist = bn_dist_find(text);
    if (dist >= 0) {
        p->dist = (bn_dist)dist;
        return BN_OK;
    }
    const char *near = bn_nearest(text, names, count, sizeof *names);
    return bn_spec_fail(part->reader, bn_toml_line(word),
                        "'%s': there is no distribution '%.40s'%s%s%s", p->name, text,
                        near ? "; did you mean '" : "; see docs/sweeps.md", near ? near : "",
                        near ? "'?" : "");
}

/* A knob that counts cannot take a value between: the ends of the distribution are tried on it. */
static bn_status check_range(const param_part *part, dist_needs needs)
{
    const bn_parameter *p = part->p;
    const bn_knob *knob = part->reader->spec->builtin ? bn_knob_find(p->name) : NULL;
    bool whole = p->dist == BN_DIST_INT_UNIFORM || (needs.rounded && p->q == floor(p->q));
    if (knob && knob->kind == BN_KNOB_INT && !whole) {
        return bn_spec_fail(part->reader, part->line,
                            "'%s' takes whole numbers: give whole min and max, or a q_ "
                            "distribution with a whole q, not %s",
                            p->name, bn_dist_name(p->dist));
    }
    if (knob && knob->kind != BN_KNOB_INT && knob->kind != BN_KNOB_REAL) {
        return bn_spec_fail(part->reader, part->line, "'%s' is no number: give 'values'", p->name);
    }
    bn_setting ends[2];
    bn_parameter_at(p, 0, &ends[0]);
    bn_parameter_at(p, 1 - 0x1p-53, &ends[1]);
    for (int i = 0; i < 2 && needs.bounds; i++) {
        bn_status status = bn_spec_check_value(part->reader, p->name, &ends[i], part->line);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

static bn_status read_distribution(const param_part *part)
{
    bn_parameter *p = part->p;
    static const char *const keys[] = {"min", "max", "mu", "sigma", "a", "b", "q"};
    double *fields[] = {&p->min, &p->max, &p->mu, &p->sigma, &p->a, &p->b, &p->q};
    p->sigma = 1;
    p->q = 1;
    bn_status status = choose_dist(part);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && status == BN_OK; i++) {
        status = read_number(part, keys[i], fields[i]);
    }
    if (status == BN_OK) status = read_grid_points(part);
    dist_needs needs = needs_of(p->dist);
    if (status == BN_OK) status = check_shape(part, needs);
    return status == BN_OK ? check_range(part, needs) : status;
}

/* constant and categorical may be named although value or values say it already. */
static bn_status check_word(const param_part *part, const char *first, const char *second)
{
    const bn_toml_node *word = bn_toml_get(part->table, "distribution");
    if (!word || bn_toml_kind_of(word) != BN_TOML_TEXT) return BN_OK;
    const char *text = bn_toml_text(word);
    if (strcmp(text, first) == 0 || strcmp(text, second) == 0) return BN_OK;
    return bn_spec_fail(part->reader, bn_toml_line(word),
                        "'%s' has '%s', so its distribution must be %s, is '%.40s'", part->p->name,
                        has(part, "value") ? "value" : "values", first, text);
}

static bn_status check_grid(const param_part *part)
{
    const bn_spec *spec = part->reader->spec;
    if (strcmp(spec->method, "grid") != 0 || bn_parameter_cells(part->p) > 0) return BN_OK;
    return bn_spec_fail(part->reader, part->line,
                        "a grid cannot vary '%s' (%s): give grid_points or values, or use method = "
                        "\"random\"",
                        part->p->name, bn_dist_name(part->p->dist));
}

static bn_status not_with_values(const param_part *part)
{
    static const char *const numbers[] = {"min", "max", "mu", "sigma",
                                          "a",   "b",   "q",  "grid_points"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!has(part, numbers[i])) continue;
        return bn_spec_fail(part->reader, part->line, "'%s' must have either values or '%s'",
                            part->p->name, numbers[i]);
    }
    if (!has(part, "value") || !has(part, "values")) return BN_OK;
    return bn_spec_fail(part->reader, part->line, "'%s' must have either 'value' or 'values'",
                        part->p->name);
}

static bn_status read_when(const param_part *part)
{
    const bn_toml_node *node = bn_toml_get(part->table, "when");
    char what[96];
    if (!node) return BN_OK;
    (void)snprintf(what, sizeof what, "'when' of '%s'", part->p->name);
    /* Whom it may speak of is checked when all parameters are known. */
    return bn_spec_read_formula(part->reader, node, what, BN_SPEC_ANY_NAME, &part->p->when);
}

static bn_status read_choice(const param_part *part)
{
    bool one = has(part, "value");
    if (!one && !has(part, "values")) {
        bn_status status = read_distribution(part);
        return status == BN_OK ? check_grid(part) : status;
    }
    bn_status status = not_with_values(part);
    if (status == BN_OK) {
        status = check_word(part, one ? "constant" : "categorical",
                            one ? "constant" : "categorical_w_probabilities");
    }
    if (status != BN_OK) return status;
    return one ? read_constant(part) : read_values(part);
}

static bn_status read_parameter(bn_spec_reader *reader, const char *name, const bn_toml_node *table,
                                int line)
{
    param_part part = {.reader = reader, .table = table, .line = line};
    char found[80], where[80];
    if (reader->spec->builtin && !bn_knob_find(name)) {
        bn_setting none = {0};
        return bn_spec_check_value(reader, name, &none, line);
    }
    bn_status status = bn_spec_add_parameter(reader, name, line, &part.p);
    if (status != BN_OK) return status;
    assert(part.p);
    if (bn_toml_kind_of(table) != BN_TOML_TABLE) {
        return bn_spec_fail(reader, line, "'%s' must be a table such as { values = [...] }, is %s",
                            name, bn_spec_describe(table, found));
    }
    (void)snprintf(where, sizeof where, "'%s'", name);
    status = bn_spec_known_keys(reader, table, where, PARAMETER_KEYS);
    if (status == BN_OK) status = read_choice(&part);
    return status == BN_OK ? read_when(&part) : status;
}

bn_status bn_spec_read_parameters(bn_spec_reader *reader)
{
    const bn_toml_node *table = NULL;
    bn_status status = bn_spec_section(reader, "parameters", &table);
    return table ? bn_spec_each_parameter(reader, table, read_parameter) : status;
}
