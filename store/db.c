#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STATEMENTS_MAX = 96, /* different texts a connection ever prepares */
    BUSY_MS = 10000,     /* the longest a writer waits for another one */
};

struct bn_stmt {
    bn_db *db;
    const char *sql;
    sqlite3_stmt *handle;
    int code; /* the first failure, SQLITE_OK: none */
    bool busy;
    char text[200]; /* the failure in SQLite's words */
};

struct bn_db {
    sqlite3 *handle;
    char path[1024];
    bn_stmt stmts[STATEMENTS_MAX];
    size_t count;
};

static bn_status status_of(int code)
{
    switch (code & 0xff) { /* the rest says which flavour of it */
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BN_EAGAIN;
    case SQLITE_NOMEM:
        return BN_ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return BN_ECORRUPT;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return BN_EINVAL;
    default:
        return BN_EIO;
    }
}

static bn_status fail(bn_db *db, int code, const char *why, bn_error *err)
{
    bn_status status = status_of(code);
    if (status == BN_EAGAIN) {
        return bn_fail(err, status, "%s is locked by another process (waited %d s)", db->path,
                       BUSY_MS / 1000);
    }
    if ((code & 0xff) == SQLITE_NOTADB) {
        return bn_fail(err, status, "%s is not an SQLite database", db->path);
    }
    return bn_fail(err, status, "%s: %s", db->path, why);
}

/* Made by hand so that nobody else can read it from the start; SQLite gives its WAL the same mode.
 * An existing file is never opened here: closing it would drop the locks of other connections of
 * this process (POSIX locks belong to the process). */
static bn_status make_file(const char *path, bn_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) return BN_OK;
    if (fd < 0) return bn_fail_errno(err, "create %s", path);
    (void)close(fd);
    return BN_OK;
}

