#include "runner/search/axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps beyond these are as good as continuous. */
enum { STEPS_MAX = 100000 };

static int group_of(bn_axes *axes, const bn_space *space, int lead)
{
    const bn_expr *when = space->params[lead].when;
    if (!when) return 0;
    for (int i = 0; i < axes->count; i++) {
        const bn_expr *other = space->params[axes->list[i].lead].when;
        if (other && strcmp(bn_expr_text(other), bn_expr_text(when)) == 0) {
            return axes->list[i].group;
        }
    }
    return axes->groups++;
}

/* A parameter without its grid_points, which are for grids only. */
static bn_parameter plain(const bn_parameter *p)
{
    bn_parameter copy = *p;
    copy.grid_points = 0;
    return copy;
}

void bn_axes_init(bn_axes *axes, const bn_space *space)
{
    int leads[BN_SPACE_PARAMS_MAX];
    int count = bn_space_axes(space, leads);
    *axes = (bn_axes){.groups = 1};
    for (int i = 0; i < count; i++) {
        bn_parameter p = plain(&space->params[leads[i]]);
        bn_axis axis = {.lead = leads[i], .kind = BN_AXIS_REAL};
        bool stepped = p.dist == BN_DIST_INT_UNIFORM || p.dist == BN_DIST_Q_UNIFORM;
        if (p.dist == BN_DIST_CONSTANT || p.dist == BN_DIST_CATEGORICAL) {
            if (p.value_count == 1) continue;
            axis.kind = BN_AXIS_CHOICE;
            axis.count = p.value_count;
        } else if (stepped && bn_parameter_cells(&p) <= STEPS_MAX) {
            axis.kind = BN_AXIS_STEP;
            axis.count = bn_parameter_cells(&p);
        }
        axis.group = group_of(axes, space, axis.lead);
        axes->list[axes->count++] = axis;
    }
}

static double encode_choice(const bn_parameter *p, const bn_setting *value)
{
    for (int i = 0; i < p->value_count; i++) {
        if (bn_setting_equal(&p->values[i], value)) return i;
    }
    return NAN;
}

/* Zipped parameters may repeat a value: the whole column tells which one it is. */
static double encode_zip(const bn_space *space, const bn_axis *axis, const bn_point *point)
{
    bn_point column = *point;
    for (int64_t i = 0; i < axis->count; i++) {
        bn_space_choose_cell(space, axis->lead, i, &column);
        if (bn_point_equal(&column, point)) return (double)i;
    }
    return NAN;
}

static double encode_step(const bn_parameter *p, int64_t count, double number)
{
    bn_parameter copy = plain(p);
    bn_setting first;
    bn_parameter_cell(&copy, 0, &first);
    double step = p->dist == BN_DIST_INT_UNIFORM ? 1 : p->q;
    double cell = nearbyint((number - first.number) / step);
    cell = fmin(fmax(cell, 0), (double)count - 1);
    return (cell + 0.5) / (double)count;
}

static double encode(const bn_space *space, const bn_axis *axis, const bn_point *point)
{
    const bn_parameter *p = &space->params[axis->lead];
    const bn_setting *value = &point->values[axis->lead];
    if (value->kind == BN_SETTING_NONE) return NAN;
    if (p->zip) return encode_zip(space, axis, point);
    switch (axis->kind) {
    case BN_AXIS_CHOICE:
        return encode_choice(p, value);
    case BN_AXIS_STEP:
        return encode_step(p, axis->count, value->number);
    case BN_AXIS_REAL:
        break;
    }
    return bn_parameter_quantile(p, value->number);
}

void bn_axes_encode(const bn_axes *axes, const bn_space *space, const bn_point *point, double *x)
{
    for (int i = 0; i < axes->count; i++) x[i] = encode(space, &axes->list[i], point);
}

static int64_t cell_of(const bn_axis *axis, double x)
{
    double cell = axis->kind == BN_AXIS_STEP ? floor(x * (double)axis->count) : nearbyint(x);
    return (int64_t)fmin(fmax(cell, 0), (double)axis->count - 1);
}

double bn_axis_at(const bn_axis *axis, double u)
{
    if (axis->kind == BN_AXIS_REAL) return u;
    double cell = fmin(floor(u * (double)axis->count), (double)axis->count - 1);
    return axis->kind == BN_AXIS_STEP ? (cell + 0.5) / (double)axis->count : cell;
}

double bn_axis_snap(const bn_axis *axis, double x)
{
    if (axis->kind == BN_AXIS_REAL) return fmin(fmax(x, 0), 1);
    double cell = (double)cell_of(axis, x);
    return axis->kind == BN_AXIS_STEP ? (cell + 0.5) / (double)axis->count : cell;
}

/* 0.0212195 rather than 0.02121953653851329 where a model cannot tell them apart: people type these
 * values again. */
static void shorten(const bn_parameter *p, bn_setting *value)
{
    char digits[40];
    if (value->kind != BN_SETTING_REAL) return;
    (void)snprintf(digits, sizeof digits, "%.6g", value->number);
    bn_setting shorter = bn_setting_of_number(BN_SETTING_REAL, strtod(digits, NULL));
    double moved =
        bn_parameter_quantile(p, shorter.number) - bn_parameter_quantile(p, value->number);
    if (fabs(moved) <= 1e-5 && bn_parameter_holds(p, &shorter)) *value = shorter;
}

int bn_axes_decode(const bn_axes *axes, const bn_space *space, const double *x, bn_point *out)
{
    int leads[BN_SPACE_PARAMS_MAX];
    int count = bn_space_axes(space, leads);
    for (int i = 0; i < count; i++) bn_space_choose_at(space, leads[i], 0, out); /* constants */
    for (int i = 0; i < axes->count; i++) {
        const bn_axis *axis = &axes->list[i];
        const bn_parameter *p = &space->params[axis->lead];
        if (axis->kind == BN_AXIS_REAL) {
            bn_parameter_at(p, fmin(fmax(x[i], 0), 1 - 0x1p-53), &out->values[axis->lead]);
            shorten(p, &out->values[axis->lead]);
        } else if (axis->kind == BN_AXIS_STEP) {
            bn_parameter copy = plain(p);
            bn_parameter_cell(&copy, cell_of(axis, x[i]), &out->values[axis->lead]);
        } else {
            bn_space_choose_cell(space, axis->lead, cell_of(axis, x[i]), out);
        }
    }
    return bn_space_complete(space, out);
}
