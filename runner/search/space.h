/* space.h - the parameters of a sweep and the points they span. wandb's distributions and rounding.
 */
#ifndef BN_RUNNER_SEARCH_SPACE_H
#define BN_RUNNER_SEARCH_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "engine/base/text.h"

enum { BN_SPACE_PARAMS_MAX = 64, BN_VALUE_TEXT_MAX = 192 };

typedef enum bn_setting_kind {
    BN_SETTING_NONE,
    BN_SETTING_INT,
    BN_SETTING_REAL,
    BN_SETTING_BOOL,
    BN_SETTING_TEXT
} bn_setting_kind;

/* One value a parameter can take. */
typedef struct bn_setting {
    bn_setting_kind kind; /* NONE: the parameter is absent from this point (its `when` is false) */
    double number;        /* INT, REAL; BOOL as 0 or 1 */
    char text[BN_VALUE_TEXT_MAX]; /* TEXT; otherwise the number as text, as a knob would take it */
} bn_setting;

/* One value per parameter of the space, in its order. */
typedef struct bn_point {
    bn_setting values[BN_SPACE_PARAMS_MAX];
    int count;
} bn_point;

typedef enum bn_dist {
    BN_DIST_CONSTANT,
    BN_DIST_CATEGORICAL,
    BN_DIST_INT_UNIFORM,
    BN_DIST_UNIFORM,
    BN_DIST_Q_UNIFORM,
    BN_DIST_LOG_UNIFORM,
    BN_DIST_LOG_UNIFORM_VALUES,
    BN_DIST_INV_LOG_UNIFORM,
    BN_DIST_INV_LOG_UNIFORM_VALUES,
    BN_DIST_Q_LOG_UNIFORM,
    BN_DIST_Q_LOG_UNIFORM_VALUES,
    BN_DIST_NORMAL,
    BN_DIST_Q_NORMAL,
    BN_DIST_LOG_NORMAL,
    BN_DIST_Q_LOG_NORMAL,
    BN_DIST_BETA,
    BN_DIST_Q_BETA,
} bn_dist;

typedef struct bn_parameter {
    char name[64];
    bn_dist dist;
    bn_setting *values;    /* CONSTANT, CATEGORICAL: `value_count` of them; owned by the space */
    double *probabilities; /* CATEGORICAL: as many, sum 1, or NULL: all alike */
    int value_count;
    double min, max, mu, sigma, a, b, q;
    int grid_points; /* a continuous parameter in a grid; 0: not given */
} bn_parameter;

typedef struct bn_space {
    bn_parameter params[BN_SPACE_PARAMS_MAX];
    int count;
} bn_space;

void bn_space_release(bn_space *space); /* {0} is fine */

/* The parameter's value at quantile u in [0, 1): the inverse of its distribution, rounded as wandb
 * rounds. */
void bn_parameter_at(const bn_parameter *parameter, double u, bn_setting *out);

/* A setting as a JSON value. */
void bn_setting_json(const bn_setting *setting, bn_json *out);

#endif
