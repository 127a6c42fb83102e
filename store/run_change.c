/* run_change.c - how a run moves from state to state, and everything else that is said of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "store/packed.h"
#include "store/run.h"

static bool said(const char *text)
{
    return text && *text;
}

/* Text that was not given binds NULL, and coalesce keeps what is there. */
static const char *given(const char *text)
{
    return said(text) ? text : NULL;
}

static bn_status update(bn_store *store, int64_t run, const bn_run_change *change, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(
        store->db, "UPDATE run\n"
                   "SET state = ?3,\n"
                   "    reason = CASE WHEN ?9 OR ?10 THEN ifnull(?4, '')\n"
                   "             ELSE ifnull(?4, reason) END,\n"
                   "    token = ifnull(?5, token),\n"
                   "    host = ifnull(?6, host),\n"
                   "    device = ifnull(?7, device),\n"
                   "    exit_code = CASE WHEN ?8 <> -1 THEN ?8 WHEN ?9 THEN -1\n"
                   "                     ELSE exit_code END,\n"
                   "    attempt = attempt + ?9,\n"
                   "    started_s = CASE WHEN ?9 THEN ?11 ELSE started_s END,\n"
                   "    ended_s = CASE WHEN ?10 THEN ?11 WHEN ?9 THEN NULL ELSE ended_s END,\n"
                   "    duration_s = duration_s\n"
                   "        + CASE WHEN NOT ?10 THEN 0 WHEN ?12 > 0 THEN ?12\n"
                   "               ELSE max(0, ifnull(?11 - started_s, 0)) END\n"
                   "WHERE id = ?1 AND state = ?2");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_text(stmt, 2, bn_run_state_name(change->from));
    bn_stmt_text(stmt, 3, bn_run_state_name(change->to));
    bn_stmt_text(stmt, 4, given(change->reason));
    bn_stmt_text(stmt, 5, given(change->token));
    bn_stmt_text(stmt, 6, given(change->host));
    bn_stmt_text(stmt, 7, given(change->device));
    bn_stmt_int(stmt, 8, change->exit_code);
    bn_stmt_int(stmt, 9, change->begins_attempt);
    bn_stmt_int(stmt, 10, change->ends_attempt);
    bn_stmt_real(stmt, 11, change->now_s);
    bn_stmt_real(stmt, 12, change->ran_s);
    return bn_stmt_run(stmt, err);
}

static bn_status write_attempt(bn_store *store, int64_t run, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(
        store->db,
        "INSERT INTO attempt\n"
        "    (run_id, number, state, reason, exit_code, host, device, started_s, ended_s)\n"
        "SELECT id, attempt, state, reason, exit_code, host, device, started_s, ended_s\n"
        "FROM run\n"
        "WHERE id = ?1 AND attempt > 0 AND started_s IS NOT NULL\n"
        "ON CONFLICT (run_id, number) DO UPDATE\n"
        "SET state = excluded.state, reason = excluded.reason, exit_code = excluded.exit_code,\n"
        "    host = excluded.host, device = excluded.device, started_s = excluded.started_s,\n"
        "    ended_s = excluded.ended_s");
    bn_stmt_int(stmt, 1, run);
    return bn_stmt_run(stmt, err);
}

static bn_status write_change(bn_store *store, int64_t run, const bn_run_change *change,
                              bn_error *err)
{
    bn_stmt *stmt =
        bn_db_stmt(store->db, "INSERT INTO change (run_id, at_s, attempt, before, after, reason)\n"
                              "SELECT id, ?2, attempt, ?3, state, ?4\n"
                              "FROM run\n"
                              "WHERE id = ?1");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_real(stmt, 2, change->now_s);
    bn_stmt_text(stmt, 3, bn_run_state_name(change->from));
    bn_stmt_text(stmt, 4, change->reason ? change->reason : "");
    return bn_stmt_run(stmt, err);
}

static bn_status move(bn_store *store, int64_t run, const bn_run_change *change, bn_error *err)
{
    bn_status status = update(store, run, change, err);
    if (status != BN_OK) return status;
    if (bn_db_changed(store->db) == 0) {
        return bn_fail(err, BN_ESTALE, "run number %lld is no longer %s", (long long)run,
                       bn_run_state_name(change->from));
    }
    if (change->begins_attempt || change->ends_attempt || change->from == BN_RUN_RUNNING) {
        status = write_attempt(store, run, err);
    }
    if (status == BN_OK && change->from != change->to) {
        status = write_change(store, run, change, err);
    }
    if (status == BN_OK && change->begins_attempt) {
        status = bn_facts_write(store, run, store->stamp, store->stamp_count, err);
    }
    if (status == BN_OK && change->ends_attempt) status = bn_packed_end(store, run, err);
    return status;
}

