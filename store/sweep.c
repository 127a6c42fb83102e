#include "store/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/nearest.h"
#include "store/inside.h"

static const char *const STATES[] = {"running", "paused", "stopped", "canceled", "finished"};
enum { STATE_COUNT = sizeof STATES / sizeof STATES[0] };

#define COLUMNS                                                                                    \
    "SELECT id, name, hash, method, metric, maximize, seed, state, created_s, planned\n"           \
    "FROM sweep\n"

const char *bn_sweep_state_name(bn_sweep_state state)
{
    return STATES[state];
}

static bn_sweep_state state_of(const char *word)
{
    int state = 0; /* the schema lets no other word in */
    while (state + 1 < STATE_COUNT && strcmp(STATES[state], word) != 0) state++;
    return (bn_sweep_state)state;
}

static void from_row(bn_stmt *stmt, bn_sweep *out)
{
    *out = (bn_sweep){.id = bn_stmt_get_int(stmt, 0)};
    bn_stmt_copy_text(stmt, 1, out->name, sizeof out->name);
    bn_stmt_copy_text(stmt, 2, out->hash, sizeof out->hash);
    bn_stmt_copy_text(stmt, 3, out->method, sizeof out->method);
    bn_stmt_copy_text(stmt, 4, out->metric, sizeof out->metric);
    out->maximize = bn_stmt_get_int(stmt, 5) != 0;
    out->seed = bn_stmt_get_int(stmt, 6);
    out->state = state_of(bn_stmt_get_text(stmt, 7));
    out->created_s = bn_stmt_get_real(stmt, 8);
    out->planned = bn_stmt_get_int(stmt, 9);
}

static bn_status find(bn_store *store, const char *name, bool *found, bn_sweep *out, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, COLUMNS "WHERE name = ?1 AND trashed_s IS NULL");
    bn_stmt_text(stmt, 1, name);
    *found = bn_stmt_row(stmt);
    if (*found) from_row(stmt, out);
    return bn_stmt_end(stmt, err);
}

