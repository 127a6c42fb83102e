/* space.h - the parameters of a sweep and the points they span. wandb's distributions and rounding.
 *
 * Some parameters are chosen (an axis each, or several on one axis when they are zipped), the
 * others follow: a derived one from the point itself, a conditional one is absent where its `when`
 * is false.
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

/* Makes settings. Text longer than BN_VALUE_TEXT_MAX - 1 bytes is cut: check before. */
bn_setting bn_setting_of_number(bn_setting_kind kind, double number);
bn_setting bn_setting_of_bool(bool yes);
bn_setting bn_setting_of_text(const char *text);

/* What a knob or a person types: 3 and 3.0 are the integer 3 and the real 3; true and false;
 * anything else is text. */
bn_setting bn_setting_parse(const char *text);

/* Same kind of thing and same value; the integer 3 equals the real 3. */
bool bn_setting_equal(const bn_setting *a, const bn_setting *b);

/* wandb's word of a distribution, "log_uniform_values"; and back, -1 when there is none. */
const char *bn_dist_name(bn_dist dist);
int bn_dist_find(const char *name);
const char *const *bn_dist_names(size_t *count);

/* The parameter's value at quantile u in [0, 1): the inverse of its distribution, rounded as wandb
 * rounds. */
void bn_parameter_at(const bn_parameter *parameter, double u, bn_setting *out);

/* How many values it can take in a grid, 0: continuous and without grid_points. At most
 * BN_CELLS_MAX are told. */
enum { BN_CELLS_MAX = 1000000 };
int64_t bn_parameter_cells(const bn_parameter *parameter);

/* Value number `cell` of them, in ascending or in the file's order. */
void bn_parameter_cell(const bn_parameter *parameter, int64_t cell, bn_setting *out);

/* The number of the parameter named so, or -1. */
int bn_space_find(const bn_space *space, const char *name);

/* The same for equal points of one space, whatever the machine. */
uint64_t bn_point_hash(const bn_point *point);
bool bn_point_equal(const bn_point *a, const bn_point *b);

/* A setting as a JSON value. */
void bn_setting_json(const bn_setting *setting, bn_json *out);

#endif
