/* From text to nodes: recursive descent, one function a level of binding. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "runner/search/expr_node.h"

typedef enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_NAME, TOKEN_SIGN } token_kind;

typedef struct parser {
    bn_expr *expr;
    const char *text;
    token_kind kind; /* of the token at hand */
    size_t start, end, next;
    double number;
    int depth;
    bn_error *err;
} parser;

static bn_status fail_here(parser *p, const char *expected)
{
    if (p->kind == TOKEN_END) {
        return bn_fail(p->err, BN_EINVAL, "column %zu: expected %s, found the end", p->start + 1,
                       expected);
    }
    int length = p->end - p->start > 30 ? 30 : (int)(p->end - p->start);
    return bn_fail(p->err, BN_EINVAL, "column %zu: expected %s, found '%.*s'", p->start + 1,
                   expected, length, p->text + p->start);
}

static bool is_letter(char c)
{
    return ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bn_status read_number(parser *p)
{
    char digits[64], *stop = NULL;
    size_t length = strspn(p->text + p->start, "0123456789.eE_");
    /* The sign of an exponent belongs to the number, any other does not. */
    for (size_t i = 0; i < length && i + 1 < sizeof digits; i++) {
        char c = p->text[p->start + i], after = p->text[p->start + i + 1];
        if ((c | 32) == 'e' && (after == '-' || after == '+')) {
            length = i + 2 + strspn(p->text + p->start + i + 2, "0123456789");
            break;
        }
    }
    p->kind = TOKEN_NUMBER;
    p->end = p->next = p->start + length;
    size_t kept = 0;
    for (size_t i = 0; i < length && kept + 1 < sizeof digits; i++) {
        if (p->text[p->start + i] != '_') digits[kept++] = p->text[p->start + i];
    }
    digits[kept] = '\0';
    p->number = strtod(digits, &stop);
    return *stop == '\0' && isfinite(p->number) ? BN_OK : fail_here(p, "a number");
}

/* "text", 'text' or `name`: no escapes; start and end are of what is inside. */
static bn_status read_quoted(parser *p)
{
    char quote = p->text[p->start];
    const char *close = strchr(p->text + p->start + 1, quote);
    if (!close) {
        return bn_fail(p->err, BN_EINVAL, "column %zu: the %c is never closed", p->start + 1,
                       quote);
    }
    p->kind = quote == '`' ? TOKEN_NAME : TOKEN_TEXT;
    p->start++;
    p->end = (size_t)(close - p->text);
    p->next = p->end + 1;
    return BN_OK;
}

static bn_status advance(parser *p)
{
    p->start = p->next + strspn(p->text + p->next, " \t\r\n");
    const char *c = p->text + p->start;
    if (*c == '\0') {
        p->kind = TOKEN_END;
        p->end = p->next = p->start;
        return BN_OK;
    }
    if (is_digit(*c) || (*c == '.' && is_digit(c[1]))) return read_number(p);
    if (*c == '"' || *c == '\'' || *c == '`') return read_quoted(p);
    size_t length = 1;
    if (is_letter(*c)) {
        while (is_letter(c[length]) || is_digit(c[length]) || c[length] == '.') length++;
        p->kind = TOKEN_NAME;
    } else {
        static const char *const pairs[] = {"==", "!=", "<=", ">=", "&&", "||", "**"};
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
            if (strncmp(c, pairs[i], 2) == 0) length = 2;
        }
        p->kind = TOKEN_SIGN;
    }
    p->end = p->next = p->start + length;
    return BN_OK;
}

static bool at(const parser *p, const char *word)
{
    size_t length = strlen(word);
    bool plain = p->kind == TOKEN_SIGN || (p->kind == TOKEN_NAME && p->next == p->end);
    return plain && p->end - p->start == length && strncmp(p->text + p->start, word, length) == 0;
}

static bn_status expect(parser *p, const char *word, const char *expected)
{
    return at(p, word) ? advance(p) : fail_here(p, expected);
}

static bn_status add_node(parser *p, bn_expr_op op, int first, int *out)
{
    bn_expr *e = p->expr;
    if (e->node_count == BN_EXPR_NODES_MAX) {
        return bn_fail(p->err, BN_EINVAL, "column %zu: the formula is too long", p->start + 1);
    }
    *out = e->node_count++;
    e->nodes[*out] = (bn_expr_node){.op = op, .first = first};
    return BN_OK;
}

