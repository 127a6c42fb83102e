/* Points of a space: how the parameters of one hang together. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "runner/search/space.h"

static bool is_number(const bn_setting *value)
{
    return value->kind == BN_SETTING_INT || value->kind == BN_SETTING_REAL;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001B3U;
    return hash;
}

uint64_t bn_point_hash(const bn_point *point)
{
    uint64_t hash = 0xCBF29CE484222325U; /* FNV-1a */
    for (int i = 0; i < point->count; i++) {
        const bn_setting *value = &point->values[i];
        /* By the text: equal numbers have equal texts, and bytes do not depend on the machine. */
        unsigned char kind = is_number(value) ? BN_SETTING_REAL : (unsigned char)value->kind;
        hash = hash_bytes(hash, &kind, 1);
        hash = hash_bytes(hash, value->text, strlen(value->text) + 1);
    }
    return hash;
}

bool bn_point_equal(const bn_point *a, const bn_point *b)
{
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++) {
        if (!bn_setting_equal(&a->values[i], &b->values[i])) return false;
    }
    return true;
}

/* A JSON text without its quotes and escapes of one letter; anything else as it stands. */
static void unquote(const char *json, char *out, size_t size)
{
    size_t length = 0;
    bool quoted = json[0] == '"';
    for (const char *c = json + quoted; *c && length + 1 < size; c++) {
        if (quoted && *c == '"' && c[1] == '\0') break;
        if (quoted && *c == '\\' && c[1]) {
            c++;
            out[length++] = (char)(*c == 'n' ? '\n' : *c);
        } else {
            out[length++] = *c;
        }
    }
    out[length] = '\0';
}

/* "/data/a.txt" ends in "a.txt" after a slash. */
static bool is_path_of(const char *absolute, const char *path)
{
    size_t whole = strlen(absolute), part = strlen(path);
    if (part == 0 || whole <= part || absolute[0] != '/') return false;
    return absolute[whole - part - 1] == '/' && strcmp(absolute + whole - part, path) == 0;
}

static const bn_setting *find_value(const bn_parameter *p, const bn_setting *wanted)
{
    for (int i = 0; i < p->value_count; i++) {
        if (bn_setting_equal(&p->values[i], wanted)) return &p->values[i];
    }
    for (int i = 0; i < p->value_count; i++) {
        bool same = strcmp(p->values[i].text, wanted->text) == 0;
        if (same || is_path_of(wanted->text, p->values[i].text)) return &p->values[i];
    }
    return NULL;
}

bool bn_point_set_json(const bn_space *space, bn_point *point, const char *name, const char *json)
{
    char text[BN_VALUE_TEXT_MAX * 2];
    int index = bn_space_find(space, name);
    if (index < 0) return false;
    const bn_parameter *p = &space->params[index];
    unquote(json, text, sizeof text);
    bn_setting value = json[0] == '"' ? bn_setting_of_text(text) : bn_setting_parse(text);
    point->count = space->count;
    if (!p->derived && (p->dist == BN_DIST_CONSTANT || p->dist == BN_DIST_CATEGORICAL)) {
        const bn_setting *found = find_value(p, &value);
        if (found) point->values[index] = *found;
        return found != NULL;
    }
    if (!p->derived && !is_number(&value)) return false;
    point->values[index] = value;
    return true;
}

/* Whether another parameter of its zip stands before it. */
static bool follows(const bn_space *space, int index)
{
    int zip = space->params[index].zip;
    for (int i = 0; zip && i < index; i++) {
        if (space->params[i].zip == zip) return true;
    }
    return false;
}

int bn_space_axes(const bn_space *space, int leads[BN_SPACE_PARAMS_MAX])
{
    int count = 0;
    for (int i = 0; i < space->count; i++) {
        if (!space->params[i].derived && !follows(space, i)) leads[count++] = i;
    }
    return count;
}

void bn_space_choose_cell(const bn_space *space, int lead, int64_t cell, bn_point *point)
{
    int zip = space->params[lead].zip;
    bn_parameter_cell(&space->params[lead], cell, &point->values[lead]);
    for (int i = lead + 1; zip && i < space->count; i++) {
        if (space->params[i].zip != zip) continue;
        bn_parameter_cell(&space->params[i], cell, &point->values[i]);
    }
}

void bn_space_choose_at(const bn_space *space, int lead, double u, bn_point *point)
{
    const bn_parameter *p = &space->params[lead];
    if (!p->zip) {
        bn_parameter_at(p, u, &point->values[lead]);
        return;
    }
    /* Zipped parameters have as many values each, all alike in weight. */
    double cell = fmin(floor(u * p->value_count), p->value_count - 1);
    bn_space_choose_cell(space, lead, (int64_t)cell, point);
}

bool bn_point_lookup(const void *self, const char *name, bn_setting *out)
{
    const bn_point_names *names = self;
    int index = bn_space_find(names->space, name);
    if (index >= 0) {
        *out = names->point->values[index];
        return out->kind != BN_SETTING_NONE;
    }
    for (int i = 0; i < names->space->fixed_count; i++) {
        if (strcmp(names->space->fixed[i].name, name) != 0) continue;
        *out = names->space->fixed[i].value;
        return true;
    }
    return false;
}

int bn_space_complete(const bn_space *space, bn_point *point)
{
    bn_point_names names = {.space = space, .point = point};
    point->count = space->count;
    for (int i = 0; i < space->count; i++) {
        const bn_parameter *p = &space->params[i];
        bn_setting *value = &point->values[i];
        if (p->derived) *value = bn_expr_value(p->derived, bn_point_lookup, &names);
        if (p->when && !bn_expr_true(p->when, bn_point_lookup, &names)) {
            memset(value, 0, sizeof *value);
        } else if (p->derived && (value->kind == BN_SETTING_NONE ||
                                  (is_number(value) && !isfinite(value->number)))) {
            return BN_SPACE_CONSTRAINTS_MAX;
        }
    }
    for (int i = 0; i < space->constraint_count; i++) {
        if (!bn_expr_true(space->constraints[i].expr, bn_point_lookup, &names)) return i;
    }
    return -1;
}

static bool on_a_step(const bn_parameter *p, double number)
{
    double steps = number / p->q;
    return fabs(steps - nearbyint(steps)) <= 1e-9 * fmax(1, fabs(steps));
}

static bool within(double number, double low, double high)
{
    return number >= low && number <= high;
}

bool bn_parameter_holds(const bn_parameter *p, const bn_setting *value)
{
    bool any = p->dist == BN_DIST_CONSTANT || p->dist == BN_DIST_CATEGORICAL;
    for (int i = 0; any && i < p->value_count; i++) {
        if (bn_setting_equal(&p->values[i], value)) return true;
    }
    if (any || !is_number(value) || !isfinite(value->number)) return false;
    double x = value->number;
    const char *dist = bn_dist_name(p->dist);
    if (strncmp(dist, "q_", 2) == 0) {
        double low, high;
        bn_parameter_bounds(p, &low, &high);
        /* Rounding may step over a bound, by half a step at most. */
        return on_a_step(p, x) && within(x, low - 0.5 * p->q, high + 0.5 * p->q);
    }
    if (p->dist == BN_DIST_INT_UNIFORM && x != floor(x)) return false;
    double low, high;
    bn_parameter_bounds(p, &low, &high);
    return within(x, low * (1 - 1e-12 * (low > 0)), high * (1 + 1e-12 * (high > 0)));
}
