/* curve.c - one metric of one run as history.h promises it: stretches where they are packed, rows
 * everywhere else. */
#include <stdlib.h>
#include <string.h>

#include "store/history.h"
#include "store/packed.h"

/* A series while it is read. */
typedef struct curve {
    bn_store *store;
    int64_t run, key;
    bn_series *out;
    size_t room;
    bn_stretch *stretch; /* scratch */
} curve;

void bn_series_release(bn_series *series)
{
    free(series->seq);
    free(series->step);
    free(series->wall_s);
    free(series->number);
    *series = (bn_series){0};
}

static bn_status find_key(curve *at, const char *key, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(at->store->db, "SELECT id\nFROM metric_key\nWHERE name = ?1");
    bn_stmt_text(stmt, 1, key);
    at->key = bn_stmt_row(stmt) ? bn_stmt_get_int(stmt, 0) : 0; /* rows count from 1 */
    return bn_stmt_end(stmt, err);
}

/* Makes room for `wanted` points in all. */
static bn_status reserve(curve *at, size_t wanted, bn_error *err)
{
    bn_series *out = at->out;
    if (wanted <= at->room) return BN_OK;
    size_t room = wanted > 2 * at->room ? wanted : 2 * at->room;
    int64_t *seq = realloc(out->seq, room * sizeof *seq);
    if (seq) out->seq = seq;
    double *number = realloc(out->number, room * sizeof *number);
    if (number) out->number = number;
    if (!seq || !number) {
        return bn_fail(err, BN_ENOMEM, "a series of %zu points: out of memory", room);
    }
    at->room = room;
    return BN_OK;
}

/* The summary says how many there will be, unless somebody else has written values. */
static bn_status expect(curve *at, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(at->store->db, "SELECT count\n"
                                              "FROM latest\n"
                                              "WHERE key_id = ?1 AND run_id = ?2");
    bn_stmt_int(stmt, 1, at->key);
    bn_stmt_int(stmt, 2, at->run);
    int64_t count = bn_stmt_row(stmt) ? bn_stmt_get_int(stmt, 0) : 0;
    bn_status status = bn_stmt_end(stmt, err);
    if (status != BN_OK || count <= 0 || count > INT32_MAX) return status;
    return reserve(at, (size_t)count, err);
}

static bn_status read_rows(curve *at, int64_t first, int64_t last, bn_error *err)
{
    bn_series *out = at->out;
    bn_status status = BN_OK;
    bn_stmt *stmt =
        bn_db_stmt(at->store->db, "SELECT seq, number\n"
                                  "FROM value\n"
                                  "WHERE run_id = ?1 AND key_id = ?2 AND seq BETWEEN ?3 AND ?4\n"
                                  "ORDER BY seq");
    bn_stmt_int(stmt, 1, at->run);
    bn_stmt_int(stmt, 2, at->key);
    bn_stmt_int(stmt, 3, first);
    bn_stmt_int(stmt, 4, last);
    while (status == BN_OK && bn_stmt_row(stmt)) {
        status = reserve(at, out->count + 1, err);
        if (status != BN_OK) break;
        out->seq[out->count] = bn_stmt_get_int(stmt, 0);
        out->number[out->count++] = bn_stmt_get_real(stmt, 1);
    }
    bn_status ended = bn_stmt_end(stmt, err);
    return status != BN_OK ? status : ended;
}

static bn_status take_stretch(curve *at, bn_error *err)
{
    bn_series *out = at->out;
    const bn_stretch *from = at->stretch;
    if (reserve(at, out->count + from->count, err) != BN_OK) return err->status;
    memcpy(out->seq + out->count, from->seq, from->count * sizeof *out->seq);
    memcpy(out->number + out->count, from->number, from->count * sizeof *out->number);
    out->count += from->count;
    return BN_OK;
}

