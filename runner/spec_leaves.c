/* Names with dots, tables in tables: what stands below a table of the sweep file, each with its
 * whole name, in the order of the file. TOML's tables gather what the file may have written apart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/spec_read.h"

enum { NAME_MAX_BYTES = 160, NESTED_MAX = 8 };

typedef struct leaf {
    char name[NAME_MAX_BYTES];
    const bn_toml_node *node;
    int line;
    size_t index; /* as it was found */
} leaf;

/* The walk through a table. */
typedef struct walk {
    bn_spec_reader *reader;
    bool parameters; /* leaves are parameters, tables themselves; otherwise values */
    leaf *leaves;
    size_t count, room;
} walk;

static bn_status add_leaf(walk *w, const char *name, const bn_toml_node *node, int line)
{
    if (w->count == w->room) {
        size_t room = w->room ? w->room * 2 : 32;
        leaf *more = realloc(w->leaves, room * sizeof *more);
        if (!more) return bn_fail(w->reader->err, BN_ENOMEM, "too little memory for names");
        w->leaves = more;
        w->room = room;
    }
    leaf *added = &w->leaves[w->count];
    *added = (leaf){.node = node, .line = line, .index = w->count++};
    memcpy(added->name, name, sizeof added->name);
    return BN_OK;
}

/* A table that holds parameters rather than being one: all its keys hold tables. */
static bool holds_parameters(const bn_toml_node *node)
{
    if (bn_toml_kind_of(node) != BN_TOML_TABLE || bn_toml_count(node) == 0) return false;
    for (size_t i = 0; i < bn_toml_count(node); i++) {
        if (bn_toml_kind_of(bn_toml_at(node, i)) != BN_TOML_TABLE) return false;
    }
    return true;
}

static bool is_inner(const walk *w, const bn_toml_node *node, int depth)
{
    if (!w->parameters) return bn_toml_kind_of(node) == BN_TOML_TABLE;
    return depth < NESTED_MAX && holds_parameters(node);
}

/* NOLINTNEXTLINE(misc-no-recursion): every level makes the name longer or is counted. */
static bn_status gather(walk *w, const bn_toml_node *table, const char *prefix, int depth)
{
    for (size_t i = 0; i < bn_toml_count(table); i++) {
        char name[NAME_MAX_BYTES];
        const char *key = bn_toml_key(table, i);
        const bn_toml_node *node = bn_toml_at(table, i);
        int line = bn_toml_key_line(table, i);
        bool inner = is_inner(w, node, depth);
        /* wandb's [parameters.optim.parameters]: the word is no part of the name. */
        bool passed = inner && w->parameters && *prefix && strcmp(key, "parameters") == 0;
        int length = passed
                         ? snprintf(name, sizeof name, "%s", prefix)
                         : snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (length < 0 || (size_t)length >= sizeof name) {
            return bn_spec_fail(w->reader, line, "the name '%.60s...' is too long", name);
        }
        bn_status status = inner ? gather(w, node, name, depth + 1) : add_leaf(w, name, node, line);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

static int by_line(const void *a, const void *b)
{
    const leaf *x = a, *y = b;
    if (x->line != y->line) return x->line < y->line ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static bn_status each(walk *w, const bn_toml_node *table, bn_spec_leaf take)
{
    bn_status status = gather(w, table, "", 0);
    if (status == BN_OK && w->count) qsort(w->leaves, w->count, sizeof *w->leaves, by_line);
    for (size_t i = 0; status == BN_OK && i < w->count; i++) {
        status = take(w->reader, w->leaves[i].name, w->leaves[i].node, w->leaves[i].line);
    }
    free(w->leaves);
    return status;
}

bn_status bn_spec_each_leaf(bn_spec_reader *reader, const bn_toml_node *table, bn_spec_leaf take)
{
    walk w = {.reader = reader};
    return each(&w, table, take);
}

bn_status bn_spec_each_parameter(bn_spec_reader *reader, const bn_toml_node *table,
                                 bn_spec_leaf take)
{
    walk w = {.reader = reader, .parameters = true};
    return each(&w, table, take);
}
