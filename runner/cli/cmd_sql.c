/* cmd_sql.c - bnexp sql "SELECT ...": the database itself, read-only. */
#include <string.h>

#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"
#include "runner/cli/table.h"
#include "runner/cli/words.h"
#include "store/query.h"

static void json_cell(bn_json *json, bn_query *query, int column)
{
    switch (bn_query_kind_of(query, column)) {
    case BN_QUERY_NULL:
        bn_json_string(json, NULL);
        return;
    case BN_QUERY_INT:
        bn_json_int(json, bn_query_int(query, column));
        return;
    case BN_QUERY_REAL:
        bn_json_real(json, bn_query_real(query, column));
        return;
    case BN_QUERY_TEXT:
        break;
    }
    bn_json_string(json, bn_query_text(query, column));
}

static bn_status print_json(bn_query *query, bn_error *err)
{
    bn_text out = {0};
    bn_json json = bn_print_begin(&out);
    bool row = false;
    int columns = bn_query_columns(query);
    bn_status status = BN_OK;
    bn_json_key(&json, "columns");
    bn_json_array(&json);
    for (int i = 0; i < columns; i++) bn_json_string(&json, bn_query_name(query, i));
    bn_json_end_array(&json);
    bn_json_key(&json, "rows");
    bn_json_array(&json);
    while ((status = bn_query_next(query, &row, err)) == BN_OK && row) {
        bn_json_array(&json);
        for (int i = 0; i < columns; i++) json_cell(&json, query, i);
        bn_json_end_array(&json);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(&out, "\n");
    if (status == BN_OK) status = bn_print_text(&out, err);
    bn_text_release(&out);
    return status;
}

static void table_cell(bn_table *table, bn_query *query, int column)
{
    char words[BN_WORDS_MAX];
    switch (bn_query_kind_of(query, column)) {
    case BN_QUERY_NULL:
        bn_table_cell(table, "NULL");
        return;
    case BN_QUERY_REAL:
        bn_table_cell(table, bn_words_number(words, bn_query_real(query, column)));
        return;
    case BN_QUERY_INT:
    case BN_QUERY_TEXT:
        break;
    }
    bn_table_cell(table, bn_query_text(query, column));
}

static bn_status print_table(bn_query *query, bn_error *err)
{
    bn_table table = {0};
    bool row = false;
    bn_status status = BN_OK;
    int columns = bn_query_columns(query);
    if (columns > BN_TABLE_COLUMNS_MAX) {
        return bn_fail(err, BN_EINVAL, "SQL: more than %d columns; use --json",
                       BN_TABLE_COLUMNS_MAX);
    }
    for (int i = 0; i < columns; i++) bn_table_column(&table, bn_query_name(query, i), false);
    while ((status = bn_query_next(query, &row, err)) == BN_OK && row) {
        for (int i = 0; i < columns; i++) table_cell(&table, query, i);
    }
    if (status == BN_OK) status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    return status;
}

int bn_cmd_sql(int argc, char **argv)
{
    const char *home = NULL;
    bool json = false, help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--json", 0, BN_OPTION_FLAG, &json, NULL, "JSON: {\"columns\":[..],\"rows\":[[..]]}"},
    };
    const bn_options options = {
        .usage = "bnexp sql \"SELECT ...\" [options]",
        .about =
            "Runs one SELECT on the home's database and prints its rows. Nothing can be changed\n"
            "through it, and no sweep waits for it. docs/store.md has the tables.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_store *store = NULL;
    bn_query *query = NULL;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) {
        status = bn_store_open(&store, bn_command_home(home), BN_STORE_READ, &err);
        if (status == BN_OK) status = bn_query_open(&query, store, arguments.items[0], &err);
        if (status == BN_OK) status = json ? print_json(query, &err) : print_table(query, &err);
        bn_query_close(query);
        bn_store_close(store);
    }
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
