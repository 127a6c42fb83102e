#include "runner/cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

void bn_table_release(bn_table *table)
{
    bn_text_release(&table->text);
    *table = (bn_table){0};
}

/* Characters, not bytes: UTF-8's continuation bytes take no room. */
static size_t width_of(const char *words)
{
    size_t width = 0;
    for (; *words; words++) width += ((unsigned char)*words & 0xC0) != 0x80;
    return width;
}

static void add(bn_table *table, size_t column, const char *words)
{
    size_t width = width_of(words);
    if (width > table->width[column]) table->width[column] = width;
    bn_text_add_bytes(&table->text, words, strlen(words) + 1);
    table->cells++;
}

void bn_table_column(bn_table *table, const char *heading, bool right)
{
    assert(table->cells == table->columns && table->columns < BN_TABLE_COLUMNS_MAX);
    table->right[table->columns] = right;
    add(table, table->columns, heading);
    table->columns++;
}

void bn_table_cell(bn_table *table, const char *words)
{
    add(table, table->cells % table->columns, words);
}

void bn_table_cellf(bn_table *table, const char *format, ...)
{
    char words[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    bn_table_cell(table, words);
}

static void print_cell(const bn_table *table, size_t column, const char *words, FILE *out)
{
    size_t blanks = table->width[column] - width_of(words);
    bool last = column + 1 == table->columns;
    if (table->right[column]) (void)fprintf(out, "%*s", (int)blanks, "");
    for (const char *c = words; *c; c++) {
        (void)fputc((unsigned char)*c < 0x20 || *c == 0x7F ? '?' : *c, out);
    }
    if (!table->right[column] && !last) (void)fprintf(out, "%*s", (int)blanks, "");
    (void)fputs(last ? "\n" : "  ", out);
}

bn_status bn_table_print(const bn_table *table, FILE *out, bn_error *err)
{
    if (table->text.failed) return bn_fail(err, BN_ENOMEM, "table: out of memory");
    const char *words = table->text.data;
    for (size_t i = 0; i < table->cells; i++) {
        print_cell(table, i % table->columns, words, out);
        words += strlen(words) + 1;
    }
    return BN_OK;
}
