#include "store/query.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/inside.h"

struct bn_query {
    bn_stmt *stmt;
    char words[32]; /* what stands for bytes that are no text */
};

bn_status bn_query_open(bn_query **out, bn_store *store, const char *sql, bn_error *err)
{
    *out = NULL;
    bn_query *query = calloc(1, sizeof *query);
    if (!query) return bn_fail(err, BN_ENOMEM, "query: out of memory");
    if (bn_db_query(store->db, sql, &query->stmt, err) != BN_OK) {
        free(query);
        return err->status;
    }
    *out = query;
    return BN_OK;
}

void bn_query_close(bn_query *query)
{
    if (!query) return;
    bn_db_query_close(query->stmt);
    free(query);
}

bn_status bn_query_next(bn_query *query, bool *row, bn_error *err)
{
    *row = bn_stmt_row(query->stmt);
    return *row ? BN_OK : bn_stmt_end(query->stmt, err);
}

int bn_query_columns(bn_query *query)
{
    return bn_stmt_columns(query->stmt);
}

const char *bn_query_name(bn_query *query, int column)
{
    return bn_stmt_column_name(query->stmt, column);
}

bn_query_kind bn_query_kind_of(bn_query *query, int column)
{
    switch (bn_stmt_cell(query->stmt, column)) {
    case BN_CELL_NULL:
        return BN_QUERY_NULL;
    case BN_CELL_INT:
        return BN_QUERY_INT;
    case BN_CELL_REAL:
        return BN_QUERY_REAL;
    case BN_CELL_TEXT:
    case BN_CELL_BLOB:
        break;
    }
    return BN_QUERY_TEXT;
}

int64_t bn_query_int(bn_query *query, int column)
{
    return bn_stmt_get_int(query->stmt, column);
}

double bn_query_real(bn_query *query, int column)
{
    return bn_stmt_get_real(query->stmt, column);
}

const char *bn_query_text(bn_query *query, int column)
{
    if (bn_stmt_cell(query->stmt, column) == BN_CELL_BLOB) {
        size_t size = 0;
        (void)bn_stmt_get_blob(query->stmt, column, &size);
        (void)snprintf(query->words, sizeof query->words, "<%zu bytes>", size);
        return query->words;
    }
    return bn_stmt_get_text(query->stmt, column);
}
