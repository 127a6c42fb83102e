/* series.c - the reading half of history.h: curves, summaries, pages of records. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/history.h"
#include "store/inside.h"
#include "store/page.h"

struct bn_history_reader {
    bn_store *store;
    bn_page page;
};

void bn_series_release(bn_series *series)
{
    free(series->seq);
    free(series->step);
    free(series->wall_s);
    free(series->number);
    *series = (bn_series){0};
}

static bn_status key_of(bn_store *store, const char *key, int64_t *id, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT id\nFROM metric_key\nWHERE name = ?1");
    bn_stmt_text(stmt, 1, key);
    *id = bn_stmt_row(stmt) ? bn_stmt_get_int(stmt, 0) : 0; /* rows count from 1 */
    return bn_stmt_end(stmt, err);
}

/* How many there are and whether the run measured it in every record from the first to the last:
 * then no seq needs to be read, which is a third of the work. */
static bn_status reserve(bn_store *store, int64_t run, int64_t key, bn_series *out, bool *dense,
                         bn_error *err)
{
    int64_t first = 0, last = -1;
    bn_stmt *stmt = bn_db_stmt(
        store->db, "SELECT l.count,\n"
                   "       (SELECT min(seq) FROM value WHERE run_id = ?2 AND key_id = ?1),\n"
                   "       (SELECT max(seq) FROM value WHERE run_id = ?2 AND key_id = ?1)\n"
                   "FROM latest AS l\n"
                   "WHERE l.key_id = ?1 AND l.run_id = ?2");
    bn_stmt_int(stmt, 1, key);
    bn_stmt_int(stmt, 2, run);
    size_t count = 0;
    if (bn_stmt_row(stmt)) {
        count = (size_t)bn_stmt_get_int(stmt, 0);
        first = bn_stmt_get_int(stmt, 1);
        last = bn_stmt_get_int(stmt, 2);
    }
    bn_status status = bn_stmt_end(stmt, err);
    *dense = last - first + 1 == (int64_t)count;
    if (status != BN_OK || count == 0) return status;
    out->seq = calloc(count, sizeof *out->seq);
    out->step = calloc(count, sizeof *out->step);
    out->wall_s = calloc(count, sizeof *out->wall_s);
    out->number = calloc(count, sizeof *out->number);
    if (!out->seq || !out->step || !out->wall_s || !out->number) {
        return bn_fail(err, BN_ENOMEM, "a series of %zu points: out of memory", count);
    }
    out->count = count;
    for (size_t i = 0; *dense && i < count; i++) out->seq[i] = first + (int64_t)i;
    return BN_OK;
}

static bn_status read_numbers(bn_store *store, int64_t run, int64_t key, bool dense, bn_series *out,
                              bn_error *err)
{
    size_t i = 0;
    bn_stmt *stmt = bn_db_stmt(store->db, dense ? "SELECT number\n"
                                                  "FROM value\n"
                                                  "WHERE run_id = ?1 AND key_id = ?2\n"
                                                  "ORDER BY seq"
                                                : "SELECT number, seq\n"
                                                  "FROM value\n"
                                                  "WHERE run_id = ?1 AND key_id = ?2\n"
                                                  "ORDER BY seq");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, key);
    for (; i < out->count && bn_stmt_row(stmt); i++) {
        out->number[i] = bn_stmt_get_real(stmt, 0);
        if (!dense) out->seq[i] = bn_stmt_get_int(stmt, 1);
    }
    bool whole = i == out->count;
    bn_status status = bn_stmt_end(stmt, err);
    if (status != BN_OK || whole) return status;
    return bn_fail(err, BN_ECORRUPT,
                   "run number %lld: its summary counts %zu values, there are %zu", (long long)run,
                   out->count, i);
}

/* Both tables lie in order of seq, so one walk over the records finds them all. */
static bn_status read_steps(bn_store *store, int64_t run, bool dense, bn_series *out, bn_error *err)
{
    if (out->count == 0) return BN_OK;
    size_t i = 0;
    bn_stmt *stmt = bn_db_stmt(store->db, dense ? "SELECT step, wall_s\n"
                                                  "FROM record\n"
                                                  "WHERE run_id = ?1 AND seq BETWEEN ?2 AND ?3\n"
                                                  "ORDER BY seq"
                                                : "SELECT step, wall_s, seq\n"
                                                  "FROM record\n"
                                                  "WHERE run_id = ?1 AND seq BETWEEN ?2 AND ?3\n"
                                                  "ORDER BY seq");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, out->seq[0]);
    bn_stmt_int(stmt, 3, out->seq[out->count - 1]);
    while (i < out->count && bn_stmt_row(stmt)) {
        if (!dense && bn_stmt_get_int(stmt, 2) != out->seq[i]) continue;
        out->step[i] = bn_stmt_get_int(stmt, 0);
        out->wall_s[i++] = bn_stmt_get_real(stmt, 1);
    }
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && i != out->count) {
        return bn_fail(err, BN_ECORRUPT, "run number %lld: a value has no record", (long long)run);
    }
    return status;
}

bn_status bn_history_series(bn_store *store, int64_t run, const char *key, bn_series *out,
                            bn_error *err)
{
    int64_t id = 0;
    bool dense = false;
    *out = (bn_series){0};
    if (bn_store_begin_read(store, err) != BN_OK) return err->status;
    bn_status status = key_of(store, key, &id, err);
    if (status == BN_OK && id) status = reserve(store, run, id, out, &dense, err);
    if (status == BN_OK) status = read_numbers(store, run, id, dense, out, err);
    if (status == BN_OK) status = read_steps(store, run, dense, out, err);
    status = bn_store_end_read(store, status, err);
    if (status != BN_OK) bn_series_release(out);
    return status;
}

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
