/* toml.h - TOML with the place of every value, over toml++ (the shim is toml.cpp, the only C++
 * here).
 *
 * A document is a tree of nodes; a node knows its line, so an error can say file:line.
 */
#ifndef BN_RUNNER_TOML_H
#define BN_RUNNER_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bn_toml bn_toml;           /* a document */
typedef struct bn_toml_node bn_toml_node; /* borrowed from its document */

typedef enum bn_toml_kind {
    BN_TOML_TABLE,
    BN_TOML_ARRAY,
    BN_TOML_TEXT,
    BN_TOML_INT,
    BN_TOML_REAL,
    BN_TOML_BOOL,
    BN_TOML_TIME,
} bn_toml_kind;

/* Parses; `file` is only for messages. BN_EINVAL: "file:line: ...". The caller closes *out. */
BN_MUST_CHECK bn_status bn_toml_parse(bn_toml **out, const char *text, size_t bytes,
                                      const char *file, bn_error *err);
void bn_toml_close(bn_toml *document); /* NULL is fine */

const bn_toml_node *bn_toml_root(const bn_toml *document);
bn_toml_kind bn_toml_kind_of(const bn_toml_node *node);
int bn_toml_line(const bn_toml_node *node);

/* Tables (in the file's order) and arrays. */
size_t bn_toml_count(const bn_toml_node *node);
const bn_toml_node *bn_toml_at(const bn_toml_node *node, size_t index);
const char *bn_toml_key(const bn_toml_node *node, size_t index); /* tables */
int bn_toml_key_line(const bn_toml_node *node, size_t index);    /* where the key stands */
const bn_toml_node *bn_toml_get(const bn_toml_node *node, const char *key); /* NULL: absent */

const char *bn_toml_text(const bn_toml_node *node); /* TEXT */
int64_t bn_toml_int(const bn_toml_node *node);      /* INT */
double bn_toml_real(const bn_toml_node *node);      /* INT or REAL */
bool bn_toml_bool(const bn_toml_node *node);        /* BOOL */

#ifdef __cplusplus
}
#endif
#endif
