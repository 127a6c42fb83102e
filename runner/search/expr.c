/* What a compiled formula is worth. */
#include "runner/search/expr.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "runner/search/expr_node.h"

/* A value on the way: text is borrowed from the formula or from a looked-up setting. */
typedef struct worth {
    bn_setting_kind kind; /* INT is not used: numbers are REAL */
    double number;
    const char *text;
} worth;

typedef struct evaluation {
    const bn_expr *expr;
    const bn_setting *names; /* values of its names */
} evaluation;

const char *bn_expr_text(const bn_expr *expr)
{
    return expr->text;
}

size_t bn_expr_name_count(const bn_expr *expr)
{
    return (size_t)expr->name_count;
}

const char *bn_expr_name(const bn_expr *expr, size_t index)
{
    assert(index < (size_t)expr->name_count);
    return expr->words + expr->names[index];
}

static worth of_number(double number)
{
    return (worth){.kind = BN_SETTING_REAL, .number = number};
}

static worth of_bool(bool yes)
{
    return (worth){.kind = BN_SETTING_BOOL, .number = yes};
}

static worth of_setting(const bn_setting *setting)
{
    worth value = {.kind = setting->kind, .number = setting->number, .text = setting->text};
    if (value.kind == BN_SETTING_INT) value.kind = BN_SETTING_REAL;
    return value;
}

static bool is_true(worth value)
{
    if (value.kind == BN_SETTING_TEXT) return *value.text != '\0';
    return value.kind != BN_SETTING_NONE && value.number != 0 && !isnan(value.number);
}

static bool are_equal(worth a, worth b)
{
    if (a.kind != b.kind || a.kind == BN_SETTING_NONE) return false;
    if (a.kind == BN_SETTING_TEXT) return strcmp(a.text, b.text) == 0;
    return a.number == b.number;
}

static bool compare(bn_expr_op op, worth a, worth b)
{
    if (op == BN_EXPR_EQUAL) return are_equal(a, b);
    if (op == BN_EXPR_UNEQUAL) return !are_equal(a, b);
    if (a.kind != b.kind || a.kind == BN_SETTING_NONE) return false;
    double left = a.number, right = b.number;
    if (a.kind == BN_SETTING_TEXT) {
        left = (double)strcmp(a.text, b.text);
        right = 0;
    }
    if (op == BN_EXPR_LESS) return left < right;
    if (op == BN_EXPR_AT_MOST) return left <= right;
    return op == BN_EXPR_MORE ? left > right : left >= right;
}

static double add(double a, double b)
{
    return a + b;
}

static double subtract(double a, double b)
{
    return a - b;
}

static double multiply(double a, double b)
{
    return a * b;
}

static double divide(double a, double b)
{
    return a / b;
}