/* Keeps a token's letters; there is room: every token is shorter than the text that it is from. */
static int keep_word(parser *p)
{
    bn_expr *e = p->expr;
    int offset = (int)e->words_length;
    size_t length = p->end - p->start;
    memcpy(e->words + offset, p->text + p->start, length);
    e->words[(size_t)offset + length] = '\0';
    e->words_length += length + 1;
    return offset;
}

/* Recursive descent; `depth` ends it after BN_EXPR_DEPTH_MAX levels. */
/* NOLINTBEGIN(misc-no-recursion) */
static bn_status parse_or(parser *p, int *out);

/* Items between commas up to `close`; their nodes are chained behind *first. */
static bn_status parse_list(parser *p, const char *close, int *first, int *count)
{
    int last = 0;
    *count = 0;
    for (;;) {
        int item = 0;
        bn_status status = parse_or(p, &item);
        if (status != BN_OK) return status;
        if (last) p->expr->nodes[last].next = item;
        if (!last) *first = item;
        last = item;
        ++*count;
        if (!at(p, ",")) return expect(p, close, close[0] == ')' ? "',' or ')'" : "',' or ']'");
        status = advance(p);
        if (status != BN_OK) return status;
    }
}

typedef struct function_row {
    const char *name;
    bn_expr_op op;
    int arguments; /* 0: one or more */
} function_row;

static const function_row FUNCTIONS[] = {
    {"min", BN_EXPR_MIN, 0},     {"max", BN_EXPR_MAX, 0},   {"log", BN_EXPR_LOG, 1},
    {"exp", BN_EXPR_EXP, 1},     {"sqrt", BN_EXPR_SQRT, 1}, {"round", BN_EXPR_ROUND, 1},
    {"floor", BN_EXPR_FLOOR, 1}, {"ceil", BN_EXPR_CEIL, 1}, {"abs", BN_EXPR_ABS, 1},
    {"if", BN_EXPR_IF, 3},
};
enum { FUNCTION_COUNT = sizeof FUNCTIONS / sizeof FUNCTIONS[0] };

static bn_status unknown_function(parser *p, const char *name, size_t column)
{
    const char *near = bn_nearest(name, &FUNCTIONS[0].name, FUNCTION_COUNT, sizeof FUNCTIONS[0]);
    return bn_fail(p->err, BN_EINVAL, "column %zu: there is no function '%s'%s%s%s", column, name,
                   near ? "; did you mean '"
                        : "; expected min max log exp sqrt round floor ceil "
                          "abs if",
                   near ? near : "", near ? "'?" : "");
}

/* name( is behind us. */
static bn_status parse_call(parser *p, const char *name, size_t column, int *out)
{
    const function_row *row = NULL;
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        if (strcmp(FUNCTIONS[i].name, name) == 0) row = &FUNCTIONS[i];
    }
    if (!row) return unknown_function(p, name, column);
    int first = 0, count = 0;
    bn_status status = parse_list(p, ")", &first, &count);
    if (status != BN_OK) return status;
    if (row->arguments && row->arguments != count) {
        return bn_fail(p->err, BN_EINVAL, "column %zu: '%s' takes %d argument%s, not %d", column,
                       name, row->arguments, row->arguments > 1 ? "s" : "", count);
    }
    return add_node(p, row->op, first, out);
}

static bn_status add_name(parser *p, const char *name, int offset, int *out)
{
    bn_expr *e = p->expr;
    bn_status status = add_node(p, BN_EXPR_NAME, 0, out);
    int index = 0;
    while (index < e->name_count && strcmp(e->words + e->names[index], name) != 0) index++;
    if (status != BN_OK) return status;
    if (index == BN_EXPR_NAMES_MAX) {
        return bn_fail(p->err, BN_EINVAL, "column %zu: there must be at most %d names",
                       p->start + 1, BN_EXPR_NAMES_MAX);
    }
    if (index == e->name_count) e->names[e->name_count++] = offset;
    e->nodes[*out].index = index;
    return BN_OK;
}

