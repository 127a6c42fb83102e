/* table.h - a table of text for people: columns as wide as what they hold, numbers to the right. */
#ifndef BN_RUNNER_CLI_TABLE_H
#define BN_RUNNER_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "engine/base/text.h"

enum { BN_TABLE_COLUMNS_MAX = 48 };

typedef struct bn_table {
    size_t columns, cells; /* the first row of cells is the heading */
    bool right[BN_TABLE_COLUMNS_MAX];
    size_t width[BN_TABLE_COLUMNS_MAX];
    bn_text text; /* cells one after another, each ended by a NUL */
} bn_table;       /* {0} is an empty one */

void bn_table_release(bn_table *table);

/* All columns first, then cells row by row. */
void bn_table_column(bn_table *table, const char *heading, bool right);
void bn_table_cell(bn_table *table, const char *words);
void bn_table_cellf(bn_table *table, const char *format, ...) BN_PRINTF(2, 3);

/* Control characters come out as '?', so that no name can steer a terminal. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_table_print(const bn_table *table, FILE *out, bn_error *err);

#endif
