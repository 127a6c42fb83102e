/* inside.h - what the files of this folder share: the open store and its rules for transactions. */
#ifndef BN_STORE_INSIDE_H
#define BN_STORE_INSIDE_H

#include "engine/base/file.h"
#include "store/db.h"
#include "store/metric.h"
#include "store/run.h"
#include "store/store.h"

typedef struct bn_append_room bn_append_room; /* history.c's scratch memory, kept between calls */

struct bn_store {
    bn_db *db;
    bn_store_mode mode;
    char home[BN_PATH_MAX];
    bn_metrics metrics;
    bn_append_room *append;
    bn_run_fact *stamp; /* facts that every attempt begun here is stamped with */
    char *stamp_text;   /* their texts */
    size_t stamp_count;
};

/* Every public call that writes stands between these two: BN_OK of the second means durable. */
BN_MUST_CHECK bn_status bn_store_begin(bn_store *store, bn_error *err);
BN_MUST_CHECK bn_status bn_store_end(bn_store *store, bn_status status, bn_error *err);

/* Every public call that reads by more than one statement: all of them see one moment. */
BN_MUST_CHECK bn_status bn_store_begin_read(bn_store *store, bn_error *err);
BN_MUST_CHECK bn_status bn_store_end_read(bn_store *store, bn_status status, bn_error *err);

/* Frees history.c's scratch; NULL is fine. */
void bn_append_room_close(bn_append_room *room);

/* origin.c: facts of a run, inside the caller's transaction; and the store's stamp forgotten. */
BN_MUST_CHECK bn_status bn_facts_write(bn_store *store, int64_t run, const bn_run_fact *facts,
                                       size_t count, bn_error *err);
void bn_facts_release(bn_store *store);

/* Makes room for one more element in a growing array that starts as NULL; *room counts elements.
 * BN_ENOMEM leaves the array as it was. */
BN_MUST_CHECK bn_status bn_array_grow(void **array, size_t count, size_t *room, size_t size_bytes,
                                      bn_error *err);

/* The rows of a select gathered into an array for the caller of a public function. */
typedef struct bn_rows {
    void *items; /* after bn_rows_end the caller's; NULL when it failed */
    size_t count, room, size_bytes;
    bn_status status;
} bn_rows;

/* The next element, zeroed; NULL once there is no memory. */
void *bn_rows_add(bn_rows *rows, bn_error *err);

/* Ends the statement too; on failure nothing is left of the rows. */
BN_MUST_CHECK bn_status bn_rows_end(bn_rows *rows, bn_stmt *stmt, size_t *count, bn_error *err);

/* The columns of a run's row in bn_run_from_row's order; the run is r, its sweep s. */
#define BN_RUN_COLUMNS                                                                             \
    "r.id, r.key, r.name, r.sweep_id, s.name, r.number, r.state, r.reason, r.attempt, r.token,\n"  \
    "       r.dir, r.variant, r.config_hash, r.host, r.device, r.exit_code, r.created_s,\n"        \
    "       r.started_s, r.ended_s, r.duration_s, r.mark_bytes, r.next_seq\n"

void bn_run_from_row(bn_stmt *stmt, bn_run *out);

#endif
