#include "store/packed.h"

#include <stdlib.h>

#include "store/pack.h"

enum {
    STRETCHES_AT_ONCE = 16, /* an old run that goes on catches up bit by bit */
    ROWS_AT_ONCE = 65536,   /* of an old run that has ended: what a transaction reads at least */
};

/* Both bodies have at most three columns. */
typedef struct room {
    bn_stretch stretch;
    unsigned char body[3 * (17 + 10 * BN_STRETCH)];
} room;

static bn_status write_stretch(bn_store *store, int64_t run, int64_t key, room *at, bn_error *err)
{
    const bn_stretch *stretch = &at->stretch;
    size_t size = bn_pack_ints(stretch->seq, stretch->count, at->body);
    if (key == 0) size += bn_pack_ints(stretch->step, stretch->count, at->body + size);
    size += bn_pack_reals(stretch->number, stretch->count, at->body + size);
    bn_stmt *stmt = bn_db_stmt(store->db, "INSERT OR REPLACE INTO packed\n"
                                          "    (run_id, key_id, first_seq, last_seq, count, body)\n"
                                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, key);
    bn_stmt_int(stmt, 3, stretch->first_seq);
    bn_stmt_int(stmt, 4, stretch->last_seq);
    bn_stmt_int(stmt, 5, (int64_t)stretch->count);
    bn_stmt_blob(stmt, 6, at->body, size);
    return bn_stmt_run(stmt, err);
}

static bn_status seal_records(bn_store *store, int64_t run, room *at, bn_error *err)
{
    bn_stretch *out = &at->stretch;
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT seq, step, wall_s\n"
                                          "FROM record\n"
                                          "WHERE run_id = ?1 AND seq BETWEEN ?2 AND ?3\n"
                                          "ORDER BY seq");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, out->first_seq);
    bn_stmt_int(stmt, 3, out->last_seq);
    for (out->count = 0; out->count < BN_STRETCH && bn_stmt_row(stmt); out->count++) {
        out->seq[out->count] = bn_stmt_get_int(stmt, 0);
        out->step[out->count] = bn_stmt_get_int(stmt, 1);
        out->number[out->count] = bn_stmt_get_real(stmt, 2);
    }
    bn_status status = bn_stmt_end(stmt, err);
    return status == BN_OK ? write_stretch(store, run, 0, at, err) : status;
}

static bn_status seal_metric(bn_store *store, int64_t run, int64_t key, room *at, bn_error *err)
{
    bn_stretch *out = &at->stretch;
    bn_stmt *stmt =
        bn_db_stmt(store->db, "SELECT seq, number\n"
                              "FROM value\n"
                              "WHERE run_id = ?1 AND key_id = ?2 AND seq BETWEEN ?3 AND ?4\n"
                              "ORDER BY seq");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_int(stmt, 2, key);
    bn_stmt_int(stmt, 3, out->first_seq);
    bn_stmt_int(stmt, 4, out->last_seq);
    for (out->count = 0; out->count < BN_STRETCH && bn_stmt_row(stmt); out->count++) {
        out->seq[out->count] = bn_stmt_get_int(stmt, 0);
        out->number[out->count] = bn_stmt_get_real(stmt, 1);
    }
    bn_status status = bn_stmt_end(stmt, err);
    if (status != BN_OK || out->count < BN_STRETCH_LEAST) return status;
    return write_stretch(store, run, key, at, err);
}

/* The metrics that the run has ever measured, in order of their ids; the caller frees *out. */
static bn_status read_keys(bn_store *store, int64_t run, int64_t **out, size_t *count,
                           bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT k.id\n"
                                          "FROM metric_key AS k\n"
                                          "CROSS JOIN latest AS l ON l.key_id = k.id\n"
                                          "WHERE l.run_id = ?1\n"
                                          "ORDER BY k.id");
    bn_stmt_int(stmt, 1, run);
    int64_t *key = NULL;
    while (bn_stmt_row(stmt) && (key = bn_rows_add(&rows, err)) != NULL) {
        *key = bn_stmt_get_int(stmt, 0);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

/* Where the first stretch begins that is not packed whole: records are packed in every one. */
static bn_status sealed_end(bn_store *store, int64_t run, int64_t *out, bn_error *err)
{
    *out = 0;
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT first_seq, last_seq\n"
                                          "FROM packed\n"
                                          "WHERE run_id = ?1 AND key_id = 0\n"
                                          "ORDER BY first_seq DESC\n"
                                          "LIMIT 1");
    bn_stmt_int(stmt, 1, run);
    if (bn_stmt_row(stmt)) {
        int64_t first = bn_stmt_get_int(stmt, 0);
        bool full = bn_stmt_get_int(stmt, 1) == first + BN_STRETCH - 1;
        *out = full ? first + BN_STRETCH : first;
    }
    return bn_stmt_end(stmt, err);
}

