#include "store/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/clock.h"
#include "engine/base/nearest.h"
#include "store/inside.h"

static const char *const STATES[] = {"pending", "running",   "finished", "failed", "crashed",
                                     "killed",  "preempted", "pruned",   "skipped"};
enum { STATE_COUNT = sizeof STATES / sizeof STATES[0] };

#define FROM_RUN "SELECT " BN_RUN_COLUMNS "FROM run AS r\nJOIN sweep AS s ON s.id = r.sweep_id\n"

const char *bn_run_state_name(bn_run_state state)
{
    return STATES[state];
}

bn_status bn_run_state_parse(const char *name, bn_run_state *out, bn_error *err)
{
    for (int i = 0; i < STATE_COUNT; i++) {
        if (strcmp(STATES[i], name) != 0) continue;
        *out = (bn_run_state)i;
        return BN_OK;
    }
    const char *near = bn_nearest(name, STATES, STATE_COUNT, sizeof STATES[0]);
    return bn_fail(err, BN_EINVAL, "there is no run state '%.40s'%s%s%s", name,
                   near ? "; did you mean '"
                        : "; expected pending, running, finished, failed, crashed, killed, "
                          "preempted, pruned or skipped",
                   near ? near : "", near ? "'?" : "");
}

bool bn_run_state_final(bn_run_state state)
{
    return state != BN_RUN_PENDING && state != BN_RUN_RUNNING && state != BN_RUN_PREEMPTED;
}

void bn_run_from_row(bn_stmt *stmt, bn_run *out)
{
    *out = (bn_run){.id = bn_stmt_get_int(stmt, 0)};
    bn_error ignored = {0}; /* the schema lets no other word in */
    bn_stmt_copy_text(stmt, 1, out->key, sizeof out->key);
    bn_stmt_copy_text(stmt, 2, out->name, sizeof out->name);
    out->sweep = bn_stmt_get_int(stmt, 3);
    bn_stmt_copy_text(stmt, 4, out->sweep_name, sizeof out->sweep_name);
    out->number = (int)bn_stmt_get_int(stmt, 5);
    (void)!bn_run_state_parse(bn_stmt_get_text(stmt, 6), &out->state, &ignored);
    bn_stmt_copy_text(stmt, 7, out->reason, sizeof out->reason);
    out->attempt = (int)bn_stmt_get_int(stmt, 8);
    bn_stmt_copy_text(stmt, 9, out->token, sizeof out->token);
    bn_stmt_copy_text(stmt, 10, out->dir, sizeof out->dir);
    bn_stmt_copy_text(stmt, 11, out->variant, sizeof out->variant);
    bn_stmt_copy_text(stmt, 12, out->config_hash, sizeof out->config_hash);
    bn_stmt_copy_text(stmt, 13, out->host, sizeof out->host);
    bn_stmt_copy_text(stmt, 14, out->device, sizeof out->device);
    out->exit_code = (int)bn_stmt_get_int(stmt, 15);
    out->created_s = bn_stmt_get_real(stmt, 16);
    out->started_s = bn_stmt_get_real(stmt, 17);
    out->ended_s = bn_stmt_get_real(stmt, 18);
    out->duration_s = bn_stmt_get_real(stmt, 19);
    out->mark_bytes = bn_stmt_get_int(stmt, 20);
    out->next_seq = bn_stmt_get_int(stmt, 21);
}

/* 8 characters of [0-9a-z], from the system's randomness: unique across homes, as wandb needs. */
static bn_status make_key(char out[12], bn_error *err)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint64_t bits = 0;
    ssize_t got = 0;
    do {
        got = getrandom(&bits, sizeof bits, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof bits) return bn_fail_errno(err, "random bits for a run's key");
    for (int i = 0; i < 8; i++) {
        out[i] = letters[bits % 36];
        bits /= 36;
    }
    out[8] = '\0';
    return BN_OK;
}

static bn_status add_params(bn_store *store, int64_t run, const bn_run_new *new_run, bn_error *err)
{
    bn_stmt *stmt =
        bn_db_stmt(store->db, "INSERT OR REPLACE INTO param (run_id, name, value, varied)\n"
                              "VALUES (?1, ?2, ?3, ?4)");
    bn_stmt_int(stmt, 1, run);
    for (size_t i = 0; i < new_run->param_count; i++) {
        bn_stmt_text(stmt, 2, new_run->params[i].name);
        bn_stmt_text(stmt, 3, new_run->params[i].value);
        bn_stmt_int(stmt, 4, new_run->params[i].varied);
        bn_stmt_again(stmt);
    }
    return bn_stmt_end(stmt, err);
}

