#include "store/page.h"

#include <stdlib.h>
#include <string.h>

void bn_page_release(bn_page *page)
{
    free(page->records);
    free(page->values);
    free(page->points);
    free(page->keys);
    free(page->key_ids);
    *page = (bn_page){0};
}

/* bn_array_grow for an array of a type of its own. */
#define GROW(array, count, room, err) grow(&(array), count, &(room), sizeof *(array), err)

static bn_status grow(void *place, size_t count, size_t *room, size_t size_bytes, bn_error *err)
{
    void *array = NULL;
    memcpy(&array, place, sizeof array);
    bn_status status = bn_array_grow(&array, count, room, size_bytes, err);
    memcpy(place, &array, sizeof array);
    return status;
}

static bn_status read_records(bn_page *page, bn_store *store, int64_t run, int64_t first_seq,
                              size_t limit, bn_error *err)
{
    bn_status status = BN_OK;
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT seq, step, wall_s\n"
                                          "FROM record\n"
                                          "WHERE run_id = ?1 AND seq >= ?2\n"
                                          "ORDER BY seq\n"
                                          "LIMIT ?3");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, first_seq);
    bn_stmt_int(stmt, 3, (int64_t)limit);
    page->count = 0;
    while (status == BN_OK && bn_stmt_row(stmt)) {
        status = GROW(page->records, page->count, page->record_room, err);
        if (status != BN_OK) break;
        page->records[page->count++] = (bn_record){.seq = bn_stmt_get_int(stmt, 0),
                                                   .step = bn_stmt_get_int(stmt, 1),
                                                   .wall_s = bn_stmt_get_real(stmt, 2)};
    }
    bn_status ended = bn_stmt_end(stmt, err);
    return status != BN_OK ? status : ended;
}

/* CROSS JOIN fixes the order: every known metric, asked whether this run has it. */
static bn_status read_keys(bn_page *page, bn_store *store, int64_t run, bn_error *err)
{
    bn_status status = BN_OK;
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT k.id\n"
                                          "FROM metric_key AS k\n"
                                          "CROSS JOIN latest AS l ON l.key_id = k.id\n"
                                          "WHERE l.run_id = ?1\n"
                                          "ORDER BY k.id");
    bn_stmt_int(stmt, 1, run);
    page->key_count = 0;
    while (status == BN_OK && bn_stmt_row(stmt)) {
        status = GROW(page->keys, page->key_count, page->key_room, err);
        if (status == BN_OK) status = GROW(page->key_ids, page->key_count, page->key_id_room, err);
        if (status == BN_OK) page->key_ids[page->key_count++] = bn_stmt_get_int(stmt, 0);
    }
    bn_status ended = bn_stmt_end(stmt, err);
    if (status == BN_OK) status = ended;
    for (size_t i = 0; status == BN_OK && i < page->key_count; i++) {
        const bn_metric *metric = NULL;
        status = bn_metrics_by_id(&store->metrics, store->db, page->key_ids[i], &metric, err);
        if (status != BN_OK) break;
        if (!metric) {
            return bn_fail(err, BN_ECORRUPT, "metric number %lld has no name",
                           (long long)page->key_ids[i]);
        }
        page->keys[i] = metric->name;
    }
    return status;
}

static bn_status read_points(bn_page *page, bn_store *store, int64_t run, size_t key, bn_error *err)
{
    bn_status status = BN_OK;
    int64_t first = page->records[0].seq, last = page->records[page->count - 1].seq;
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT seq, number\n"
                                          "FROM value\n"
                                          "WHERE run_id = ?1 AND key_id = ?2\n"
                                          "  AND seq BETWEEN ?3 AND ?4\n"
                                          "ORDER BY seq");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, page->key_ids[key]);
    bn_stmt_int(stmt, 3, first);
    bn_stmt_int(stmt, 4, last);
    while (status == BN_OK && bn_stmt_row(stmt)) {
        status = GROW(page->points, page->point_count, page->point_room, err);
        if (status != BN_OK) break;
        bn_page_point *point = &page->points[page->point_count++];
        /* seq has no gaps, so a record's place in the page is known from its seq alone. */
        *point = (bn_page_point){(uint32_t)(bn_stmt_get_int(stmt, 0) - first), (uint32_t)key,
                                 bn_stmt_get_real(stmt, 1)};
        page->records[point->record].count++;
    }
    bn_status ended = bn_stmt_end(stmt, err);
    return status != BN_OK ? status : ended;
}

/* Deals the points, which lie metric by metric, out to their records. */
static bn_status deal(bn_page *page, bn_error *err)
{
    if (page->point_count > page->value_room) {
        bn_value *values = realloc(page->values, page->point_room * sizeof *values);
        if (!values) return bn_fail(err, BN_ENOMEM, "records: out of memory");
        page->values = values;
        page->value_room = page->point_room;
    }
    bn_value *next = page->values;
    for (size_t i = 0; i < page->count; i++) {
        page->records[i].values = next;
        next += page->records[i].count;
        page->records[i].count = 0;
    }
    for (size_t i = 0; i < page->point_count; i++) {
        const bn_page_point *point = &page->points[i];
        bn_record *record = &page->records[point->record];
        bn_value *place = page->values + (record->values - page->values) + record->count++;
        *place = (bn_value){page->keys[point->key], point->number};
    }
    return BN_OK;
}

bn_status bn_page_fill(bn_page *page, bn_store *store, int64_t run, int64_t first_seq, size_t limit,
                       bn_error *err)
{
    page->point_count = 0;
    bn_status status = read_records(page, store, run, first_seq, limit, err);
    if (status != BN_OK || page->count == 0) return status;
    if (page->records[page->count - 1].seq - page->records[0].seq + 1 != (int64_t)page->count) {
        return bn_fail(err, BN_ECORRUPT, "run number %lld has a gap in its records",
                       (long long)run);
    }
    status = read_keys(page, store, run, err);
    for (size_t key = 0; status == BN_OK && key < page->key_count; key++) {
        status = read_points(page, store, run, key, err);
    }
    return status == BN_OK ? deal(page, err) : status;
}
