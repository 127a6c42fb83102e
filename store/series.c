/* series.c - the reading half of history.h but for curves: summaries, pages of records. */
#include <stdlib.h>
#include <string.h>

#include "store/history.h"
#include "store/inside.h"
#include "store/page.h"

struct bn_history_reader {
    bn_store *store;
    bn_page page;
};

#define LATEST_COLUMNS                                                                             \
    "k.name, l.last, l.last_step, l.min, l.min_step, l.max, l.max_step, l.run_id, l.count,\n"      \
    "    k.id\n"
enum { LATEST_RUN = 7, LATEST_COUNT, LATEST_KEY };

static void latest_from_row(bn_stmt *stmt, bn_latest *out)
{
    bn_stmt_copy_text(stmt, 0, out->key, sizeof out->key);
    out->run = bn_stmt_get_int(stmt, LATEST_RUN);
    out->last = bn_stmt_get_real(stmt, 1);
    out->last_step = bn_stmt_get_int(stmt, 2);
    out->min = bn_stmt_get_real(stmt, 3);
    out->min_step = bn_stmt_get_int(stmt, 4);
    out->max = bn_stmt_get_real(stmt, 5);
    out->max_step = bn_stmt_get_int(stmt, 6);
    out->count = bn_stmt_get_int(stmt, LATEST_COUNT);
    out->key_id = bn_stmt_get_int(stmt, LATEST_KEY);
}

bn_status bn_history_latest(bn_store *store, int64_t run, bn_latest **out, size_t *count,
                            bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT " LATEST_COLUMNS "FROM metric_key AS k\n"
                                          "CROSS JOIN latest AS l ON l.key_id = k.id\n"
                                          "WHERE l.run_id = ?1\n"
                                          "ORDER BY k.name");
    bn_stmt_int(stmt, 1, run);
    bn_latest *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) latest_from_row(stmt, row);
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_history_latest_of(bn_store *store, int64_t sweep, const char *key, bn_latest **out,
                               size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(
        store->db, sweep ? "SELECT " LATEST_COLUMNS "FROM metric_key AS k\n"
                           "CROSS JOIN latest AS l ON l.key_id = k.id\n"
                           "CROSS JOIN run AS r ON r.id = l.run_id\n"
                           "WHERE k.name = ?1 AND r.sweep_id = ?2 AND r.trashed_s IS NULL\n"
                           "ORDER BY l.run_id"
                         : "SELECT " LATEST_COLUMNS "FROM metric_key AS k\n"
                           "CROSS JOIN latest AS l ON l.key_id = k.id\n"
                           "WHERE k.name = ?1\n"
                           "ORDER BY l.run_id");
    bn_stmt_text(stmt, 1, key);
    if (sweep) bn_stmt_int(stmt, 2, sweep);
    bn_latest *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) latest_from_row(stmt, row);
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

static int compare_latest(const void *a, const void *b)
{
    const bn_latest *x = a, *y = b;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* The table lies metric by metric: reading it so and sorting here is cheaper than asking for each
 * run. */
bn_status bn_history_latest_all(bn_store *store, int64_t sweep, bn_latest **out, size_t *count,
                                bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(store->db, sweep ? "SELECT " LATEST_COLUMNS "FROM metric_key AS k\n"
                                                  "CROSS JOIN latest AS l ON l.key_id = k.id\n"
                                                  "CROSS JOIN run AS r ON r.id = l.run_id\n"
                                                  "WHERE r.sweep_id = ?1 AND r.trashed_s IS NULL"
                                                : "SELECT " LATEST_COLUMNS "FROM metric_key AS k\n"
                                                  "CROSS JOIN latest AS l ON l.key_id = k.id");
    if (sweep) bn_stmt_int(stmt, 1, sweep);
    bn_latest *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) latest_from_row(stmt, row);
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    if (*count) qsort(*out, *count, sizeof **out, compare_latest);
    return status;
}

bn_status bn_history_keys(bn_store *store, int64_t sweep, bn_metric_use **out, size_t *count,
                          bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(
        store->db, sweep ? "SELECT k.name, count(*), sum(l.count), k.id\n"
                           "FROM metric_key AS k\n"
                           "CROSS JOIN latest AS l ON l.key_id = k.id\n"
                           "JOIN run AS r ON r.id = l.run_id\n"
                           "WHERE r.sweep_id = ?1 AND r.trashed_s IS NULL\n"
                           "GROUP BY k.id\n"
                           "ORDER BY k.name"
                         : "SELECT k.name, count(l.run_id), ifnull(sum(l.count), 0), k.id\n"
                           "FROM metric_key AS k\n"
                           "LEFT JOIN latest AS l ON l.key_id = k.id\n"
                           "GROUP BY k.id\n"
                           "ORDER BY k.name");
    if (sweep) bn_stmt_int(stmt, 1, sweep);
    bn_metric_use *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) {
        bn_stmt_copy_text(stmt, 0, row->key, sizeof row->key);
        row->runs = bn_stmt_get_int(stmt, 1);
        row->numbers = bn_stmt_get_int(stmt, 2);
        row->id = bn_stmt_get_int(stmt, 3);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_history_reader_open(bn_history_reader **out, bn_store *store, bn_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return bn_fail(err, BN_ENOMEM, "records: out of memory");
    (*out)->store = store;
    return BN_OK;
}

void bn_history_reader_close(bn_history_reader *reader)
{
    if (!reader) return;
    bn_page_release(&reader->page);
    free(reader);
}

bn_status bn_history_read(bn_history_reader *reader, int64_t run, int64_t first_seq,
                          const bn_record **records, size_t *count, bn_error *err)
{
    *records = NULL;
    *count = 0;
    if (bn_store_begin_read(reader->store, err) != BN_OK) return err->status;
    bn_status status =
        bn_page_fill(&reader->page, reader->store, run, first_seq, BN_HISTORY_RECORDS, err);
    status = bn_store_end_read(reader->store, status, err);
    if (status != BN_OK) return status;
    *records = reader->page.records;
    *count = reader->page.count;
    return BN_OK;
}
