/* history.c - appends. Everything that makes a point cheap is here: names are looked up in memory,
 * points are dealt out to their series first and written in the order of the table, so that the
 * b-tree is walked once from left to right, and the summary costs one row a series and call. */
#include "store/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/packed.h"

/* Points sorted at a time: 64 Ki of them keep the scratch below 3 MiB whatever a batch brings. */
enum { CHUNK_POINTS = 65536 };

typedef struct point {
    uint32_t slot;   /* of the metric */
    uint32_t record; /* index in the batch */
    double number;
} point;

typedef struct series {
    uint32_t count; /* points of this chunk */
    uint32_t next;  /* where its next point goes in `sorted` */
} series;

struct bn_append_room {
    point *points, *sorted; /* CHUNK_POINTS + BN_RECORD_VALUES_MAX each */
    size_t count;
    series *series; /* by slot of the metric; counts are 0 between chunks */
    size_t series_room;
    uint32_t *touched; /* slots with points in this chunk, in order of id */
    size_t touched_count;
};

typedef struct summary {
    int64_t count;
    double last, min, max;
    int64_t last_step, min_step, max_step;
} summary;

void bn_append_room_close(bn_append_room *room)
{
    if (!room) return;
    free(room->points);
    free(room->sorted);
    free(room->series);
    free(room->touched);
    free(room);
}

static bn_status room_open(bn_store *store, bn_error *err)
{
    if (store->append) return BN_OK;
    bn_append_room *room = calloc(1, sizeof *room);
    if (room) {
        room->points = calloc(CHUNK_POINTS + BN_RECORD_VALUES_MAX, sizeof *room->points);
        room->sorted = calloc(CHUNK_POINTS + BN_RECORD_VALUES_MAX, sizeof *room->sorted);
    }
    if (!room || !room->points || !room->sorted) {
        bn_append_room_close(room);
        return bn_fail(err, BN_ENOMEM, "append: out of memory");
    }
    store->append = room;
    return BN_OK;
}

static bn_status series_grow(bn_append_room *room, size_t slots, bn_error *err)
{
    if (slots <= room->series_room) return BN_OK;
    size_t wanted = slots * 2;
    series *more = realloc(room->series, wanted * sizeof *more);
    if (more) room->series = more;
    uint32_t *touched = realloc(room->touched, wanted * sizeof *touched);
    if (touched) room->touched = touched;
    if (!more || !touched) return bn_fail(err, BN_ENOMEM, "append: out of memory");
    memset(room->series + room->series_room, 0,
           (wanted - room->series_room) * sizeof *room->series);
    room->series_room = wanted;
    return BN_OK;
}

/* One record's values into the chunk. Neighbouring records mostly carry the same metrics in the
 * same order, so the slot of the value at this place in the record before is tried first. */
static bn_status gather(bn_store *store, const bn_history_batch *batch, size_t index, size_t before,
                        bn_error *err)
{
    bn_append_room *room = store->append;
    const bn_record *record = &batch->records[index];
    for (size_t i = 0; i < record->count; i++) {
        const bn_value *value = &record->values[i];
        size_t slot = before + i < room->count ? room->points[before + i].slot : SIZE_MAX;
        bool same =
            slot < store->metrics.count && strcmp(store->metrics.items[slot].name, value->key) == 0;
        if (!same && bn_metrics_slot(&store->metrics, store->db, value->key, &slot, err) != BN_OK) {
            return err->status;
        }
        room->points[room->count++] = (point){(uint32_t)slot, (uint32_t)index, value->number};
    }
    return BN_OK;
}