static bn_status parse_name(parser *p, int *out)
{
    size_t column = p->start + 1;
    bool plain = p->next == p->end; /* not in backquotes */
    bool yes = at(p, "true");
    static const char *const reserved[] = {"and", "or", "not", "in"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (at(p, reserved[i])) return fail_here(p, "a value");
    }
    if (p->end == p->start) return fail_here(p, "a name");
    if (yes || at(p, "false")) {
        bn_status status = add_node(p, BN_EXPR_BOOL, 0, out);
        if (status != BN_OK) return status;
        p->expr->nodes[*out].number = yes;
        return advance(p);
    }
    int offset = keep_word(p);
    const char *name = p->expr->words + offset;
    bn_status status = advance(p);
    if (status != BN_OK) return status;
    if (!plain || !at(p, "(")) return add_name(p, name, offset, out);
    status = advance(p);
    return status == BN_OK ? parse_call(p, name, column, out) : status;
}

static bn_status parse_primary(parser *p, int *out)
{
    bn_status status = BN_OK;
    if (p->kind == TOKEN_NAME) return parse_name(p, out);
    if (p->kind == TOKEN_NUMBER || p->kind == TOKEN_TEXT) {
        bool text = p->kind == TOKEN_TEXT;
        status = add_node(p, text ? BN_EXPR_TEXT : BN_EXPR_NUMBER, 0, out);
        if (status != BN_OK) return status;
        p->expr->nodes[*out].number = p->number;
        if (text) p->expr->nodes[*out].index = keep_word(p);
        return advance(p);
    }
    if (!at(p, "(")) return fail_here(p, "a value");
    status = advance(p);
    if (status == BN_OK) status = parse_or(p, out);
    return status == BN_OK ? expect(p, ")", "')'") : status;
}

/* Makes one node of two children. */
static bn_status join(parser *p, bn_expr_op op, int left, int right, int *out)
{
    /* A node is the child of one parent only, so its sibling link is free. */
    p->expr->nodes[left].next = right;
    return add_node(p, op, left, out);
}

static bn_status deeper(parser *p)
{
    if (++p->depth <= BN_EXPR_DEPTH_MAX) return BN_OK;
    return bn_fail(p->err, BN_EINVAL, "column %zu: nested deeper than %d levels", p->start + 1,
                   BN_EXPR_DEPTH_MAX);
}

static bn_status parse_unary(parser *p, int *out);

static bn_status parse_power(parser *p, int *out)
{
    int left = 0, right = 0;
    bn_status status = parse_primary(p, &left);
    *out = left;
    if (status != BN_OK || !at(p, "**")) return status;
    status = advance(p);
    if (status == BN_OK) status = parse_unary(p, &right);
    return status == BN_OK ? join(p, BN_EXPR_POWER, left, right, out) : status;
}

static bn_status parse_unary(parser *p, int *out)
{
    bn_status status = deeper(p);
    if (status != BN_OK) return status;
    if (at(p, "-")) {
        int inner = 0;
        status = advance(p);
        if (status == BN_OK) status = parse_unary(p, &inner);
        if (status == BN_OK) status = add_node(p, BN_EXPR_MINUS, inner, out);
    } else {
        status = parse_power(p, out);
    }
    p->depth--;
    return status;
}

typedef struct binary_row {
    const char *word;
    bn_expr_op op;
} binary_row;

/* Left to right over operators of one level; rows end with NULL. */
static bn_status parse_binary(parser *p, const binary_row *rows,
                              bn_status (*inner)(parser *, int *), int *out)
{
    bn_status status = inner(p, out);
    while (status == BN_OK) {
        const binary_row *row = rows;
        while (row->word && !at(p, row->word)) row++;
        if (!row->word) return BN_OK;
        int right = 0;
        status = advance(p);
        if (status == BN_OK) status = inner(p, &right);
        if (status == BN_OK) status = join(p, row->op, *out, right, out);
    }
    return status;
}

static bn_status parse_product(parser *p, int *out)
{
    static const binary_row rows[] = {
        {"*", BN_EXPR_MULTIPLY}, {"/", BN_EXPR_DIVIDE}, {"%", BN_EXPR_MODULO}, {NULL, 0}};
    return parse_binary(p, rows, parse_unary, out);
}

static bn_status parse_sum(parser *p, int *out)
{
    static const binary_row rows[] = {{"+", BN_EXPR_ADD}, {"-", BN_EXPR_SUBTRACT}, {NULL, 0}};
    return parse_binary(p, rows, parse_product, out);
}

