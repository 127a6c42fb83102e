/* axis.h - a space as the learning methods see it: one number in [0, 1] an axis.
 *
 * Real axes: the quantile of the parameter's distribution, so that a log-uniform rate is linear in
 * its logarithm. Steps: the middle of one of `count` equal cells. Choices: the number of the value.
 * Constants are no axes. Absent parameters are NaN.
 */
#ifndef BN_RUNNER_SEARCH_AXIS_H
#define BN_RUNNER_SEARCH_AXIS_H

#include "runner/search/space.h"

typedef enum bn_axis_kind { BN_AXIS_REAL, BN_AXIS_STEP, BN_AXIS_CHOICE } bn_axis_kind;

typedef struct bn_axis {
    int lead; /* its parameter */
    bn_axis_kind kind;
    int64_t count; /* STEP: cells; CHOICE: values */
    int group;     /* axes with one condition, which are present together; 0: always there */
} bn_axis;

typedef struct bn_axes {
    bn_axis list[BN_SPACE_PARAMS_MAX];
    int count;
    int groups; /* at least 1 */
} bn_axes;

void bn_axes_init(bn_axes *axes, const bn_space *space);

/* A point's coordinates, axes->count of them. */
void bn_axes_encode(const bn_axes *axes, const bn_space *space, const bn_point *point, double *x);

/* The point of coordinates, completed; returns what bn_space_complete says. */
int bn_axes_decode(const bn_axes *axes, const bn_space *space, const double *x, bn_point *out);

/* The coordinate that an axis has at quantile u: u itself, a cell's middle, or a number of a
 * value. */
double bn_axis_at(const bn_axis *axis, double u);

/* The nearest coordinate that the axis can have. */
double bn_axis_snap(const bn_axis *axis, double x);

#endif
