/* expr.h - small formulas over named values: `when`, [derived], [constraints] and `ls --where`.
 *
 *   quant.variant == "ternary" and optim.lr > 1e-3
 *   model.width % model.heads == 0
 *   if(quant.variant in ("ternary", "binary"), 2 * base_lr, base_lr)
 *
 * Total: no loops, no side effects, and every formula has a value for every input. A name that is
 * unknown or absent has the value none; arithmetic with none, or with what is no number, gives
 * none; a comparison with none is false, but != is true. Limits: BN_EXPR_BYTES_MAX of text,
 * BN_EXPR_DEPTH_MAX levels, BN_EXPR_NAMES_MAX names.
 *
 *   or || and && not !   == != < <= > >= in (a, b)   + - * / % **   unary -
 *   min max (one or more), log exp sqrt round floor ceil abs, if(condition, then, else)
 *   numbers, "text" or 'text', true, false, names with dots; `any name` in backquotes
 *
 * % has the sign of its right side, ** binds tighter than unary minus and to the right, round is
 * half to even: as in Python.
 */
#ifndef BN_RUNNER_SEARCH_EXPR_H
#define BN_RUNNER_SEARCH_EXPR_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/status.h"
#include "runner/search/setting.h"

enum {
    BN_EXPR_BYTES_MAX = 2048,
    BN_EXPR_DEPTH_MAX = 48,
    BN_EXPR_NAMES_MAX = 32,
};

typedef struct bn_expr bn_expr;

/* BN_EINVAL: "column 7: ..." with what was expected there. The caller frees *out. */
BN_MUST_CHECK bn_status bn_expr_compile(bn_expr **out, const char *text, bn_error *err);
void bn_expr_free(bn_expr *expr); /* NULL is fine */

const char *bn_expr_text(const bn_expr *expr);

/* The names it speaks of, each once. */
size_t bn_expr_name_count(const bn_expr *expr);
const char *bn_expr_name(const bn_expr *expr, size_t index);

/* Fills *out with the value of a name; false: there is none. */
typedef bool (*bn_expr_lookup)(const void *self, const char *name, bn_setting *out);

/* A number comes back as INT when it is whole; NaN and infinities come back as REAL. */
bn_setting bn_expr_value(const bn_expr *expr, bn_expr_lookup lookup, const void *self);

/* Whether the value is true, a number other than 0 (NaN is not), or a text that is not empty. */
bool bn_expr_true(const bn_expr *expr, bn_expr_lookup lookup, const void *self);

#endif