static bn_status seal_stretch(bn_store *store, int64_t run, const int64_t *keys, size_t count,
                              room *at, bn_error *err)
{
    bn_status status = seal_records(store, run, at, err);
    for (size_t k = 0; status == BN_OK && k < count; k++) {
        status = seal_metric(store, run, keys[k], at, err);
    }
    return status;
}

bn_status bn_packed_seal(bn_store *store, int64_t run, int64_t next_seq, bool ended, bn_error *err)
{
    int64_t *keys = NULL, first = 0;
    size_t count = 0;
    if (next_seq < (ended ? BN_STRETCH_LEAST : BN_STRETCH)) return BN_OK;
    room *at = malloc(sizeof *at);
    bn_status status = BN_OK;
    if (!at) return bn_fail(err, BN_ENOMEM, "packing a run: out of memory");
    status = sealed_end(store, run, &first, err);
    if (status == BN_OK) status = read_keys(store, run, &keys, &count, err);
    for (int i = 0; status == BN_OK && i < STRETCHES_AT_ONCE && first < next_seq; i++) {
        int64_t last = first + BN_STRETCH - 1 < next_seq ? first + BN_STRETCH - 1 : next_seq - 1;
        if (last < first + BN_STRETCH - 1 && !ended) break;
        at->stretch.first_seq = first;
        at->stretch.last_seq = last;
        status = seal_stretch(store, run, keys, count, at, err);
        first += BN_STRETCH;
    }
    free(keys);
    free(at);
    return status;
}

bn_status bn_packed_end(bn_store *store, int64_t run, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT next_seq\nFROM run\nWHERE id = ?1");
    bn_stmt_int(stmt, 1, run);
    int64_t next_seq = bn_stmt_row(stmt) ? bn_stmt_get_int(stmt, 0) : 0;
    bn_status status = bn_stmt_end(stmt, err);
    return status == BN_OK ? bn_packed_seal(store, run, next_seq, true, err) : status;
}

/* Metrics of the stretch that are not packed as far as it goes, until enough rows are read; the
 * records last, for they say that the stretch is whole. */
static bn_status fill_stretch(bn_store *store, int64_t run, const int64_t *keys, size_t count,
                              room *at, bn_error *err)
{
    const bn_stretch stretch = {.first_seq = at->stretch.first_seq,
                                .last_seq = at->stretch.last_seq};
    size_t rows = 0;
    for (size_t k = 0; k < count && rows < ROWS_AT_ONCE; k++) {
        bn_stmt *stmt =
            bn_db_stmt(store->db, "SELECT last_seq\n"
                                  "FROM packed\n"
                                  "WHERE run_id = ?1 AND key_id = ?2 AND first_seq = ?3");
        bn_stmt_int(stmt, 1, run);
        bn_stmt_int(stmt, 2, keys[k]);
        bn_stmt_int(stmt, 3, stretch.first_seq);
        bool done = bn_stmt_row(stmt) && bn_stmt_get_int(stmt, 0) == stretch.last_seq;
        bn_status status = bn_stmt_end(stmt, err);
        if (status == BN_OK && !done) status = seal_metric(store, run, keys[k], at, err);
        if (status != BN_OK) return status;
        bool written = !done && at->stretch.count >= BN_STRETCH_LEAST;
        if (written) rows += at->stretch.count; /* what is too sparse is looked at every time */
    }
    return rows < ROWS_AT_ONCE ? seal_records(store, run, at, err) : BN_OK;
}

/* Runs that have ended, but whose last record is in no stretch. */
#define UNPACKED                                                                                   \
    "FROM run AS r\n"                                                                              \
    "WHERE r.state <> 'running' AND r.next_seq >= ?1\n"                                            \
    "  AND NOT EXISTS (SELECT 1\n"                                                                 \
    "                  FROM packed AS p\n"                                                         \
    "                  WHERE p.run_id = r.id AND p.key_id = 0\n"                                   \
    "                    AND p.last_seq >= r.next_seq - 1)\n"