static int compare_slots(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Counting sort by metric, keeping the order of records: slots ascend with ids, so `sorted` is in
 * the order of the table. */
static bn_status sort_chunk(bn_store *store, bn_error *err)
{
    bn_append_room *room = store->append;
    room->touched_count = 0;
    if (room->count == 0) return BN_OK; /* only marks moved */
    if (series_grow(room, store->metrics.count, err) != BN_OK) return err->status;
    for (size_t i = 0; i < room->count; i++) {
        series *of = &room->series[room->points[i].slot];
        if (of->count++ == 0) room->touched[room->touched_count++] = room->points[i].slot;
    }
    qsort(room->touched, room->touched_count, sizeof *room->touched, compare_slots);
    uint32_t next = 0;
    for (size_t i = 0; i < room->touched_count; i++) {
        series *of = &room->series[room->touched[i]];
        of->next = next;
        next += of->count;
    }
    for (size_t i = 0; i < room->count; i++) {
        room->sorted[room->series[room->points[i].slot].next++] = room->points[i];
    }
    return BN_OK;
}

static void summarize(summary *sum, double number, int64_t step)
{
    sum->count++;
    sum->last = number;
    sum->last_step = step;
    if (!isfinite(number)) return;
    if (isnan(sum->min) || number < sum->min) {
        sum->min = number;
        sum->min_step = step;
    }
    if (isnan(sum->max) || number > sum->max) {
        sum->max = number;
        sum->max_step = step;
    }
}

static bn_status write_summary(bn_store *store, int64_t run, int64_t key, const summary *sum,
                               bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(
        store->db,
        "INSERT INTO latest\n"
        "    (key_id, run_id, count, last, last_step, min, min_step, max, max_step)\n"
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)\n"
        "ON CONFLICT (key_id, run_id) DO UPDATE\n"
        "SET count = count + excluded.count,\n"
        "    last = excluded.last, last_step = excluded.last_step,\n"
        "    min_step = CASE WHEN min IS NULL OR excluded.min < min THEN excluded.min_step\n"
        "                    ELSE min_step END,\n"
        "    min = CASE WHEN min IS NULL OR excluded.min < min THEN excluded.min ELSE min END,\n"
        "    max_step = CASE WHEN max IS NULL OR excluded.max > max THEN excluded.max_step\n"
        "                    ELSE max_step END,\n"
        "    max = CASE WHEN max IS NULL OR excluded.max > max THEN excluded.max ELSE max END");
    bool finite = !isnan(sum->min);
    bn_stmt_int(stmt, 1, key);
    bn_stmt_int(stmt, 2, run);
    bn_stmt_int(stmt, 3, sum->count);
    bn_stmt_real(stmt, 4, sum->last);
    bn_stmt_int(stmt, 5, sum->last_step);
    bn_stmt_real(stmt, 6, sum->min);
    bn_stmt_real(stmt, 8, sum->max);
    if (finite) bn_stmt_int(stmt, 7, sum->min_step);
    if (finite) bn_stmt_int(stmt, 9, sum->max_step);
    return bn_stmt_run(stmt, err);
}

/* Eight rows a statement: what SQLite does around each statement costs as much as a row. OR FAIL,
 * because the caller undoes the whole transaction anyway and OR ABORT would copy pages for undoing
 * the statement alone. */
enum { ROWS = 8 };
static const char INSERT_ONE[] = "INSERT OR FAIL INTO value (run_id, key_id, seq, number)\n"
                                 "VALUES (?1, ?2, ?3, ?4)";
static const char INSERT_ROWS[] = "INSERT OR FAIL INTO value (run_id, key_id, seq, number)\n"
                                  "VALUES (?1, ?2, ?3, ?4), (?1, ?2, ?5, ?6),\n"
                                  "       (?1, ?2, ?7, ?8), (?1, ?2, ?9, ?10),\n"
                                  "       (?1, ?2, ?11, ?12), (?1, ?2, ?13, ?14),\n"
                                  "       (?1, ?2, ?15, ?16), (?1, ?2, ?17, ?18)";

typedef struct value_writer {
    bn_stmt *one, *rows;
    bn_stmt *filling; /* which of them the next values are bound to */
    int held, width;
} value_writer;

static bn_stmt *value_stmt(bn_store *store, const char *sql, int64_t run, int64_t key)
{
    bn_stmt *stmt = bn_db_stmt(store->db, sql);
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, key);
    return stmt;
}

/* left: values that are still to come, this one included. */
static void put_value(value_writer *writer, int64_t seq, double number, size_t left)
{
    if (writer->held == 0) {
        writer->width = left >= ROWS ? ROWS : 1;
        writer->filling = left >= ROWS ? writer->rows : writer->one;
    }
    bn_stmt_int(writer->filling, 3 + 2 * writer->held, seq);
    bn_stmt_real(writer->filling, 4 + 2 * writer->held, number);
    if (++writer->held < writer->width) return;
    bn_stmt_again(writer->filling);
    writer->held = 0;
}

/* The points of one metric, in order. A key said twice in one record counts once, the last time. */
static bn_status write_series(bn_store *store, const bn_history_batch *batch, point *points,
                              size_t count, bn_error *err)
{
    const double nan = (double)NAN;
    int64_t key = store->metrics.items[points[0].slot].id;
    summary sum = {.last = nan, .min = nan, .max = nan};
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && points[i + 1].record == points[i].record) continue;
        points[kept++] = points[i];
    }
    value_writer writer = {.one = value_stmt(store, INSERT_ONE, batch->run, key),
                           .rows = value_stmt(store, INSERT_ROWS, batch->run, key)};
    for (size_t i = 0; i < kept; i++) {
        const bn_record *record = &batch->records[points[i].record];
        put_value(&writer, record->seq, points[i].number, kept - i);
        summarize(&sum, points[i].number, record->step);
    }
    bn_status status = bn_stmt_end(writer.one, err);
    bn_status ended = bn_stmt_end(writer.rows, err);
    if (status == BN_OK) status = ended;
    return status == BN_OK ? write_summary(store, batch->run, key, &sum, err) : status;
}