static bn_status insert(bn_store *store, bn_sweep *sweep, const char *spec, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(
        store->db,
        "INSERT INTO sweep\n"
        "    (name, hash, spec, method, metric, maximize, seed, state, planned, created_s)\n"
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    sweep->created_s = bn_clock_wall_s();
    bn_stmt_text(stmt, 1, sweep->name);
    bn_stmt_text(stmt, 2, sweep->hash);
    bn_stmt_text(stmt, 3, spec);
    bn_stmt_text(stmt, 4, sweep->method);
    bn_stmt_text(stmt, 5, sweep->metric);
    bn_stmt_int(stmt, 6, sweep->maximize);
    bn_stmt_int(stmt, 7, sweep->seed);
    bn_stmt_text(stmt, 8, STATES[sweep->state]);
    bn_stmt_int(stmt, 9, sweep->planned);
    bn_stmt_real(stmt, 10, sweep->created_s);
    bn_status status = bn_stmt_run(stmt, err);
    if (status == BN_OK) sweep->id = bn_db_inserted(store->db);
    return status;
}

/* What may differ without making it another sweep, [baseline] say, is what the file says now. */
static bn_status keep_spec(bn_store *store, int64_t sweep, const char *spec, bn_error *err)
{
    bn_stmt *stmt =
        bn_db_stmt(store->db, "UPDATE sweep\nSET spec = ?2\nWHERE id = ?1 AND spec <> ?2");
    bn_stmt_int(stmt, 1, sweep);
    bn_stmt_text(stmt, 2, spec);
    return bn_stmt_run(stmt, err);
}

bn_status bn_sweep_add(bn_store *store, bn_sweep *sweep, const char *spec, bool *found,
                       bn_error *err)
{
    bn_sweep known = {0};
    *found = false;
    if (sweep->name[0] == '\0') return bn_fail(err, BN_EINVAL, "a sweep must have a name");
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_status status = find(store, sweep->name, found, &known, err);
    if (status == BN_OK && *found && strcmp(known.hash, sweep->hash) != 0) {
        status = bn_fail(err, BN_EINVAL,
                         "the home has a sweep '%s' already, and it asks something else; give this "
                         "one another name",
                         sweep->name);
        *found = false;
    } else if (status == BN_OK && *found) {
        *sweep = known;
        status = keep_spec(store, known.id, spec, err);
    } else if (status == BN_OK) {
        status = insert(store, sweep, spec, err);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_sweep_list(bn_store *store, bn_sweep **out, size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(store->db, COLUMNS "WHERE trashed_s IS NULL\nORDER BY id");
    bn_sweep *row = NULL;
    while (bn_stmt_row(stmt) && (row = bn_rows_add(&rows, err)) != NULL) from_row(stmt, row);
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

static bn_status not_found(bn_store *store, const char *name, bn_error *err)
{
    bn_sweep *sweeps = NULL;
    size_t count = 0;
    if (bn_sweep_list(store, &sweeps, &count, err) != BN_OK) return err->status;
    const char **names = calloc(count + 1, sizeof *names);
    for (size_t i = 0; names && i < count; i++) names[i] = sweeps[i].name;
    const char *near = names ? bn_nearest(name, names, count, sizeof *names) : NULL;
    (void)bn_fail(err, BN_ENOENT, "there is no sweep '%.60s'%s%s%s", name,
                  near ? "; did you mean '" : "; 'bnexp ls sweeps' lists them", near ? near : "",
                  near ? "'?" : "");
    free(names);
    free(sweeps);
    return err->status;
}

bn_status bn_sweep_find(bn_store *store, const char *name, bn_sweep *out, bn_error *err)
{
    bool found = false;
    bn_status status = find(store, name, &found, out, err);
    return status == BN_OK && !found ? not_found(store, name, err) : status;
}

bn_status bn_sweep_get(bn_store *store, int64_t sweep, bn_sweep *out, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, COLUMNS "WHERE id = ?1");
    bn_stmt_int(stmt, 1, sweep);
    bool found = bn_stmt_row(stmt);
    if (found) from_row(stmt, out);
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && !found) {
        return bn_fail(err, BN_ENOENT, "there is no sweep number %lld", (long long)sweep);
    }
    return status;
}

bn_status bn_sweep_set_state(bn_store *store, int64_t sweep, bn_sweep_state state, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(store->db, "UPDATE sweep\nSET state = ?2\nWHERE id = ?1");
    bn_stmt_int(stmt, 1, sweep);
    bn_stmt_text(stmt, 2, STATES[state]);
    bn_status status = bn_stmt_run(stmt, err);
    if (status == BN_OK && bn_db_changed(store->db) == 0) {
        status = bn_fail(err, BN_ENOENT, "there is no sweep number %lld", (long long)sweep);
    }
    return bn_store_end(store, status, err);
}

bn_status bn_sweep_set_planned(bn_store *store, int64_t sweep, int64_t planned, bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(store->db, "UPDATE sweep\nSET planned = ?2\nWHERE id = ?1");
    bn_stmt_int(stmt, 1, sweep);
    bn_stmt_int(stmt, 2, planned);
    return bn_store_end(store, bn_stmt_run(stmt, err), err);
}

bn_status bn_sweep_spec(bn_store *store, int64_t sweep, char **out, bn_error *err)
{
    *out = NULL;
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT spec\nFROM sweep\nWHERE id = ?1");
    bn_stmt_int(stmt, 1, sweep);
    bool found = bn_stmt_row(stmt);
    if (found) *out = strdup(bn_stmt_get_text(stmt, 0));
    bn_status status = bn_stmt_end(stmt, err);
    if (status != BN_OK) {
        free(*out);
        *out = NULL;
        return status;
    }
    if (!found) return bn_fail(err, BN_ENOENT, "there is no sweep number %lld", (long long)sweep);
    return *out ? BN_OK : bn_fail(err, BN_ENOMEM, "sweep file: out of memory");
}