bn_status bn_store_unpacked(bn_store *store, int64_t *runs, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT count(*)\n" UNPACKED);
    bn_stmt_int(stmt, 1, BN_STRETCH_LEAST);
    *runs = bn_stmt_row(stmt) ? bn_stmt_get_int(stmt, 0) : 0;
    return bn_stmt_end(stmt, err);
}

static bn_status fill_run(bn_store *store, int64_t run, int64_t next_seq, bn_error *err)
{
    int64_t *keys = NULL, first = 0;
    size_t count = 0;
    room *at = malloc(sizeof *at);
    if (!at) return bn_fail(err, BN_ENOMEM, "packing a run: out of memory");
    bn_status status = sealed_end(store, run, &first, err);
    if (status == BN_OK) status = read_keys(store, run, &keys, &count, err);
    if (status == BN_OK) {
        int64_t last = first + BN_STRETCH - 1;
        at->stretch.first_seq = first;
        at->stretch.last_seq = last < next_seq ? last : next_seq - 1;
        status = fill_stretch(store, run, keys, count, at, err);
    }
    free(keys);
    free(at);
    return status;
}

bn_status bn_store_pack(bn_store *store, bool *more, bn_error *err)
{
    *more = false;
    bn_status status = bn_store_begin(store, err);
    if (status != BN_OK) return status;
    bn_stmt *stmt =
        bn_db_stmt(store->db, "SELECT r.id, r.next_seq\n" UNPACKED "ORDER BY r.id\nLIMIT 1");
    bn_stmt_int(stmt, 1, BN_STRETCH_LEAST);
    *more = bn_stmt_row(stmt);
    int64_t run = *more ? bn_stmt_get_int(stmt, 0) : 0;
    int64_t next_seq = *more ? bn_stmt_get_int(stmt, 1) : 0;
    status = bn_stmt_end(stmt, err);
    if (status == BN_OK && *more) status = fill_run(store, run, next_seq, err);
    return bn_store_end(store, status, err);
}

bn_stmt *bn_packed_open(bn_store *store, const bn_packed_ask *ask)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT first_seq, last_seq, count, body\n"
                                          "FROM packed\n"
                                          "WHERE run_id = ?1 AND key_id = ?2\n"
                                          "  AND first_seq > ?3 AND first_seq <= ?4\n"
                                          "ORDER BY first_seq");
    bn_stmt_int(stmt, 1, ask->run);
    bn_stmt_int(stmt, 2, ask->key);
    bn_stmt_int(stmt, 3, ask->first < 0 ? -1 : ask->first - BN_STRETCH);
    bn_stmt_int(stmt, 4, ask->last);
    return stmt;
}

/* Every seq within the stretch and above the one before: whatever is unpacked is used as an index.
 */
static bool in_order(const bn_stretch *stretch)
{
    int64_t before = stretch->first_seq - 1;
    for (size_t i = 0; i < stretch->count; i++) {
        if (stretch->seq[i] <= before) return false;
        before = stretch->seq[i];
    }
    return before <= stretch->last_seq && before - stretch->first_seq < BN_STRETCH;
}

static bool unpack(const unsigned char *body, size_t size_bytes, int64_t key, bn_stretch *out)
{
    size_t used = bn_unpack_ints(body, size_bytes, out->seq, out->count);
    if (used == 0) return false;
    if (key == 0) {
        size_t more = bn_unpack_ints(body + used, size_bytes - used, out->step, out->count);
        if (more == 0) return false;
        used += more;
    }
    size_t rest = bn_unpack_reals(body + used, size_bytes - used, out->number, out->count);
    return rest > 0 && used + rest == size_bytes && in_order(out);
}

bool bn_packed_next(bn_stmt *stmt, int64_t key, bn_stretch *out)
{
    while (bn_stmt_row(stmt)) {
        size_t size = 0;
        int64_t count = bn_stmt_get_int(stmt, 2);
        const unsigned char *body = bn_stmt_get_blob(stmt, 3, &size);
        out->first_seq = bn_stmt_get_int(stmt, 0);
        out->last_seq = bn_stmt_get_int(stmt, 1);
        if (count < 1 || count > BN_STRETCH || out->first_seq < 0) continue;
        if (out->last_seq < out->first_seq) continue;
        out->count = (size_t)count;
        if (unpack(body, size, key, out)) return true;
    }
    return false;
}