static bn_status read_numbers(curve *at, bn_error *err)
{
    bn_status status = expect(at, err);
    if (status != BN_OK) return status;
    int64_t next = INT64_MIN;
    const bn_packed_ask ask = {at->run, at->key, INT64_MIN, INT64_MAX};
    bn_stmt *stmt = bn_packed_open(at->store, &ask);
    while (status == BN_OK && bn_packed_next(stmt, at->key, at->stretch)) {
        int64_t first = at->stretch->first_seq;
        if (first > next) status = read_rows(at, next, first - 1, err);
        if (status == BN_OK) status = take_stretch(at, err);
        next = at->stretch->last_seq + 1;
    }
    bn_status ended = bn_stmt_end(stmt, err);
    if (status == BN_OK) status = ended;
    return status == BN_OK ? read_rows(at, next, INT64_MAX, err) : status;
}

/* Where the points' records are found: both lie in order of seq. */
typedef struct record_walk {
    size_t found; /* points that have theirs */
} record_walk;

static void take_record(curve *at, record_walk *walk, int64_t seq, int64_t step, double wall_s)
{
    bn_series *out = at->out;
    if (walk->found == out->count || out->seq[walk->found] != seq) return;
    out->step[walk->found] = step;
    out->wall_s[walk->found++] = wall_s;
}

static bn_status read_record_rows(curve *at, record_walk *walk, int64_t first, int64_t last,
                                  bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(at->store->db, "SELECT seq, step, wall_s\n"
                                              "FROM record\n"
                                              "WHERE run_id = ?1 AND seq BETWEEN ?2 AND ?3\n"
                                              "ORDER BY seq");
    bn_stmt_int(stmt, 1, at->run);
    bn_stmt_int(stmt, 2, first);
    bn_stmt_int(stmt, 3, last);
    while (walk->found < at->out->count && bn_stmt_row(stmt)) {
        take_record(at, walk, bn_stmt_get_int(stmt, 0), bn_stmt_get_int(stmt, 1),
                    bn_stmt_get_real(stmt, 2));
    }
    return bn_stmt_end(stmt, err);
}

static bn_status read_times(curve *at, bn_error *err)
{
    bn_series *out = at->out;
    record_walk walk = {0};
    bn_status status = BN_OK;
    if (out->count == 0) return BN_OK;
    out->step = calloc(out->count, sizeof *out->step);
    out->wall_s = calloc(out->count, sizeof *out->wall_s);
    if (!out->step || !out->wall_s) {
        return bn_fail(err, BN_ENOMEM, "a series of %zu points: out of memory", out->count);
    }
    int64_t next = out->seq[0], last = out->seq[out->count - 1];
    const bn_packed_ask ask = {at->run, 0, next, last};
    bn_stmt *stmt = bn_packed_open(at->store, &ask);
    while (status == BN_OK && bn_packed_next(stmt, 0, at->stretch)) {
        const bn_stretch *from = at->stretch;
        if (from->first_seq > next) {
            status = read_record_rows(at, &walk, next, from->first_seq - 1, err);
        }
        for (size_t i = 0; i < from->count; i++) {
            take_record(at, &walk, from->seq[i], from->step[i], from->number[i]);
        }
        next = from->last_seq + 1;
    }
    bn_status ended = bn_stmt_end(stmt, err);
    if (status == BN_OK) status = ended;
    if (status == BN_OK) status = read_record_rows(at, &walk, next, last, err);
    if (status != BN_OK || walk.found == out->count) return status;
    return bn_fail(err, BN_ECORRUPT, "run number %lld: a value has no record", (long long)at->run);
}

bn_status bn_history_series(bn_store *store, int64_t run, const char *key, bn_series *out,
                            bn_error *err)
{
    *out = (bn_series){0};
    curve at = {.store = store, .run = run, .out = out, .stretch = malloc(sizeof *at.stretch)};
    if (!at.stretch) return bn_fail(err, BN_ENOMEM, "a series: out of memory");
    bn_status status = bn_store_begin_read(store, err);
    if (status == BN_OK) {
        status = find_key(&at, key, err);
        if (status == BN_OK && at.key) status = read_numbers(&at, err);
        if (status == BN_OK) status = read_times(&at, err);
        status = bn_store_end_read(store, status, err);
    }
    free(at.stretch);
    if (status != BN_OK) bn_series_release(out);
    return status;
}
