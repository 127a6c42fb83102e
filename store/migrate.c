#include "store/migrate.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"

static const char CREATE_MIGRATION[] =
    "CREATE TABLE migration (\n"
    "    version   INTEGER PRIMARY KEY, -- user_version after it\n"
    "    name      TEXT NOT NULL,       -- its file in store/schema\n"
    "    sha256    TEXT NOT NULL,       -- of that file when it was applied\n"
    "    applied_s REAL NOT NULL        -- when [s]\n"
    ") STRICT";

typedef struct place {
    int64_t application, version, tables;
} place;

/* Three questions, one moment: the caller's transaction. */
static bn_status look(bn_db *db, place *out, bn_error *err)
{
    bn_status status = bn_db_int(db, "PRAGMA application_id", &out->application, err);
    if (status == BN_OK) status = bn_db_int(db, "PRAGMA user_version", &out->version, err);
    if (status == BN_OK) {
        status = bn_db_int(db, "SELECT count(*) FROM sqlite_schema", &out->tables, err);
    }
    return status;
}

static bn_status check_past(bn_db *db, const char *path, const bn_migration *list, int64_t version,
                            bn_error *err)
{
    int64_t seen = 0;
    bn_stmt *stmt = bn_db_stmt(db, "SELECT version, sha256\nFROM migration\nORDER BY version");
    while (bn_stmt_row(stmt)) {
        int64_t number = bn_stmt_get_int(stmt, 0);
        bool same = number == seen + 1 && number <= version &&
                    strcmp(bn_stmt_get_text(stmt, 1), list[number - 1].sha256) == 0;
        if (!same) {
            (void)bn_fail(err, BN_ECORRUPT, "%s: its schema %lld is not the one this bnexp knows",
                          path, (long long)number);
            break;
        }
        seen = number;
    }
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && seen != version) {
        status =
            bn_fail(err, BN_ECORRUPT, "%s: schema %lld, but the list of its migrations has %lld",
                    path, (long long)version, (long long)seen);
    }
    return err->status != BN_OK ? err->status : status;
}

static bn_status check(bn_db *db, const char *path, const place *at, const bn_migration *list,
                       int count, bn_error *err)
{
    if (at->application == 0 && at->version == 0 && at->tables == 0) return BN_OK; /* new */
    if (at->application != BN_APPLICATION_ID) {
        return bn_fail(err, BN_ECORRUPT, "%s is a database of another program", path);
    }
    if (at->version > count) {
        return bn_fail(err, BN_EINVAL,
                       "%s was made by a newer bnexp (schema %lld, this one knows %d)", path,
                       (long long)at->version, count);
    }
    return check_past(db, path, list, at->version, err);
}

static bn_status backup(bn_db *db, const char *path, int64_t version, bn_error *err)
{
    char copy[BN_PATH_MAX + 64];
    (void)snprintf(copy, sizeof copy, "%s.v%lld-backup", path, (long long)version);
    if (bn_file_exists(copy)) return BN_OK; /* of an earlier try that did not get further */
    return bn_db_copy(db, copy, err);
}

static bn_status note(bn_db *db, int version, const bn_migration *step, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(db, "INSERT INTO migration (version, name, sha256, applied_s)\n"
                                   "VALUES (?1, ?2, ?3, ?4)");
    bn_stmt_int(stmt, 1, version);
    bn_stmt_text(stmt, 2, step->name);
    bn_stmt_text(stmt, 3, step->sha256);
    bn_stmt_real(stmt, 4, bn_clock_wall_s());
    return bn_stmt_run(stmt, err);
}

/* All steps from `version` on, inside the caller's transaction. */
static bn_status apply(bn_db *db, int64_t version, const bn_migration *list, int count,
                       bn_error *err)
{
    char pragma[64];
    if (version == 0) {
        if (bn_db_exec(db, CREATE_MIGRATION, err) != BN_OK) return err->status;
        (void)snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", BN_APPLICATION_ID);
        if (bn_db_exec(db, pragma, err) != BN_OK) return err->status;
    }
    for (int i = (int)version; i < count; i++) {
        if (bn_db_exec(db, list[i].sql, err) != BN_OK) return bn_fail_in(err, "%s", list[i].name);
        if (note(db, i + 1, &list[i], err) != BN_OK) return err->status;
    }
    (void)snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", count);
    return bn_db_exec(db, pragma, err);
}

bn_status bn_migrate_check(bn_db *db, const char *path, const bn_migration *list, int count,
                           bn_error *err)
{
    place at = {0};
    bn_status status = bn_db_begin(db, BN_DB_READ, err);
    if (status != BN_OK) return status;
    status = look(db, &at, err);
    if (status == BN_OK) status = check(db, path, &at, list, count, err);
    return bn_db_end(db, status, err);
}

bn_status bn_migrate(bn_db *db, const char *path, bn_db_mode mode, const bn_migration *list,
                     int count, bn_error *err)
{
    place at = {0};
    bn_status status = bn_db_begin(db, BN_DB_READ, err);
    if (status == BN_OK) status = bn_db_end(db, look(db, &at, err), err);
    if (status != BN_OK || at.version == count) return status;
    if (mode == BN_DB_READ && at.version == 0) {
        return bn_fail(err, BN_ENOENT, "%s is empty; 'bnexp sweep FILE' fills one", path);
    }
    if (mode == BN_DB_READ) {
        return bn_fail(err, BN_EINVAL,
                       "%s has the older schema %lld; 'bnexp doctor --migrate' brings it to %d",
                       path, (long long)at.version, count);
    }
    if (at.version > 0 && backup(db, path, at.version, err) != BN_OK) return err->status;
    status = bn_db_begin(db, BN_DB_WRITE, err);
    if (status != BN_OK) return status;
    status = look(db, &at, err); /* another process may have been faster */
    if (status == BN_OK && at.version < count) status = apply(db, at.version, list, count, err);
    return bn_db_end(db, status, err);
}
