/* How parameters hang together: formulas, [[zip]], [derived], [constraints], [[enqueue]] and
 * [baseline]. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "runner/spec_read.h"

/* Fails with the nearest name that the formula could have meant. */
static bn_status unknown_name(const bn_spec_reader *reader, const char *what, const char *name,
                              int line)
{
    const bn_space *space = &reader->spec->space;
    const char *names[BN_SPACE_PARAMS_MAX];
    size_t count = 0, knob_count = 0;
    for (int i = 0; i < space->count; i++) names[count++] = space->params[i].name;
    const char *near = bn_nearest(name, names, count, sizeof names[0]);
    const bn_knob *knobs = bn_knob_table(&knob_count);
    if (!near && reader->spec->builtin) {
        near = bn_nearest(name, &knobs[0].name, knob_count, sizeof knobs[0]);
    }
    return bn_spec_fail(reader, line, "%s: there is no parameter%s '%.60s'%s%s%s", what,
                        reader->spec->builtin ? " or knob" : "", name,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bn_status check_names(const bn_spec_reader *reader, const bn_expr *expr, const char *what,
                             int limit, int line)
{
    for (size_t i = 0; i < bn_expr_name_count(expr); i++) {
        const char *name = bn_expr_name(expr, i);
        int index = bn_space_find(&reader->spec->space, name);
        if (index >= limit) {
            return bn_spec_fail(reader, line, "%s may only speak of parameters above it, not '%s'",
                                what, name);
        }
        bool knob = reader->spec->builtin && bn_knob_find(name);
        if (index < 0 && !knob) return unknown_name(reader, what, name, line);
    }
    return BN_OK;
}

bn_status bn_spec_read_formula(const bn_spec_reader *reader, const bn_toml_node *node,
                               const char *what, int limit, bn_expr **out)
{
    char found[80];
    int line = bn_toml_line(node);
    if (bn_toml_kind_of(node) != BN_TOML_TEXT) {
        return bn_spec_fail(reader, line, "%s must be a formula in quotes, is %s", what,
                            bn_spec_describe(node, found));
    }
    bn_status status = bn_expr_compile(out, bn_toml_text(node), reader->err);
    if (status != BN_OK) {
        (void)bn_fail_in(reader->err, "%s", what);
        return bn_spec_fail_at(reader, line);
    }
    return limit == BN_SPEC_ANY_NAME ? BN_OK : check_names(reader, *out, what, limit, line);
}

/* One parameter of a zip. */
static bn_status read_zip_parameter(bn_spec_reader *reader, const char *name,
                                    const bn_toml_node *node, int line)
{
    bn_parameter *p = NULL;
    if (reader->spec->builtin && !bn_knob_find(name)) {
        bn_setting none = {0};
        return bn_spec_check_value(reader, name, &none, line);
    }
    bn_status status = bn_spec_add_parameter(reader, name, line, &p);
    if (status != BN_OK) return status;
    p->zip = reader->zip;
    status = bn_spec_read_values(reader, p, node);
    if (status != BN_OK) return status;
    for (int i = 0; i < reader->spec->space.count; i++) {
        const bn_parameter *other = &reader->spec->space.params[i];
        if (other->zip != p->zip || other->value_count == p->value_count) continue;
        return bn_spec_fail(reader, line,
                            "zipped parameters must have as many values each: '%s' has %d, '%s' "
                            "has %d",
                            other->name, other->value_count, p->name, p->value_count);
    }
    return BN_OK;
}

bn_status bn_spec_read_zips(bn_spec_reader *reader)
{
    const bn_toml_node *list = bn_toml_get(reader->root, "zip");
    if (!list) return BN_OK;
    bool tables = bn_toml_kind_of(list) == BN_TOML_ARRAY;
    for (size_t i = 0; tables && i < bn_toml_count(list); i++) {
        const bn_toml_node *table = bn_toml_at(list, i);
        tables = bn_toml_kind_of(table) == BN_TOML_TABLE;
        reader->zip = (int)i + 1;
        bn_status status = tables ? bn_spec_each_leaf(reader, table, read_zip_parameter) : BN_OK;
        if (status != BN_OK) return status;
    }
    if (tables) return BN_OK;
    return bn_spec_fail(reader, bn_toml_line(list),
                        "'zip' must be [[zip]] followed by lines such as depth = [6, 12]");
}

/* A derived value is a knob's, or (without a dot, or for another program) a value of its own. */
static bn_status read_derived(bn_spec_reader *reader, const char *name, const bn_toml_node *node,
                              int line)
{
    bn_parameter *p = NULL;
    char what[96];
    if (reader->spec->builtin && strchr(name, '.') && !bn_knob_find(name)) {
        bn_setting none = {0};
        return bn_spec_check_value(reader, name, &none, line);
    }
    bn_status status = bn_spec_add_parameter(reader, name, line, &p);
    if (status != BN_OK) return status;
    (void)snprintf(what, sizeof what, "derived '%s'", p->name);
    return bn_spec_read_formula(reader, node, what, (int)(p - reader->spec->space.params),
                                &p->derived);
}

/* A knob is either varied or fixed. */
static bn_status not_in_config(const bn_spec_reader *reader)
{
    size_t count = 0;
    const bn_knob *knobs = bn_knob_table(&count);
    assert(count <= sizeof reader->config_lines / sizeof reader->config_lines[0]);
    for (size_t k = 0; k < count && reader->spec->builtin; k++) {
        int place = bn_space_find(&reader->spec->space, knobs[k].name);
        if (place < 0 || reader->config_lines[k] == 0) continue;
        return bn_spec_fail(reader, reader->param_lines[place],
                            "'%s' is in [parameters] and in [config] (line %d): it must be in one",
                            knobs[k].name, reader->config_lines[k]);
    }
    return BN_OK;
}

static bn_status check_whens(const bn_spec_reader *reader)
{
    const bn_space *space = &reader->spec->space;
    for (int i = 0; i < space->count; i++) {
        char what[96];
        if (!space->params[i].when) continue;
        (void)snprintf(what, sizeof what, "'when' of '%s'", space->params[i].name);
        bn_status status =
            check_names(reader, space->params[i].when, what, i, reader->param_lines[i]);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

bn_status bn_spec_read_derived(bn_spec_reader *reader)
{
    const bn_toml_node *table = NULL;
    bn_status status = bn_spec_section(reader, "derived", &table);
    if (table) status = bn_spec_each_leaf(reader, table, read_derived);
    if (status == BN_OK) status = check_whens(reader);
    return status == BN_OK ? not_in_config(reader) : status;
}

bn_status bn_spec_read_constraints(bn_spec_reader *reader)
{
    bn_space *space = &reader->spec->space;
    const bn_toml_node *table = NULL;
    bn_status status = bn_spec_section(reader, "constraints", &table);
    if (!table) return status;
    for (size_t i = 0; i < bn_toml_count(table); i++) {
        char what[96];
        if (space->constraint_count == BN_SPACE_CONSTRAINTS_MAX) {
            return bn_spec_fail(reader, bn_toml_key_line(table, i),
                                "there must be at most %d constraints", BN_SPACE_CONSTRAINTS_MAX);
        }
        bn_constraint *constraint = &space->constraints[space->constraint_count++];
        (void)snprintf(constraint->name, sizeof constraint->name, "%s", bn_toml_key(table, i));
        (void)snprintf(what, sizeof what, "constraint '%s'", constraint->name);
        status = bn_spec_read_formula(reader, bn_toml_at(table, i), what, BN_SPACE_PARAMS_MAX,
                                      &constraint->expr);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

/* Compiles a formula only to see that it is right. */
static bn_status try_formula(const bn_spec_reader *reader, const char *section, const char *key)
{
    const bn_toml_node *table = bn_toml_get(reader->root, section);
    const bn_toml_node *node = table ? bn_toml_get(table, key) : NULL;
    bn_expr *expr = NULL;
    char what[80];
    if (!node) return BN_OK;
    (void)snprintf(what, sizeof what, "'%s.%s'", section, key);
    bn_status status = bn_spec_read_formula(reader, node, what, BN_SPACE_PARAMS_MAX, &expr);
    bn_expr_free(expr);
    return status;
}

bn_status bn_spec_read_baseline(bn_spec_reader *reader)
{
    bn_baseline *baseline = &reader->spec->baseline;
    const bn_toml_node *table = bn_toml_get(reader->root, "baseline");
    const bn_toml_node *list = table ? bn_toml_get(table, "pair_on") : NULL;
    bn_status status = try_formula(reader, "early_terminate", "protect");
    if (status == BN_OK) status = try_formula(reader, "baseline", "where");
    if (status != BN_OK || !list) return status;
    int line = bn_toml_line(list);
    size_t count = bn_toml_count(list);
    if (bn_toml_kind_of(list) != BN_TOML_ARRAY || count > 16) {
        return bn_spec_fail(reader, line,
                            "'baseline.pair_on' must be an array of at most 16 names");
    }
    for (size_t i = 0; i < count; i++) {
        const bn_toml_node *item = bn_toml_at(list, i);
        const char *name = bn_toml_kind_of(item) == BN_TOML_TEXT ? bn_toml_text(item) : "";
        bool builtin = reader->spec->builtin;
        bool knob = builtin ? bn_knob_find(name) != NULL : strcmp(name, "seed") == 0;
        if (!knob && bn_space_find(&reader->spec->space, name) < 0) {
            return unknown_name(reader, "'baseline.pair_on'", name, bn_toml_line(item));
        }
        (void)snprintf(baseline->pair_on[i], sizeof baseline->pair_on[i], "%s", name);
    }
    baseline->pair_on_count = (int)count;
    return BN_OK;
}

/* One value of the point at hand. */
static bn_status read_enqueued_value(bn_spec_reader *reader, const char *name,
                                     const bn_toml_node *node, int line)
{
    bn_spec *spec = reader->spec;
    bn_point *point = &spec->enqueue[spec->enqueue_count - 1];
    char what[96];
    bn_setting value;
    int index = bn_space_find(&spec->space, name);
    if (index < 0 || spec->space.params[index].derived) {
        return unknown_name(reader, "[[enqueue]]", name, line);
    }
    const bn_parameter *p = &spec->space.params[index];
    (void)snprintf(what, sizeof what, "[[enqueue]] '%s'", p->name);
    bn_status status = bn_spec_read_setting(reader, node, what, &value);
    if (status != BN_OK || p->dist == BN_DIST_CONSTANT) return status;
    if (!bn_parameter_holds(p, &value)) {
        return bn_spec_fail(reader, line,
                            "%s must be a value that the parameter can take, is '%.40s'", what,
                            value.text);
    }
    point->values[index] = value;
    return BN_OK;
}

/* Whether the values of every zip stand in one column. */
static bool zips_agree(const bn_space *space, const bn_point *point)
{
    int leads[BN_SPACE_PARAMS_MAX];
    int axes = bn_space_axes(space, leads);
    for (int i = 0; i < axes; i++) {
        const bn_parameter *lead = &space->params[leads[i]];
        bool found = lead->zip == 0;
        for (int v = 0; v < lead->value_count && !found; v++) {
            bn_point column = *point;
            bn_space_choose_cell(space, leads[i], v, &column);
            found = bn_point_equal(&column, point);
        }
        if (!found) return false;
    }
    return true;
}

static bn_status complete_enqueued(const bn_spec_reader *reader, bn_point *point, int line)
{
    const bn_space *space = &reader->spec->space;
    for (int i = 0; i < space->count; i++) {
        const bn_parameter *p = &space->params[i];
        if (p->dist == BN_DIST_CONSTANT && !p->derived) point->values[i] = p->values[0];
        bool missing = point->values[i].kind == BN_SETTING_NONE && !p->derived && !p->when;
        if (!missing) continue;
        return bn_spec_fail(reader, line, "[[enqueue]] must give every parameter, '%s' is missing",
                            p->name);
    }
    if (!zips_agree(space, point)) {
        return bn_spec_fail(reader, line, "[[enqueue]] must keep zipped parameters in step");
    }
    int broken = bn_space_complete(space, point);
    if (broken < 0) return BN_OK;
    return bn_spec_fail(reader, line, "[[enqueue]] breaks the constraint '%s'",
                        broken < space->constraint_count ? space->constraints[broken].name
                                                         : "derived values are finite numbers");
}

bn_status bn_spec_read_enqueue(bn_spec_reader *reader)
{
    enum { ENQUEUE_MAX = 1000 };
    bn_spec *spec = reader->spec;
    const bn_toml_node *list = bn_toml_get(reader->root, "enqueue");
    size_t count = list ? bn_toml_count(list) : 0;
    if (!list) return BN_OK;
    if (bn_toml_kind_of(list) != BN_TOML_ARRAY || count > ENQUEUE_MAX) {
        return bn_spec_fail(reader, bn_toml_line(list),
                            "'enqueue' must be at most %d times [[enqueue]] followed by lines such "
                            "as lr = 1e-3",
                            ENQUEUE_MAX);
    }
    spec->enqueue = calloc(count ? count : 1, sizeof *spec->enqueue);
    if (!spec->enqueue) return bn_fail(reader->err, BN_ENOMEM, "too little memory for points");
    for (size_t i = 0; i < count; i++) {
        const bn_toml_node *table = bn_toml_at(list, i);
        int line = bn_toml_line(table);
        if (bn_toml_kind_of(table) != BN_TOML_TABLE) {
            return bn_spec_fail(reader, line, "[[enqueue]] must be a table of parameters");
        }
        bn_point *point = &spec->enqueue[spec->enqueue_count++];
        point->count = spec->space.count;
        bn_status status = bn_spec_each_leaf(reader, table, read_enqueued_value);
        if (status == BN_OK) status = complete_enqueued(reader, point, line);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}