static double modulo(double a, double b)
{
    double rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* NaN wins, unlike fmin: a mistake must not vanish. */
static double least(double a, double b)
{
    return a < b || isnan(a) ? a : b;
}

static double most(double a, double b)
{
    return a > b || isnan(a) ? a : b;
}

static double minus(double x)
{
    return -x;
}

/* ADD ... MAX and MINUS ... ABS of bn_expr_op. */
static double (*const PAIR_FUNCTIONS[])(double, double) = {add,    subtract, multiply, divide,
                                                           modulo, pow,      least,    most};
static double (*const FUNCTIONS[])(double) = {minus, log, exp, sqrt, nearbyint, floor, ceil, fabs};

/* Recursion is as deep as the formula is nested: BN_EXPR_DEPTH_MAX levels. */
/* NOLINTBEGIN(misc-no-recursion) */
static worth evaluate(const evaluation *e, int index);

static const bn_expr_node *node_at(const evaluation *e, int node)
{
    return &e->expr->nodes[node];
}

static worth evaluate_logic(const evaluation *e, const bn_expr_node *node)
{
    bool left = is_true(evaluate(e, node->first));
    int second = node_at(e, node->first)->next;
    if (node->op == BN_EXPR_NOT) return of_bool(!left);
    if (node->op == BN_EXPR_AND) return of_bool(left && is_true(evaluate(e, second)));
    if (node->op == BN_EXPR_OR) return of_bool(left || is_true(evaluate(e, second)));
    return evaluate(e, left ? second : node_at(e, second)->next); /* if(,,) */
}

static worth evaluate_in(const evaluation *e, const bn_expr_node *node)
{
    worth value = evaluate(e, node->first);
    for (int i = node_at(e, node->first)->next; i; i = node_at(e, i)->next) {
        if (are_equal(value, evaluate(e, i))) return of_bool(true);
    }
    return of_bool(false);
}

/* Folds numbers from left to right; texts have no arithmetic. */
static worth evaluate_numbers(const evaluation *e, const bn_expr_node *node)
{
    const worth none = {.kind = BN_SETTING_NONE};
    worth value = evaluate(e, node->first);
    if (value.kind != BN_SETTING_REAL) return none;
    if (node->op >= BN_EXPR_MINUS) {
        return of_number(FUNCTIONS[node->op - BN_EXPR_MINUS](value.number));
    }
    for (int i = node_at(e, node->first)->next; i; i = node_at(e, i)->next) {
        worth next = evaluate(e, i);
        if (next.kind != BN_SETTING_REAL) return none;
        value.number = PAIR_FUNCTIONS[node->op - BN_EXPR_ADD](value.number, next.number);
    }
    return value;
}

static worth evaluate(const evaluation *e, int index)
{
    const bn_expr_node *node = node_at(e, index);
    switch (node->op) {
    case BN_EXPR_NUMBER:
        return of_number(node->number);
    case BN_EXPR_TEXT:
        return (worth){.kind = BN_SETTING_TEXT, .text = e->expr->words + node->index};
    case BN_EXPR_BOOL:
        return of_bool(node->number != 0);
    case BN_EXPR_NAME:
        return of_setting(&e->names[node->index]);
    case BN_EXPR_OR:
    case BN_EXPR_AND:
    case BN_EXPR_NOT:
    case BN_EXPR_IF:
        return evaluate_logic(e, node);
    case BN_EXPR_EQUAL:
    case BN_EXPR_UNEQUAL:
    case BN_EXPR_LESS:
    case BN_EXPR_AT_MOST:
    case BN_EXPR_MORE:
    case BN_EXPR_AT_LEAST:
        return of_bool(compare(node->op, evaluate(e, node->first),
                               evaluate(e, node_at(e, node->first)->next)));
    case BN_EXPR_IN:
        return evaluate_in(e, node);
    case BN_EXPR_ADD:
    case BN_EXPR_SUBTRACT:
    case BN_EXPR_MULTIPLY:
    case BN_EXPR_DIVIDE:
    case BN_EXPR_MODULO:
    case BN_EXPR_POWER:
    case BN_EXPR_MINUS:
    case BN_EXPR_MIN:
    case BN_EXPR_MAX:
    case BN_EXPR_LOG:
    case BN_EXPR_EXP:
    case BN_EXPR_SQRT:
    case BN_EXPR_ROUND:
    case BN_EXPR_FLOOR:
    case BN_EXPR_CEIL:
    case BN_EXPR_ABS:
        break;
    }
    return evaluate_numbers(e, node);
}

/* NOLINTEND(misc-no-recursion) */

bn_setting bn_expr_value(const bn_expr *expr, bn_expr_lookup lookup, const void *self)
{
    bn_setting names[BN_EXPR_NAMES_MAX];
    for (int i = 0; i < expr->name_count; i++) {
        bool known = lookup(self, bn_expr_name(expr, (size_t)i), &names[i]);
        if (!known) names[i].kind = BN_SETTING_NONE;
    }
    evaluation e = {.expr = expr, .names = names};
    worth value = evaluate(&e, expr->root);
    switch (value.kind) {
    case BN_SETTING_NONE:
        break;
    case BN_SETTING_BOOL:
        return bn_setting_of_bool(value.number != 0);
    case BN_SETTING_TEXT:
        return bn_setting_of_text(value.text);
    case BN_SETTING_INT:
    case BN_SETTING_REAL:
        if (value.number == floor(value.number) && fabs(value.number) <= 0x1p53) {
            return bn_setting_of_number(BN_SETTING_INT, value.number);
        }
        return bn_setting_of_number(BN_SETTING_REAL, value.number);
    }
    bn_setting none = {.kind = BN_SETTING_NONE};
    return none;
}

bool bn_expr_true(const bn_expr *expr, bn_expr_lookup lookup, const void *self)
{
    bn_setting value = bn_expr_value(expr, lookup, self);
    return is_true(of_setting(&value));
}