/* Valid or not at all: every reader of the home hands this text on as it is. */
static bn_status add_config(bn_store *store, int64_t run, const char *json, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "INSERT INTO config (run_id, json)\n"
                                          "SELECT ?1, ?2\n"
                                          "WHERE json_valid(?2) AND json_type(?2) = 'object'");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_text(stmt, 2, json);
    bn_status status = bn_stmt_run(stmt, err);
    if (status == BN_OK && bn_db_changed(store->db) == 0) {
        return bn_fail(err, BN_EINVAL, "its configuration is not a JSON object");
    }
    return status;
}

static bn_status add_first_change(bn_store *store, int64_t run, double now_s, bn_error *err)
{
    bn_stmt *stmt =
        bn_db_stmt(store->db, "INSERT INTO change (run_id, at_s, attempt, before, after, reason)\n"
                              "VALUES (?1, ?2, 0, '', 'pending', '')");
    bn_stmt_int(stmt, 1, run);
    bn_stmt_real(stmt, 2, now_s);
    return bn_stmt_run(stmt, err);
}

static bn_status insert(bn_store *store, const bn_run_new *new_run, bn_error *err)
{
    char key[12];
    double now_s = bn_clock_wall_s();
    if (make_key(key, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(store->db, "INSERT INTO run\n"
                                          "    (key, sweep_id, number, name, state, dir, variant,\n"
                                          "     config_hash, created_s)\n"
                                          "VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8)");
    bn_stmt_text(stmt, 1, key);
    bn_stmt_int(stmt, 2, new_run->sweep);
    bn_stmt_int(stmt, 3, new_run->number);
    bn_stmt_text(stmt, 4, new_run->name);
    bn_stmt_text(stmt, 5, new_run->dir);
    bn_stmt_text(stmt, 6, new_run->variant ? new_run->variant : "");
    bn_stmt_text(stmt, 7, new_run->config_hash ? new_run->config_hash : "");
    bn_stmt_real(stmt, 8, now_s);
    bn_status status = bn_stmt_run(stmt, err);
    int64_t run = bn_db_inserted(store->db);
    if (status == BN_OK) status = add_config(store, run, new_run->config_json, err);
    if (status == BN_OK) status = add_params(store, run, new_run, err);
    if (status == BN_OK) status = add_first_change(store, run, now_s, err);
    return status;
}

static bn_status find_number(bn_store *store, const bn_run_new *new_run, bool *found, bn_run *out,
                             bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, FROM_RUN
                               "WHERE r.sweep_id = ?1 AND r.number = ?2 AND r.trashed_s IS NULL");
    bn_stmt_int(stmt, 1, new_run->sweep);
    bn_stmt_int(stmt, 2, new_run->number);
    *found = bn_stmt_row(stmt);
    if (*found) bn_run_from_row(stmt, out);
    return bn_stmt_end(stmt, err);
}

static bn_status add(bn_store *store, const bn_run_new *new_run, bn_run *run, bn_error *err)
{
    bool found = false;
    bn_status status = find_number(store, new_run, &found, run, err);
    if (status == BN_OK && !found) {
        status = insert(store, new_run, err);
        if (status == BN_OK) status = find_number(store, new_run, &found, run, err);
    }
    return status == BN_OK ? BN_OK : bn_fail_in(err, "add run '%s'", new_run->name);
}

bn_status bn_run_add(bn_store *store, const bn_run_new *new_run, bn_run *run, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    return bn_store_end(store, add(store, new_run, run, err), err);
}

bn_status bn_run_add_all(bn_store *store, const bn_run_new *runs, size_t count, bn_error *err)
{
    bn_run run;
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_status status = BN_OK;
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        status = add(store, &runs[i], &run, err);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_run_list(bn_store *store, int64_t sweep, bn_run **out, size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt =
        bn_db_stmt(store->db, sweep ? FROM_RUN
                                  "WHERE r.sweep_id = ?1 AND r.trashed_s IS NULL\nORDER BY r.number"
                                    : FROM_RUN "WHERE r.trashed_s IS NULL\nORDER BY r.id");
    if (sweep) bn_stmt_int(stmt, 1, sweep);
    bn_run *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) bn_run_from_row(stmt, row);
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_run_get(bn_store *store, int64_t run, bn_run *out, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, FROM_RUN "WHERE r.id = ?1");
    bn_stmt_int(stmt, 1, run);
    bool found = bn_stmt_row(stmt);
    if (found) bn_run_from_row(stmt, out);
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && !found) {
        return bn_fail(err, BN_ENOENT, "there is no run number %lld", (long long)run);
    }
    return status;
}

