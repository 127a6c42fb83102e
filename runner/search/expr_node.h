/* expr_node.h - a compiled formula. Only for expr.c and expr_parse.c. */
#ifndef BN_RUNNER_SEARCH_EXPR_NODE_H
#define BN_RUNNER_SEARCH_EXPR_NODE_H

#include "runner/search/expr.h"

enum { BN_EXPR_NODES_MAX = 512 };

typedef enum bn_expr_op {
    BN_EXPR_NUMBER,
    BN_EXPR_TEXT,
    BN_EXPR_BOOL,
    BN_EXPR_NAME,
    BN_EXPR_OR,
    BN_EXPR_AND,
    BN_EXPR_NOT,
    BN_EXPR_EQUAL,
    BN_EXPR_UNEQUAL,
    BN_EXPR_LESS,
    BN_EXPR_AT_MOST,
    BN_EXPR_MORE,
    BN_EXPR_AT_LEAST,
    BN_EXPR_IN,
    BN_EXPR_ADD,
    BN_EXPR_SUBTRACT,
    BN_EXPR_MULTIPLY,
    BN_EXPR_DIVIDE,
    BN_EXPR_MODULO,
    BN_EXPR_POWER,
    BN_EXPR_MIN,
    BN_EXPR_MAX, /* ADD ... MAX: of two numbers, in the order of PAIR_FUNCTIONS */
    BN_EXPR_MINUS,
    BN_EXPR_LOG,
    BN_EXPR_EXP,
    BN_EXPR_SQRT,
    BN_EXPR_ROUND,
    BN_EXPR_FLOOR,
    BN_EXPR_CEIL,
    BN_EXPR_ABS, /* MINUS ... ABS: of one number, in the order of FUNCTIONS */
    BN_EXPR_IF,
} bn_expr_op;

/* Children are numbers of nodes; a node's later siblings follow by `next`. 0: none (node 0 is
 * never a child: the first node made is a leaf placeholder). */
typedef struct bn_expr_node {
    bn_expr_op op;
    int first; /* child */
    int next;  /* sibling */
    int index; /* TEXT: offset in words; NAME: which name */
    double number;
} bn_expr_node;

struct bn_expr {
    char *text;
    char *words; /* texts and names, each with its NUL */
    size_t words_length;
    int names[BN_EXPR_NAMES_MAX]; /* offsets in words */
    int name_count;
    bn_expr_node *nodes;
    int node_count;
    int root;
};

#endif
