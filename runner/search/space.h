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
#include "runner/search/expr.h"
#include "runner/search/setting.h"

enum { BN_SPACE_PARAMS_MAX = 64, BN_SPACE_CONSTRAINTS_MAX = 64 };

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
    int zip;         /* 1, 2, ...: takes its values in step with the others of this number; 0: alone
                      */
    bn_expr *when;   /* present only where this is true, over parameters before it; NULL: always */
    bn_expr *derived; /* not chosen: this formula over all the others; NULL: chosen */
} bn_parameter;

/* A point that does not satisfy all of them is left out. */
typedef struct bn_constraint {
    char name[64];
    bn_expr *expr;
} bn_constraint;

/* A value that formulas may speak of but that does not vary. */
typedef struct bn_fixed {
    char name[64];
    bn_setting value;
} bn_fixed;

typedef struct bn_space {
    bn_parameter params[BN_SPACE_PARAMS_MAX]; /* derived ones last */
    int count;
    bn_constraint constraints[BN_SPACE_CONSTRAINTS_MAX];
    int constraint_count;
    bn_fixed *fixed; /* owned */
    int fixed_count;
} bn_space;

void bn_space_release(bn_space *space); /* {0} is fine */

/* wandb's word of a distribution, "log_uniform_values"; and back, -1 when there is none. */
const char *bn_dist_name(bn_dist dist);
int bn_dist_find(const char *name);
const char *const *bn_dist_names(size_t *count);

/* The parameter's value at quantile u in [0, 1): the inverse of its distribution, rounded as wandb
 * rounds. */
void bn_parameter_at(const bn_parameter *parameter, double u, bn_setting *out);

/* The quantile at which a distribution over numbers has this value, in [0, 1]. */
double bn_parameter_quantile(const bn_parameter *parameter, double number);

/* How many values it can take in a grid, 0: continuous and without grid_points. At most
 * BN_CELLS_MAX are told. */
enum { BN_CELLS_MAX = 1000000 };
int64_t bn_parameter_cells(const bn_parameter *parameter);

/* Value number `cell` of them, in ascending or in the file's order. */
void bn_parameter_cell(const bn_parameter *parameter, int64_t cell, bn_setting *out);

/* Least and greatest value before rounding, maybe infinite; not for CONSTANT and CATEGORICAL. */
void bn_parameter_bounds(const bn_parameter *parameter, double *low, double *high);

/* Whether it could have this value: one of its values, or within its bounds and on its steps. */
bool bn_parameter_holds(const bn_parameter *parameter, const bn_setting *value);

/* The parameters that are chosen for themselves, in order; derived ones and the followers of a zip
 * are not among them. Returns how many. */
int bn_space_axes(const bn_space *space, int leads[BN_SPACE_PARAMS_MAX]);

/* Chooses value number `cell`, or the value at quantile u, for an axis and those zipped to it. */
void bn_space_choose_cell(const bn_space *space, int lead, int64_t cell, bn_point *point);
void bn_space_choose_at(const bn_space *space, int lead, double u, bn_point *point);

/* Completes a point whose axes are chosen: absent parameters become NONE, derived ones are worked
 * out. Returns the number of the first constraint that it breaks, -1 when it breaks none, and
 * BN_SPACE_CONSTRAINTS_MAX when a derived value is no finite number. */
int bn_space_complete(const bn_space *space, bn_point *point);

/* The number of the parameter named so, or -1. */
int bn_space_find(const bn_space *space, const char *name);

/* A point's value by name, then the space's fixed ones: a bn_expr_lookup over a bn_point_names. */
typedef struct bn_point_names {
    const bn_space *space;
    const bn_point *point;
} bn_point_names;
bool bn_point_lookup(const void *names, const char *name, bn_setting *out);

/* Sets a parameter from the JSON value that its run was given: what bn_setting_json or a knob's
 * JSON prints ("ternary", 8 for "8", a file made absolute). false: there is no such parameter, or
 * it could not have this value. */
bool bn_point_set_json(const bn_space *space, bn_point *point, const char *name, const char *json);

/* The same for equal points of one space, whatever the machine. */
uint64_t bn_point_hash(const bn_point *point);
bool bn_point_equal(const bn_point *a, const bn_point *b);

#endif