/* The rows that a text can mean, at most two: exact keys before names before prefixes of keys. */
static bn_status find_by(bn_store *store, const char *sql, const char *text, bn_run found[2],
                         int *count, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, sql);
    *count = 0;
    bn_stmt_text(stmt, 1, text);
    while (*count < 2 && bn_stmt_row(stmt)) bn_run_from_row(stmt, &found[(*count)++]);
    return bn_stmt_end(stmt, err);
}

static bn_status not_found(bn_store *store, const char *text, bn_error *err)
{
    bn_run *runs = NULL;
    bn_sweep sweep;
    size_t count = 0;
    bn_error none = {0};
    if (bn_sweep_find(store, text, &sweep, &none) == BN_OK) {
        return bn_fail(err, BN_ENOENT,
                       "'%.60s' is a sweep, not a run; 'bnexp ls --sweep %.60s' "
                       "lists its runs",
                       text, text);
    }
    if (bn_run_list(store, 0, &runs, &count, err) != BN_OK) return err->status;
    const char **names = calloc(2 * count + 1, sizeof *names);
    for (size_t i = 0; names && i < count; i++) {
        names[2 * i] = runs[i].name;
        names[2 * i + 1] = runs[i].key;
    }
    const char *near = names ? bn_nearest(text, names, 2 * count, sizeof *names) : NULL;
    (void)bn_fail(err, BN_ENOENT, "there is no run '%.60s'%s%s%s", text,
                  near ? "; did you mean '" : "; 'bnexp ls' lists them", near ? near : "",
                  near ? "'?" : "");
    free(names);
    free(runs);
    return err->status;
}

bn_status bn_run_find(bn_store *store, const char *key_or_name, bn_run *out, bn_error *err)
{
    static const char *const ways[] = {
        FROM_RUN "WHERE r.key = ?1 AND r.trashed_s IS NULL\nLIMIT 2",
        FROM_RUN "WHERE r.name = ?1 AND r.trashed_s IS NULL\nLIMIT 2",
        FROM_RUN "WHERE s.name || '/' || r.name = ?1 AND r.trashed_s IS NULL\nLIMIT 2",
        FROM_RUN "WHERE substr(r.key, 1, length(?1)) = ?1 AND length(?1) >= 3\n"
                 "  AND r.trashed_s IS NULL\nLIMIT 2",
    };
    bn_run *found = calloc(2, sizeof *found);
    if (!found) return bn_fail(err, BN_ENOMEM, "find run: out of memory");
    int count = 0;
    bn_status status = BN_OK;
    for (size_t i = 0; status == BN_OK && count == 0 && i < sizeof ways / sizeof ways[0]; i++) {
        status = find_by(store, ways[i], key_or_name, found, &count, err);
    }
    if (status == BN_OK && count == 1) *out = found[0];
    if (status == BN_OK && count == 0) status = not_found(store, key_or_name, err);
    if (status == BN_OK && count == 2) {
        status = bn_fail(err, BN_EAMBIGUOUS,
                         "'%.60s' is ambiguous: it can be run %s (%s/%s) or %s (%s/%s)",
                         key_or_name, found[0].key, found[0].sweep_name, found[0].name,
                         found[1].key, found[1].sweep_name, found[1].name);
    }
    free(found);
    return status;
}

bn_status bn_run_find_finished(bn_store *store, const char *config_hash, bool *found, bn_run *out,
                               bn_error *err)
{
    bn_stmt *stmt =
        bn_db_stmt(store->db, FROM_RUN "WHERE r.config_hash = ?1 AND r.config_hash <> ''\n"
                                       "  AND r.state = 'finished' AND r.trashed_s IS NULL\n"
                                       "ORDER BY r.id\nLIMIT 1");
    bn_stmt_text(stmt, 1, config_hash);
    *found = bn_stmt_row(stmt);
    if (*found) bn_run_from_row(stmt, out);
    return bn_stmt_end(stmt, err);
}

bn_status bn_run_config(bn_store *store, int64_t run, char **out, bn_error *err)
{
    *out = NULL;
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT json\nFROM config\nWHERE run_id = ?1");
    bn_stmt_int(stmt, 1, run);
    bool found = bn_stmt_row(stmt);
    if (found) *out = strdup(bn_stmt_get_text(stmt, 0));
    bn_status status = bn_stmt_end(stmt, err);
    if (status != BN_OK) {
        free(*out);
        *out = NULL;
        return status;
    }
    if (!found) return bn_fail(err, BN_ENOENT, "there is no run number %lld", (long long)run);
    return *out ? BN_OK : bn_fail(err, BN_ENOMEM, "configuration: out of memory");
}