/* A folder that cannot be written can still be read when no log waits beside the database. */
static int open_unwritable(bn_db *db)
{
    char name[sizeof db->path + 32], wal[sizeof db->path + 8];
    (void)snprintf(wal, sizeof wal, "%s-wal", db->path);
    if (access(wal, F_OK) == 0 || strpbrk(db->path, "?#%")) return SQLITE_CANTOPEN;
    (void)sqlite3_close(db->handle);
    (void)snprintf(name, sizeof name, "file:%s?immutable=1", db->path);
    return sqlite3_open_v2(name, &db->handle,
                           SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
}

static int first_look(bn_db *db)
{
    return sqlite3_exec(db->handle, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
}

static bn_status connect(bn_db *db, bn_db_mode mode, bn_error *err)
{
    int flags = mode == BN_DB_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(db->path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(db->handle, 1);
        (void)sqlite3_busy_timeout(db->handle, BUSY_MS);
        code = first_look(db);
    }
    bool unwritable = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY;
    if (unwritable && mode == BN_DB_READ) {
        code = open_unwritable(db);
        if (code == SQLITE_OK) code = first_look(db);
    }
    if (code == SQLITE_OK) return BN_OK;
    return fail(db, code, db->handle ? sqlite3_errmsg(db->handle) : "out of memory", err);
}

bn_status bn_db_open(bn_db **out, const char *path, bn_db_mode mode, bn_error *err)
{
    *out = NULL;
    if (strlen(path) >= sizeof((bn_db *)0)->path) {
        return bn_fail(err, BN_EINVAL, "the path of the database is longer than %zu bytes",
                       sizeof((bn_db *)0)->path - 1);
    }
    if (mode == BN_DB_WRITE && make_file(path, err) != BN_OK) return err->status;
    if (mode == BN_DB_READ && access(path, F_OK) != 0) {
        return bn_fail(err, BN_ENOENT, "there is no %s yet; 'bnexp sweep FILE' makes one", path);
    }
    bn_db *db = calloc(1, sizeof *db);
    if (!db) return bn_fail(err, BN_ENOMEM, "open %s: out of memory", path);
    (void)snprintf(db->path, sizeof db->path, "%s", path);
    if (connect(db, mode, err) != BN_OK) {
        bn_db_close(db);
        return err->status;
    }
    *out = db;
    return BN_OK;
}

void bn_db_close(bn_db *db)
{
    if (!db) return;
    for (size_t i = 0; i < db->count; i++) (void)sqlite3_finalize(db->stmts[i].handle);
    (void)sqlite3_close(db->handle);
    free(db);
}

bn_status bn_db_exec(bn_db *db, const char *sql, bn_error *err)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? BN_OK : fail(db, code, sqlite3_errmsg(db->handle), err);
}

void bn_db_without_triggers(bn_db *db)
{
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
}

/* SQLite's own patience does not cover this switch: it answers "busy" at once. */
bn_status bn_db_use_log(bn_db *db, bn_error *err)
{
    int code = SQLITE_BUSY;
    for (int waited_ms = 0; waited_ms < BUSY_MS && (code & 0xff) == SQLITE_BUSY; waited_ms += 2) {
        if (waited_ms > 0) (void)sqlite3_sleep(2);
        code = sqlite3_exec(db->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    return code == SQLITE_OK ? BN_OK : fail(db, code, sqlite3_errmsg(db->handle), err);
}

bn_status bn_db_int(bn_db *db, const char *sql, int64_t *out, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(db, sql);
    *out = bn_stmt_row(stmt) ? bn_stmt_get_int(stmt, 0) : 0;
    return bn_stmt_end(stmt, err);
}

bn_status bn_db_begin(bn_db *db, bn_db_mode mode, bn_error *err)
{
    return bn_db_exec(db, mode == BN_DB_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

bn_status bn_db_end(bn_db *db, bn_status status, bn_error *err)
{
    if (status == BN_OK) status = bn_db_exec(db, "COMMIT", err);
    /* A full disk makes SQLite roll back by itself; a second ROLLBACK would only complain. */
    if (status != BN_OK && !sqlite3_get_autocommit(db->handle)) {
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

int64_t bn_db_inserted(bn_db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t bn_db_changed(bn_db *db)
{
    return sqlite3_changes64(db->handle);
}

bn_status bn_db_copy(bn_db *db, const char *path, bn_error *err)
{
    if (make_file(path, err) != BN_OK) return err->status;
    sqlite3 *copy = NULL;
    int code = sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_backup *backup =
        code == SQLITE_OK ? sqlite3_backup_init(copy, "main", db->handle, "main") : NULL;
    if (backup) {
        (void)sqlite3_backup_step(backup, -1);
        code = sqlite3_backup_finish(backup);
    } else if (copy) {
        code = sqlite3_errcode(copy);
    }
    if (code != SQLITE_OK) {
        (void)bn_fail(err, BN_EIO, "copy %s to %s: %s", db->path, path, sqlite3_errstr(code));
    }
    (void)sqlite3_close(copy);
    return code == SQLITE_OK ? BN_OK : err->status;
}

static void keep(bn_stmt *stmt, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
    if (stmt->code != SQLITE_OK) return;
    stmt->code = code;
    (void)snprintf(stmt->text, sizeof stmt->text, "%s", sqlite3_errmsg(stmt->db->handle));
}

bn_stmt *bn_db_stmt(bn_db *db, const char *sql)
{
    bn_stmt *stmt = db->stmts;
    while (stmt < db->stmts + db->count && stmt->sql != sql) stmt++;
    if (stmt == db->stmts + db->count) {
        assert(db->count < STATEMENTS_MAX);
        db->count++;
        *stmt = (bn_stmt){.db = db, .sql = sql};
    }
    assert(!stmt->busy);
    stmt->busy = true;
    if (!stmt->handle) {
        keep(stmt, sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->handle,
                                      NULL));
    }
    return stmt;
}

void bn_stmt_int(bn_stmt *stmt, int place, int64_t number)
{
    if (stmt->handle) keep(stmt, sqlite3_bind_int64(stmt->handle, place, number));
}

void bn_stmt_real(bn_stmt *stmt, int place, double number)
{
    if (stmt->handle) keep(stmt, sqlite3_bind_double(stmt->handle, place, number));
}

void bn_stmt_text(bn_stmt *stmt, int place, const char *text)
{
    if (stmt->handle) keep(stmt, sqlite3_bind_text(stmt->handle, place, text, -1, SQLITE_STATIC));
}

void bn_stmt_blob(bn_stmt *stmt, int place, const void *bytes, size_t size_bytes)
{
    if (!stmt->handle) return;
    keep(stmt, sqlite3_bind_blob64(stmt->handle, place, bytes, size_bytes, SQLITE_STATIC));
}

bool bn_stmt_row(bn_stmt *stmt)
{
    if (stmt->code != SQLITE_OK || !stmt->handle) return false;
    int code = sqlite3_step(stmt->handle);
    keep(stmt, code);
    return code == SQLITE_ROW;
}

int64_t bn_stmt_get_int(bn_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

double bn_stmt_get_real(bn_stmt *stmt, int column)
{
    double number = sqlite3_column_double(stmt->handle, column);
    /* NULL reads as 0: only then is the second question worth its price. */
    if (number != 0 || sqlite3_column_type(stmt->handle, column) != SQLITE_NULL) return number;
    return (double)NAN;
}

const char *bn_stmt_get_text(bn_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt->handle, column);
    return text ? (const char *)text : "";
}

const void *bn_stmt_get_blob(bn_stmt *stmt, int column, size_t *size_bytes)
{
    const void *bytes =
        sqlite3_column_blob(stmt->handle, column); /* before its size is asked for */
    *size_bytes = (size_t)sqlite3_column_bytes(stmt->handle, column);
    return bytes;
}

void bn_stmt_copy_text(bn_stmt *stmt, int column, char *out, size_t size)
{
    const char *text = bn_stmt_get_text(stmt, column); /* before its length is asked for */
    size_t length = (size_t)sqlite3_column_bytes(stmt->handle, column);
    if (length >= size) length = size - 1;
    memcpy(out, text, length);
    out[length] = '\0';
}

bn_status bn_stmt_end(bn_stmt *stmt, bn_error *err)
{
    bn_status status = BN_OK;
    if (stmt->code != SQLITE_OK) status = fail(stmt->db, stmt->code, stmt->text, err);
    if (stmt->handle) {
        (void)sqlite3_reset(stmt->handle);
        (void)sqlite3_clear_bindings(stmt->handle);
    }
    stmt->code = SQLITE_OK;
    stmt->busy = false;
    return status;
}

bn_status bn_stmt_run(bn_stmt *stmt, bn_error *err)
{
    while (bn_stmt_row(stmt)) continue;
    return bn_stmt_end(stmt, err);
}

void bn_stmt_again(bn_stmt *stmt)
{
    if (stmt->code != SQLITE_OK || !stmt->handle) return;
    keep(stmt, sqlite3_step(stmt->handle));
    (void)sqlite3_reset(stmt->handle);
}

/* What SQLite calls read-only includes ATTACH, BEGIN and some PRAGMAs that set: so ask about every
 * deed of the statement instead. */
static int allow_reading(void *self, int deed, const char *first, const char *second,
                         const char *database, const char *trigger)
{
    (void)self, (void)first, (void)second, (void)database, (void)trigger;
    bool reads = deed == SQLITE_SELECT || deed == SQLITE_READ || deed == SQLITE_FUNCTION ||
                 deed == SQLITE_RECURSIVE;
    return reads ? SQLITE_OK : SQLITE_DENY;
}

bn_status bn_db_query(bn_db *db, const char *sql, bn_stmt **out, bn_error *err)
{
    *out = NULL;
    bn_stmt *stmt = calloc(1, sizeof *stmt);
    if (!stmt) return bn_fail(err, BN_ENOMEM, "query: out of memory");
    const char *rest = NULL;
    *stmt = (bn_stmt){.db = db, .sql = sql, .busy = true};
    (void)sqlite3_set_authorizer(db->handle, allow_reading, NULL);
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &stmt->handle, &rest);
    (void)sqlite3_set_authorizer(db->handle, NULL, NULL);
    if ((code & 0xff) == SQLITE_AUTH) {
        (void)bn_fail(err, BN_EINVAL, "SQL: only statements that read are run");
    } else if (code != SQLITE_OK) {
        (void)bn_fail(err, BN_EINVAL, "SQL: %s", sqlite3_errmsg(db->handle));
    } else if (!stmt->handle) {
        (void)bn_fail(err, BN_EINVAL, "SQL: the statement is empty");
    } else if (rest[strspn(rest, " \t\r\n;")] != '\0') {
        (void)bn_fail(err, BN_EINVAL, "SQL: one statement at a time; after it comes '%.40s'", rest);
    } else {
        *out = stmt;
        return BN_OK;
    }
    bn_db_query_close(stmt);
    return err->status;
}

void bn_db_query_close(bn_stmt *stmt)
{
    if (!stmt) return;
    (void)sqlite3_finalize(stmt->handle);
    free(stmt);
}

int bn_stmt_columns(bn_stmt *stmt)
{
    return sqlite3_column_count(stmt->handle);
}

const char *bn_stmt_column_name(bn_stmt *stmt, int column)
{
    const char *name = sqlite3_column_name(stmt->handle, column);
    return name ? name : "";
}

bn_cell bn_stmt_cell(bn_stmt *stmt, int column)
{
    switch (sqlite3_column_type(stmt->handle, column)) {
    case SQLITE_NULL:
        return BN_CELL_NULL;
    case SQLITE_INTEGER:
        return BN_CELL_INT;
    case SQLITE_FLOAT:
        return BN_CELL_REAL;
    case SQLITE_BLOB:
        return BN_CELL_BLOB;
    default:
        return BN_CELL_TEXT;
    }
}