bn_status bn_run_move_all(bn_store *store, const int64_t *runs, const bn_run_change *changes,
                          size_t count, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_status status = BN_OK;
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        status = move(store, runs[i], &changes[i], err);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_run_move(bn_store *store, int64_t run, const bn_run_change *change, bn_error *err)
{
    return bn_run_move_all(store, &run, change, 1, err);
}

bn_status bn_run_params(bn_store *store, int64_t run, bn_param **out, size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT name, value, varied\n"
                                          "FROM param\n"
                                          "WHERE run_id = ?1\n"
                                          "ORDER BY name");
    bn_stmt_int(stmt, 1, run);
    bn_param *param = NULL;
    while (bn_stmt_row(stmt) && (param = bn_rows_add(&rows, err)) != NULL) {
        bn_stmt_copy_text(stmt, 0, param->name, sizeof param->name);
        bn_stmt_copy_text(stmt, 1, param->value, sizeof param->value);
        param->varied = bn_stmt_get_int(stmt, 2) != 0;
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_run_varied(bn_store *store, int64_t sweep, bn_run_param **out, size_t *count,
                        bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt =
        bn_db_stmt(store->db, sweep ? "SELECT p.run_id, p.name, p.value\n"
                                      "FROM run AS r\n"
                                      "JOIN param AS p ON p.run_id = r.id AND p.varied = 1\n"
                                      "WHERE r.sweep_id = ?1 AND r.trashed_s IS NULL\n"
                                      "ORDER BY p.run_id, p.name"
                                    : "SELECT run_id, name, value\n"
                                      "FROM param INDEXED BY param_varied\n"
                                      "WHERE varied = 1\n"
                                      "ORDER BY run_id, name");
    if (sweep) bn_stmt_int(stmt, 1, sweep);
    bn_run_param *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) {
        row->run = bn_stmt_get_int(stmt, 0);
        row->param.varied = true;
        bn_stmt_copy_text(stmt, 1, row->param.name, sizeof row->param.name);
        bn_stmt_copy_text(stmt, 2, row->param.value, sizeof row->param.value);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

/* Knobs that were not given one by one are in the configuration all the same. */
bn_status bn_run_knob(bn_store *store, int64_t sweep, const char *name, bn_run_param **out,
                      size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt =
        bn_db_stmt(store->db, "SELECT r.id, p.value, p.varied, c.json -> ?3\n"
                              "FROM run AS r\n"
                              "LEFT JOIN param AS p ON p.run_id = r.id AND p.name = ?2\n"
                              "LEFT JOIN config AS c ON p.name IS NULL AND c.run_id = r.id\n"
                              "WHERE (?1 = 0 OR r.sweep_id = ?1) AND r.trashed_s IS NULL\n"
                              "  AND (p.name IS NOT NULL OR c.json -> ?3 IS NOT NULL)\n"
                              "ORDER BY r.id");
    char path[sizeof((bn_param *)0)->name + 8];
    bool sayable = strpbrk(name, "\"\\") == NULL && strlen(name) + 4 < sizeof path;
    (void)snprintf(path, sizeof path, "$.\"%s\"", sayable ? name : "");
    bn_stmt_int(stmt, 1, sweep);
    bn_stmt_text(stmt, 2, name);
    bn_stmt_text(stmt, 3, path);
    bn_run_param *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) {
        const char *fixed = bn_stmt_get_text(stmt, 3);
        row->run = bn_stmt_get_int(stmt, 0);
        row->param.varied = bn_stmt_get_int(stmt, 2) != 0;
        (void)snprintf(row->param.name, sizeof row->param.name, "%s", name);
        bn_stmt_copy_text(stmt, *fixed ? 3 : 1, row->param.value, sizeof row->param.value);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_run_attempts(bn_store *store, int64_t run, bn_attempt **out, size_t *count,
                          bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_error ignored = {0};
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT number, state, reason, exit_code, host, device,\n"
                                          "       started_s, ended_s\n"
                                          "FROM attempt\n"
                                          "WHERE run_id = ?1\n"
                                          "ORDER BY number");
    bn_stmt_int(stmt, 1, run);
    bn_attempt *attempt = NULL;
    while (bn_stmt_row(stmt) && (attempt = bn_rows_add(&rows, err)) != NULL) {
        *attempt = (bn_attempt){.number = (int)bn_stmt_get_int(stmt, 0)};
        (void)!bn_run_state_parse(bn_stmt_get_text(stmt, 1), &attempt->state, &ignored);
        bn_stmt_copy_text(stmt, 2, attempt->reason, sizeof attempt->reason);
        attempt->exit_code = (int)bn_stmt_get_int(stmt, 3);
        bn_stmt_copy_text(stmt, 4, attempt->host, sizeof attempt->host);
        bn_stmt_copy_text(stmt, 5, attempt->device, sizeof attempt->device);
        attempt->started_s = bn_stmt_get_real(stmt, 6);
        attempt->ended_s = bn_stmt_get_real(stmt, 7);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}
