/* db.h - SQLite, seen through as few calls as the store needs. The only room of sqlite3.h.
 *
 * A statement is a stream: binding and stepping never fail in the caller's face, the first failure
 * is kept and told once, by bn_stmt_end. Statements are prepared once a connection and found again
 * by the address of their text, so every text must be a constant.
 */
#ifndef BN_STORE_DB_H
#define BN_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_db bn_db;
typedef struct bn_stmt bn_stmt;

typedef enum bn_db_mode { BN_DB_READ, BN_DB_WRITE } bn_db_mode;

/* Opens an existing file, or in BN_DB_WRITE makes it (0600). Says nothing yet about what is in it.
 * BN_ENOENT, BN_EIO, BN_ECORRUPT (not an SQLite database). */
BN_MUST_CHECK bn_status bn_db_open(bn_db **out, const char *path, bn_db_mode mode, bn_error *err);
void bn_db_close(bn_db *db); /* NULL is fine */

/* Runs any number of statements whose rows nobody wants. */
BN_MUST_CHECK bn_status bn_db_exec(bn_db *db, const char *sql, bn_error *err);

/* Turns the write-ahead log on, for good. Two processes that meet in a new database wait for each
 * other here. BN_EAGAIN after the busy time-out. */
BN_MUST_CHECK bn_status bn_db_use_log(bn_db *db, bn_error *err);

/* Triggers stay silent on this connection: for the one writer that does itself what they do. */
void bn_db_without_triggers(bn_db *db);

/* One whole number: PRAGMA user_version, SELECT count(*) ... */
BN_MUST_CHECK bn_status bn_db_int(bn_db *db, const char *sql, int64_t *out, bn_error *err);

/* A write transaction (BEGIN IMMEDIATE: the lock is taken here or not at all; BN_EAGAIN after the
 * busy time-out), or a read one: several selects see one moment. */
BN_MUST_CHECK bn_status bn_db_begin(bn_db *db, bn_db_mode mode, bn_error *err);

/* Commits when status is BN_OK, otherwise rolls back; returns the first of the two failures. */
BN_MUST_CHECK bn_status bn_db_end(bn_db *db, bn_status status, bn_error *err);

int64_t bn_db_inserted(bn_db *db); /* row of the last INSERT */
int64_t bn_db_changed(bn_db *db);  /* rows that the last statement changed */

/* A whole copy of the database in a new file, consistent while others write. BN_EIO. */
BN_MUST_CHECK bn_status bn_db_copy(bn_db *db, const char *path, bn_error *err);

/* Never NULL: what cannot be prepared says so at bn_stmt_end. It must not be in use already. */
bn_stmt *bn_db_stmt(bn_db *db, const char *sql);

/* Places count from 1, as in the SQL: ?1, ?2. Text is borrowed until bn_stmt_end; NULL text and NaN
 * bind NULL. */
void bn_stmt_int(bn_stmt *stmt, int place, int64_t number);
void bn_stmt_real(bn_stmt *stmt, int place, double number);
void bn_stmt_text(bn_stmt *stmt, int place, const char *text);
void bn_stmt_blob(bn_stmt *stmt, int place, const void *bytes, size_t size_bytes); /* borrowed */

/* The next row; false at the end and after a failure. */
bool bn_stmt_row(bn_stmt *stmt);

/* Columns of the row, counted from 0. NULL reads as 0, NaN and "". Text lives until the next step.
 */
int64_t bn_stmt_get_int(bn_stmt *stmt, int column);
double bn_stmt_get_real(bn_stmt *stmt, int column);
/* NULL and 0 when it is empty; lives until the next step. */
const void *bn_stmt_get_blob(bn_stmt *stmt, int column, size_t *size_bytes);
const char *bn_stmt_get_text(bn_stmt *stmt, int column);
void bn_stmt_copy_text(bn_stmt *stmt, int column, char *out, size_t size); /* cut to fit */

/* Ends the stream, forgets what was bound and tells the first failure. */
BN_MUST_CHECK bn_status bn_stmt_end(bn_stmt *stmt, bn_error *err);

/* Steps to the end, ignoring rows, then as bn_stmt_end. */
BN_MUST_CHECK bn_status bn_stmt_run(bn_stmt *stmt, bn_error *err);

/* The hot path of appends: step and reset, keeping what is bound; the failure is kept for
 * bn_stmt_end. */
void bn_stmt_again(bn_stmt *stmt);

/* Somebody else's SQL, one SELECT, for people: prepared anew, never cached. */
BN_MUST_CHECK bn_status bn_db_query(bn_db *db, const char *sql, bn_stmt **out, bn_error *err);
void bn_db_query_close(bn_stmt *stmt);
int bn_stmt_columns(bn_stmt *stmt);
const char *bn_stmt_column_name(bn_stmt *stmt, int column);
typedef enum bn_cell {
    BN_CELL_NULL,
    BN_CELL_INT,
    BN_CELL_REAL,
    BN_CELL_TEXT,
    BN_CELL_BLOB
} bn_cell;
bn_cell bn_stmt_cell(bn_stmt *stmt, int column);

#endif
