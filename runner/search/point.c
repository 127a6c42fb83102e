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