static bn_status write_chunk(bn_store *store, const bn_history_batch *batch, bn_error *err)
{
    bn_append_room *room = store->append;
    bn_status status = sort_chunk(store, err);
    size_t at = 0;
    for (size_t i = 0; i < room->touched_count; i++) {
        series *of = &room->series[room->touched[i]];
        if (status == BN_OK) {
            status = write_series(store, batch, room->sorted + at, of->count, err);
        }
        at += of->count;
        of->count = 0;
    }
    room->count = 0;
    return status;
}

static bn_status write_values(bn_store *store, const bn_history_batch *batch, size_t first,
                              bn_error *err)
{
    bn_append_room *room = store->append;
    bn_status status = BN_OK;
    size_t before = SIZE_MAX / 2; /* no record before the first */
    room->count = 0;
    for (size_t i = first; status == BN_OK && i < batch->count; i++) {
        size_t start = room->count;
        status = gather(store, batch, i, before, err);
        before = start;
        if (status == BN_OK && room->count >= CHUNK_POINTS) {
            status = write_chunk(store, batch, err);
            before = SIZE_MAX / 2;
        }
    }
    return status == BN_OK ? write_chunk(store, batch, err) : status;
}

static bn_status write_records(bn_store *store, const bn_history_batch *batch, size_t first,
                               bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "INSERT INTO record (run_id, seq, step, wall_s)\n"
                                          "VALUES (?1, ?2, ?3, ?4)");
    bn_stmt_int(stmt, 1, batch->run);
    for (size_t i = first; i < batch->count; i++) {
        const bn_record *record = &batch->records[i];
        bn_stmt_int(stmt, 2, record->seq);
        bn_stmt_int(stmt, 3, record->step);
        bn_stmt_real(stmt, 4, record->wall_s);
        bn_stmt_again(stmt);
    }
    return bn_stmt_end(stmt, err);
}

static bn_status read_next_seq(bn_store *store, int64_t run, int64_t *out, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT next_seq\nFROM run\nWHERE id = ?1");
    bn_stmt_int(stmt, 1, run);
    bool found = bn_stmt_row(stmt);
    if (found) *out = bn_stmt_get_int(stmt, 0);
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && !found) {
        return bn_fail(err, BN_ENOENT, "there is no run number %lld", (long long)run);
    }
    return status;
}

static bn_status write_mark(bn_store *store, const bn_history_batch *batch, int64_t next_seq,
                            bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "UPDATE run\n"
                                          "SET next_seq = ?2, mark_bytes = ?3\n"
                                          "WHERE id = ?1");
    bn_stmt_int(stmt, 1, batch->run);
    bn_stmt_int(stmt, 2, next_seq);
    bn_stmt_int(stmt, 3, batch->mark_bytes);
    return bn_stmt_run(stmt, err);
}

/* Where the news begins in a batch: what the store knows already is passed over. */
static bn_status check(const bn_history_batch *batch, int64_t next_seq, size_t *first,
                       bn_error *err)
{
    *first = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const bn_record *record = &batch->records[i];
        int64_t expected = i > 0 ? batch->records[i - 1].seq + 1 : next_seq;
        bool gap = i > 0 ? record->seq != expected : record->seq > expected || record->seq < 0;
        if (gap) {
            return bn_fail(err, BN_ECORRUPT,
                           "run number %lld: record %lld comes where %lld was expected",
                           (long long)batch->run, (long long)record->seq, (long long)expected);
        }
        if (record->count > BN_RECORD_VALUES_MAX) {
            return bn_fail(err, BN_EINVAL, "run number %lld: record %lld has more than %d values",
                           (long long)batch->run, (long long)record->seq, BN_RECORD_VALUES_MAX);
        }
        if (record->seq < next_seq) *first = i + 1;
    }
    return BN_OK;
}

static bn_status append(bn_store *store, const bn_history_batch *batch, bn_error *err)
{
    int64_t next_seq = 0;
    size_t first = 0;
    bn_status status = read_next_seq(store, batch->run, &next_seq, err);
    if (status == BN_OK) status = check(batch, next_seq, &first, err);
    if (status == BN_OK) status = write_records(store, batch, first, err);
    if (status == BN_OK) status = write_values(store, batch, first, err);
    if (status != BN_OK) return status;
    int64_t end = next_seq + (int64_t)(batch->count - first);
    status = write_mark(store, batch, end, err);
    bool filled = end / BN_STRETCH > next_seq / BN_STRETCH;
    return status == BN_OK && filled ? bn_packed_seal(store, batch->run, end, false, err) : status;
}

bn_status bn_history_append(bn_store *store, const bn_history_batch *batches, size_t count,
                            bn_error *err)
{
    if (room_open(store, err) != BN_OK) return err->status;
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_status status = BN_OK;
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        status = append(store, &batches[i], err);
    }
    return bn_store_end(store, status, err);
}
