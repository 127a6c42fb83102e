/* origin.c - what runs were made from and what was found in them, fact by fact. */
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"
#include "store/run.h"

bn_status bn_facts_write(bn_store *store, int64_t run, const bn_run_fact *facts, size_t count,
                         bn_error *err)
{
    if (count == 0) return BN_OK;
    bn_stmt *stmt = bn_db_stmt(store->db, "INSERT OR REPLACE INTO origin (run_id, name, value)\n"
                                          "VALUES (?1, ?2, ?3)");
    bn_stmt_int(stmt, 1, run);
    for (size_t i = 0; i < count; i++) {
        bn_stmt_text(stmt, 2, facts[i].name);
        bn_stmt_text(stmt, 3, facts[i].value);
        bn_stmt_again(stmt);
    }
    return bn_stmt_end(stmt, err);
}

bn_status bn_run_set_origin(bn_store *store, int64_t run, const bn_run_fact *facts, size_t count,
                            bn_error *err)
{
    if (bn_store_begin(store, err) != BN_OK) return err->status;
    return bn_store_end(store, bn_facts_write(store, run, facts, count, err), err);
}

void bn_facts_release(bn_store *store)
{
    free(store->stamp);
    free(store->stamp_text);
    store->stamp = NULL;
    store->stamp_text = NULL;
    store->stamp_count = 0;
}

bn_status bn_run_stamp(bn_store *store, const bn_run_fact *facts, size_t count, bn_error *err)
{
    size_t bytes = 0;
    bn_facts_release(store);
    for (size_t i = 0; i < count; i++) bytes += strlen(facts[i].name) + strlen(facts[i].value) + 2;
    store->stamp = calloc(count + 1, sizeof *store->stamp);
    store->stamp_text = calloc(bytes + 1, 1);
    if (!store->stamp || !store->stamp_text) {
        bn_facts_release(store);
        return bn_fail(err, BN_ENOMEM, "origin of runs: out of memory");
    }
    char *next = store->stamp_text;
    for (size_t i = 0; i < count; i++) {
        store->stamp[i].name = memcpy(next, facts[i].name, strlen(facts[i].name) + 1);
        next += strlen(next) + 1;
        store->stamp[i].value = memcpy(next, facts[i].value, strlen(facts[i].value) + 1);
        next += strlen(next) + 1;
    }
    store->stamp_count = count;
    return BN_OK;
}

bn_status bn_run_each_origin(bn_store *store, int64_t run, bn_run_fact_seen *seen, void *self,
                             bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT name, value\n"
                                          "FROM origin\n"
                                          "WHERE run_id = ?1\n"
                                          "ORDER BY name");
    bn_stmt_int(stmt, 1, run);
    while (bn_stmt_row(stmt)) {
        bn_run_fact fact = {bn_stmt_get_text(stmt, 0), bn_stmt_get_text(stmt, 1)};
        seen(self, &fact);
    }
    return bn_stmt_end(stmt, err);
}

bn_status bn_run_each_with(bn_store *store, int64_t sweep, const char *fact, bn_run_fact_seen *seen,
                           void *self, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(store->db, "SELECT run.name, origin.value\n"
                                          "FROM run JOIN origin ON origin.run_id = run.id\n"
                                          "WHERE run.sweep_id = ?1 AND origin.name = ?2\n"
                                          "AND run.trashed_s IS NULL\n"
                                          "ORDER BY run.number");
    bn_stmt_int(stmt, 1, sweep);
    bn_stmt_text(stmt, 2, fact);
    while (bn_stmt_row(stmt)) {
        bn_run_fact row = {bn_stmt_get_text(stmt, 0), bn_stmt_get_text(stmt, 1)};
        seen(self, &row);
    }
    return bn_stmt_end(stmt, err);
}