/* in (a, b) or in [a, b]: the node's children are the value and then the items. */
static bn_status parse_in(parser *p, int left, int *out)
{
    bool square = at(p, "[");
    int first = 0, count = 0;
    bn_status status = square ? advance(p) : expect(p, "(", "'(' or '['");
    if (status == BN_OK) status = parse_list(p, square ? "]" : ")", &first, &count);
    return status == BN_OK ? join(p, BN_EXPR_IN, left, first, out) : status;
}

static bn_status parse_comparison(parser *p, int *out)
{
    static const binary_row rows[] = {{"==", BN_EXPR_EQUAL}, {"!=", BN_EXPR_UNEQUAL},
                                      {"<", BN_EXPR_LESS},   {"<=", BN_EXPR_AT_MOST},
                                      {">", BN_EXPR_MORE},   {">=", BN_EXPR_AT_LEAST},
                                      {"in", BN_EXPR_IN},    {NULL, 0}};
    int left = 0, right = 0;
    bn_status status = parse_sum(p, &left);
    *out = left;
    if (status != BN_OK) return status;
    if (at(p, "=")) return fail_here(p, "'==' to compare");
    const binary_row *row = rows;
    while (row->word && !at(p, row->word)) row++;
    if (!row->word) return BN_OK;
    status = advance(p);
    if (status != BN_OK) return status;
    if (row->op == BN_EXPR_IN) return parse_in(p, left, out);
    status = parse_sum(p, &right);
    return status == BN_OK ? join(p, row->op, left, right, out) : status;
}

static bn_status parse_not(parser *p, int *out)
{
    if (!at(p, "not") && !at(p, "!")) return parse_comparison(p, out);
    int inner = 0;
    bn_status status = deeper(p);
    if (status == BN_OK) status = advance(p);
    if (status == BN_OK) status = parse_not(p, &inner);
    p->depth--;
    return status == BN_OK ? add_node(p, BN_EXPR_NOT, inner, out) : status;
}

static bn_status parse_and(parser *p, int *out)
{
    static const binary_row rows[] = {{"and", BN_EXPR_AND}, {"&&", BN_EXPR_AND}, {NULL, 0}};
    return parse_binary(p, rows, parse_not, out);
}

static bn_status parse_or(parser *p, int *out)
{
    static const binary_row rows[] = {{"or", BN_EXPR_OR}, {"||", BN_EXPR_OR}, {NULL, 0}};
    bn_status status = deeper(p);
    if (status == BN_OK) status = parse_binary(p, rows, parse_and, out);
    p->depth--;
    return status;
}

/* NOLINTEND(misc-no-recursion) */

static bn_status parse_all(parser *p)
{
    int placeholder = 0;
    bn_status status = add_node(p, BN_EXPR_BOOL, 0, &placeholder);
    if (status == BN_OK) status = advance(p);
    if (status == BN_OK) status = parse_or(p, &p->expr->root);
    if (status == BN_OK && p->kind != TOKEN_END) status = fail_here(p, "the end or an operator");
    return status;
}

bn_status bn_expr_compile(bn_expr **out, const char *text, bn_error *err)
{
    size_t length = strlen(text);
    *out = NULL;
    if (length > BN_EXPR_BYTES_MAX) {
        return bn_fail(err, BN_EINVAL, "the formula must have at most %d bytes, has %zu",
                       BN_EXPR_BYTES_MAX, length);
    }
    bn_expr *expr = calloc(1, sizeof *expr);
    if (expr) {
        expr->text = strdup(text);
        expr->words = malloc(2 * length + 2);
        expr->nodes = calloc(BN_EXPR_NODES_MAX, sizeof *expr->nodes);
    }
    if (!expr || !expr->text || !expr->words || !expr->nodes) {
        bn_expr_free(expr);
        return bn_fail(err, BN_ENOMEM, "too little memory for a formula");
    }
    parser p = {.expr = expr, .text = expr->text, .err = err};
    bn_status status = parse_all(&p);
    if (status != BN_OK) {
        bn_expr_free(expr);
        return status;
    }
    *out = expr;
    return BN_OK;
}

void bn_expr_free(bn_expr *expr)
{
    if (!expr) return;
    free(expr->text);
    free(expr->words);
    free(expr->nodes);
    free(expr);
}
