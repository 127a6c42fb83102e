#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "store/inside.h"
#include "store/migrate.h"
#include "store/place.h"

/* synchronous = FULL: one fsync of the log a commit. NORMAL would be cheaper and lose the last
 * commits in a power cut, after which a caller's "it is durable" would have been a lie; the
 * manager commits once a tick, so the price is one fsync a tick.
 * The log may grow to 16 MB before it is folded in, and is cut to 64 MB after a burst. */
static const char SETTINGS_WRITE[] = "PRAGMA synchronous = FULL;"
                                     "PRAGMA foreign_keys = ON;"
                                     "PRAGMA wal_autocheckpoint = 4000;"
                                     "PRAGMA journal_size_limit = 67108864;"
                                     "PRAGMA cache_size = -16000;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA trusted_schema = OFF";
static const char SETTINGS_READ[] = "PRAGMA query_only = ON;"
                                    "PRAGMA temp_store = MEMORY;"
                                    "PRAGMA trusted_schema = OFF";

static bn_status open_database(bn_store *store, const char *path, bn_error *err)
{
    bool writes = store->mode == BN_STORE_WRITE;
    bn_db_mode mode = writes ? BN_DB_WRITE : BN_DB_READ;
    int count = 0;
    const bn_migration *list = bn_migrations(&count);
    bn_status status = bn_db_open(&store->db, path, mode, err);
    /* Whose it is comes before any setting: a foreign file is left as it was, byte for byte. */
    if (status == BN_OK) status = bn_migrate_check(store->db, path, list, count, err);
    if (status == BN_OK && writes) status = bn_db_use_log(store->db, err);
    if (status == BN_OK) {
        status = bn_db_exec(store->db, writes ? SETTINGS_WRITE : SETTINGS_READ, err);
    }
    if (status == BN_OK && writes) bn_db_without_triggers(store->db); /* see packed.h */
    if (status == BN_OK) status = bn_migrate(store->db, path, mode, list, count, err);
    return status;
}

bn_status bn_store_open(bn_store **out, const char *home, bn_store_mode mode, bn_error *err)
{
    *out = NULL;
    char path[BN_PATH_MAX];
    bn_store *store = calloc(1, sizeof *store);
    if (!store) return bn_fail(err, BN_ENOMEM, "open %s: out of memory", home);
    store->mode = mode;
    bn_status status = bn_path_absolute(store->home, home, err);
    if (status == BN_OK) status = bn_path_join(path, store->home, "bnexp.db", err);
    if (status == BN_OK && mode == BN_STORE_WRITE) status = bn_place_check(path, err);
    if (status == BN_OK && mode == BN_STORE_WRITE) status = bn_dir_make(store->home, 0700, err);
    if (status == BN_OK) status = open_database(store, path, err);
    if (status != BN_OK) {
        bn_store_close(store);
        return status;
    }
    *out = store;
    return BN_OK;
}

void bn_store_close(bn_store *store)
{
    if (!store) return;
    bn_append_room_close(store->append);
    bn_metrics_release(&store->metrics);
    bn_facts_release(store);
    bn_db_close(store->db);
    free(store);
}

const char *bn_store_home(const bn_store *store)
{
    return store->home;
}

bn_status bn_store_begin(bn_store *store, bn_error *err)
{
    if (store->mode != BN_STORE_WRITE) {
        return bn_fail(err, BN_EINVAL, "%s was opened for reading", store->home);
    }
    return bn_db_begin(store->db, BN_DB_WRITE, err);
}

bn_status bn_store_end(bn_store *store, bn_status status, bn_error *err)
{
    status = bn_db_end(store->db, status, err);
    bn_metrics_settle(&store->metrics, status);
    return status;
}

bn_status bn_store_begin_read(bn_store *store, bn_error *err)
{
    return bn_db_begin(store->db, BN_DB_READ, err);
}

bn_status bn_store_end_read(bn_store *store, bn_status status, bn_error *err)
{
    status = bn_db_end(store->db, status, err);
    bn_metrics_settle(&store->metrics, BN_OK); /* all that a reader has loaded was committed */
    return status;
}

bn_status bn_store_check(bn_store *store, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "PRAGMA integrity_check(1)");
    if (bn_stmt_row(stmt) && bn_stmt_get_text(stmt, 0)[0] != 'o') { /* "ok" */
        (void)bn_fail(err, BN_ECORRUPT, "%s/bnexp.db: %s", store->home, bn_stmt_get_text(stmt, 0));
    }
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && err->status != BN_OK) status = err->status;
    if (status != BN_OK) return status;
    stmt = bn_db_stmt(store->db, "PRAGMA foreign_key_check");
    if (bn_stmt_row(stmt)) {
        (void)bn_fail(err, BN_ECORRUPT, "%s/bnexp.db: a row of table %s belongs to nobody",
                      store->home, bn_stmt_get_text(stmt, 0));
    }
    status = bn_stmt_end(stmt, err);
    return err->status != BN_OK ? err->status : status;
}

bn_status bn_store_backup(bn_store *store, const char *path, bn_error *err)
{
    if (bn_file_exists(path)) return bn_fail(err, BN_EINVAL, "%s exists already", path);
    return bn_db_copy(store->db, path, err);
}

bn_status bn_array_grow(void **array, size_t count, size_t *room, size_t size_bytes, bn_error *err)
{
    if (count < *room) return BN_OK;
    size_t wanted = *room ? *room * 2 : 64;
    void *data = realloc(*array, wanted * size_bytes);
    if (!data) return bn_fail(err, BN_ENOMEM, "out of memory for %zu elements", wanted);
    *array = data;
    *room = wanted;
    return BN_OK;
}

void *bn_rows_add(bn_rows *rows, bn_error *err)
{
    if (rows->status == BN_OK) {
        rows->status = bn_array_grow(&rows->items, rows->count, &rows->room, rows->size_bytes, err);
    }
    if (rows->status != BN_OK) return NULL;
    char *item = (char *)rows->items + rows->count++ * rows->size_bytes;
    return memset(item, 0, rows->size_bytes);
}

bn_status bn_rows_end(bn_rows *rows, bn_stmt *stmt, size_t *count, bn_error *err)
{
    bn_status ended = bn_stmt_end(stmt, err);
    if (rows->status == BN_OK) rows->status = ended;
    if (rows->status != BN_OK) {
        free(rows->items);
        rows->items = NULL;
        rows->count = 0;
    }
    *count = rows->count;
    return rows->status;
}
