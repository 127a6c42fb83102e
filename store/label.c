#include "store/label.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "store/inside.h"

static bn_status check_tag(const char *tag, bn_error *err)
{
    size_t length = strlen(tag);
    if (length > 0 && length < BN_TAG_MAX && tag[strcspn(tag, " \t\r\n,")] == '\0') return BN_OK;
    return bn_fail(err, BN_EINVAL,
                   "a tag must be one word of at most %d bytes without a comma, is '%.40s'",
                   BN_TAG_MAX - 1, tag);
}

/* Whoever tells of runs elsewhere has something new to tell of this one. */
static bn_status end_label(bn_store *store, bn_stmt *stmt, int64_t run, bn_error *err)
{
    bn_status status = bn_stmt_run(stmt, err);
    if (status == BN_OK) {
        bn_stmt *remind = bn_db_stmt(store->db, "UPDATE heard\nSET state = ''\nWHERE run_id = ?1");
        bn_stmt_int(remind, 1, run);
        status = bn_stmt_run(remind, err);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_tag_add(bn_store *store, int64_t run, const char *tag, bn_error *err)
{
    if (check_tag(tag, err) != BN_OK || bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(store->db, "INSERT OR IGNORE INTO tag (run_id, tag)\n"
                                          "VALUES (?1, ?2)");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_text(stmt, 2, tag);
    return end_label(store, stmt, run, err);
}

bn_status bn_tag_remove(bn_store *store, int64_t run, const char *tag, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(store->db, "DELETE FROM tag\nWHERE run_id = ?1 AND tag = ?2");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_text(stmt, 2, tag);
    return end_label(store, stmt, run, err);
}

bn_status bn_tag_list(bn_store *store, int64_t run, bn_tag **out, size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(
        store->db, run ? "SELECT run_id, tag\nFROM tag\nWHERE run_id = ?1\nORDER BY run_id, tag"
                       : "SELECT run_id, tag\nFROM tag\nORDER BY run_id, tag");
    if (run) bn_stmt_int(stmt, 1, run);
    bn_tag *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) {
        row->run = bn_stmt_get_int(stmt, 0);
        bn_stmt_copy_text(stmt, 1, row->tag, sizeof row->tag);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_note_add(bn_store *store, int64_t run, const char *text, bn_error *err)
{
    size_t length = strlen(text);
    if (length == 0 || length > BN_NOTE_BYTES_MAX) {
        return bn_fail(err, BN_EINVAL, "a note must have 1 to %d bytes, has %zu", BN_NOTE_BYTES_MAX,
                       length);
    }
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt =
        bn_db_stmt(store->db, "INSERT INTO note (run_id, at_s, text)\nVALUES (?1, ?2, ?3)");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_real(stmt, 2, bn_clock_wall_s());
    bn_stmt_text(stmt, 3, text);
    return end_label(store, stmt, run, err);
}

/* One block for all: the array first, then the texts. */
static bn_status note_room(bn_store *store, int64_t run, bn_note **out, size_t *count,
                           size_t *text_bytes, bn_error *err)
{
    bn_stmt *stmt =
        bn_db_stmt(store->db, "SELECT count(*), ifnull(sum(length(CAST(text AS BLOB)) + 1), 0)\n"
                              "FROM note\n"
                              "WHERE run_id = ?1");
    bn_stmt_int(stmt, 1, run);
    bool row = bn_stmt_row(stmt);
    *count = row ? (size_t)bn_stmt_get_int(stmt, 0) : 0;
    *text_bytes = row ? (size_t)bn_stmt_get_int(stmt, 1) : 0;
    if (bn_stmt_end(stmt, err) != BN_OK) return err->status;
    *out = calloc(1, *count * sizeof **out + *text_bytes + 1);
    return *out ? BN_OK : bn_fail(err, BN_ENOMEM, "notes: out of memory");
}

static bn_status read_notes(bn_store *store, int64_t run, bn_note **out, size_t *count,
                            bn_error *err)
{
    size_t room = 0, used = 0, row = 0;
    if (note_room(store, run, out, count, &room, err) != BN_OK) return err->status;
    assert(*out);
    char *texts = (char *)(*out + *count);
    bn_stmt *stmt =
        bn_db_stmt(store->db, "SELECT at_s, text\nFROM note\nWHERE run_id = ?1\nORDER BY id");
    bn_stmt_int(stmt, 1, run);
    for (; row < *count && bn_stmt_row(stmt); row++) {
        bn_note *note = *out + row;
        note->at_s = bn_stmt_get_real(stmt, 0);
        note->text = texts + used;
        bn_stmt_copy_text(stmt, 1, texts + used, room - used);
        used += strlen(note->text) + 1; /* less than its room when somebody put a NUL into it */
    }
    *count = row;
    return bn_stmt_end(stmt, err);
}

bn_status bn_note_list(bn_store *store, int64_t run, bn_note **out, size_t *count, bn_error *err)
{
    *out = NULL;
    *count = 0;
    if (bn_store_begin_read(store, err) != BN_OK) return err->status;
    bn_status status = bn_store_end_read(store, read_notes(store, run, out, count, err), err);
    if (status == BN_OK) return BN_OK;
    free(*out);
    *out = NULL;
    *count = 0;
    return status;
}

bn_status bn_run_trash(bn_store *store, int64_t run, const char *dir, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(store->db, "UPDATE run\n"
                                          "SET trashed_s = ?2, dir = ?3\n"
                                          "WHERE id = ?1 AND trashed_s IS NULL\n"
                                          "  AND state <> 'running'");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_real(stmt, 2, bn_clock_wall_s());
    bn_stmt_text(stmt, 3, dir);
    bn_status status = bn_stmt_run(stmt, err);
    if (status == BN_OK && bn_db_changed(store->db) == 0) {
        status = bn_fail(err, BN_ESTALE, "run number %lld is running, or in the trash already",
                         (long long)run);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_sweep_trash(bn_store *store, int64_t sweep, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt =
        bn_db_stmt(store->db, "UPDATE sweep\n"
                              "SET trashed_s = ?2\n"
                              "WHERE id = ?1 AND trashed_s IS NULL\n"
                              "  AND NOT EXISTS (SELECT 1 FROM run\n"
                              "                  WHERE sweep_id = ?1 AND trashed_s IS NULL)");
    bn_stmt_int(stmt, 1, sweep);
    bn_stmt_real(stmt, 2, bn_clock_wall_s());
    bn_status status = bn_stmt_run(stmt, err);
    if (status == BN_OK && bn_db_changed(store->db) == 0) {
        status = bn_fail(err, BN_ESTALE, "sweep number %lld still has runs, or is not there",
                         (long long)sweep);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_trash_list(bn_store *store, double before_s, bn_trashed **out, size_t *count,
                        bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT " BN_RUN_COLUMNS ", r.trashed_s\n"
                                          "FROM run AS r\n"
                                          "JOIN sweep AS s ON s.id = r.sweep_id\n"
                                          "WHERE r.trashed_s <= ?1\n"
                                          "ORDER BY r.trashed_s, r.id");
    bn_stmt_real(stmt, 1, before_s);
    bn_trashed *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) {
        bn_run_from_row(stmt, &row->run);
        row->trashed_s = bn_stmt_get_real(stmt, 22);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

/* The rows that no foreign key takes along. */
static bn_status purge_history(bn_store *store, int64_t run, bn_error *err)
{
    static const char *const steps[] = {
        "DELETE FROM value\nWHERE run_id = ?1",
        "DELETE FROM record\nWHERE run_id = ?1",
        "DELETE FROM packed\nWHERE run_id = ?1",
        "DELETE FROM latest\nWHERE key_id IN (SELECT id FROM metric_key) AND run_id = ?1",
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        bn_stmt *stmt = bn_db_stmt(store->db, steps[i]);
        bn_stmt_int(stmt, 1, run);
        if (bn_stmt_run(stmt, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

bn_status bn_run_purge(bn_store *store, int64_t run, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    if (purge_history(store, run, err) != BN_OK) return bn_store_end(store, err->status, err);
    bn_stmt *stmt =
        bn_db_stmt(store->db, "DELETE FROM run\nWHERE id = ?1 AND trashed_s IS NOT NULL");
    bn_stmt_int(stmt, 1, run);
    bn_status status = bn_stmt_run(stmt, err);
    if (status == BN_OK && bn_db_changed(store->db) == 0) {
        status = bn_fail(err, BN_ESTALE, "run number %lld is not in the trash", (long long)run);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_store_tidy(bn_store *store, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt =
        bn_db_stmt(store->db, "DELETE FROM sweep\n"
                              "WHERE trashed_s IS NOT NULL\n"
                              "  AND NOT EXISTS (SELECT 1 FROM run WHERE sweep_id = sweep.id)");
    bn_status status = bn_store_end(store, bn_stmt_run(stmt, err), err);
    if (status == BN_OK) status = bn_db_exec(store->db, "VACUUM", err);
    if (status != BN_OK) return status;
    return bn_db_exec(store->db, "PRAGMA wal_checkpoint(TRUNCATE)", err);
}
