/* query.h - a person's own SELECT on the database: read and nothing else. */
#ifndef BN_STORE_QUERY_H
#define BN_STORE_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

typedef enum bn_query_kind {
    BN_QUERY_NULL,
    BN_QUERY_INT,
    BN_QUERY_REAL,
    BN_QUERY_TEXT
} bn_query_kind;

typedef struct bn_query bn_query;

/* BN_EINVAL: not one statement, not SQL, or one that would change something. The store must stay
 * open until close. */
BN_MUST_CHECK bn_status bn_query_open(bn_query **out, bn_store *store, const char *sql,
                                      bn_error *err);
void bn_query_close(bn_query *query); /* NULL is fine */

/* Moves to the next row; *row is false at the end. */
BN_MUST_CHECK bn_status bn_query_next(bn_query *query, bool *row, bn_error *err);

int bn_query_columns(bn_query *query);
const char *bn_query_name(bn_query *query, int column);

/* Of the row; a text lives until the next one. Bytes that are no text read as
 * "<812 bytes>". */
bn_query_kind bn_query_kind_of(bn_query *query, int column);
int64_t bn_query_int(bn_query *query, int column);
double bn_query_real(bn_query *query, int column);
const char *bn_query_text(bn_query *query, int column);

#endif
