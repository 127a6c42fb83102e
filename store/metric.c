#include "store/metric.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/record.h"
#include "store/inside.h"

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *c = name; *c; c++) hash = (hash ^ (uint32_t)(unsigned char)*c) * 16777619U;
    return hash;
}

static void table_put(bn_metrics *metrics, size_t slot)
{
    size_t mask = metrics->table_size - 1;
    size_t place = hash_of(metrics->items[slot].name) & mask;
    while (metrics->table[place]) place = (place + 1) & mask;
    metrics->table[place] = (uint32_t)slot + 1;
}

static void table_fill(bn_metrics *metrics)
{
    memset(metrics->table, 0, metrics->table_size * sizeof *metrics->table);
    for (size_t i = 0; i < metrics->count; i++) table_put(metrics, i);
}

static bn_status table_grow(bn_metrics *metrics, bn_error *err)
{
    size_t size = metrics->table_size ? metrics->table_size * 2 : 256;
    uint32_t *table = realloc(metrics->table, size * sizeof *table);
    if (!table) return bn_fail(err, BN_ENOMEM, "metric names: out of memory");
    metrics->table = table;
    metrics->table_size = size;
    table_fill(metrics);
    return BN_OK;
}

static bn_status remember(bn_metrics *metrics, int64_t id, const char *name, bn_error *err)
{
    void *items = metrics->items;
    bn_status status =
        bn_array_grow(&items, metrics->count, &metrics->room, sizeof *metrics->items, err);
    metrics->items = items;
    if (status == BN_OK && (metrics->count + 1) * 2 > metrics->table_size) {
        status = table_grow(metrics, err);
    }
    if (status != BN_OK) return status;
    char *copy = strdup(name);
    if (!copy) return bn_fail(err, BN_ENOMEM, "metric names: out of memory");
    metrics->items[metrics->count] = (bn_metric){.id = id, .name = copy};
    table_put(metrics, metrics->count++);
    return BN_OK;
}

/* Names that other processes, or this one before, have added since the last look. */
static bn_status load(bn_metrics *metrics, bn_db *db, bn_error *err)
{
    int64_t known = metrics->count ? metrics->items[metrics->count - 1].id : 0;
    bn_stmt *stmt = bn_db_stmt(db, "SELECT id, name\nFROM metric_key\nWHERE id > ?1\nORDER BY id");
    bn_stmt_int(stmt, 1, known);
    bn_status status = BN_OK;
    while (status == BN_OK && bn_stmt_row(stmt)) {
        status = remember(metrics, bn_stmt_get_int(stmt, 0), bn_stmt_get_text(stmt, 1), err);
    }
    bn_status ended = bn_stmt_end(stmt, err);
    return status != BN_OK ? status : ended;
}

static bn_status insert(bn_db *db, const char *name, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(db, "INSERT INTO metric_key (name)\nVALUES (?1)");
    bn_stmt_text(stmt, 1, name);
    return bn_stmt_run(stmt, err);
}

static bool known(const bn_metrics *metrics, const char *name, size_t *slot)
{
    if (!metrics->table_size) return false;
    size_t mask = metrics->table_size - 1;
    for (size_t place = hash_of(name) & mask; metrics->table[place]; place = (place + 1) & mask) {
        *slot = metrics->table[place] - 1;
        if (strcmp(metrics->items[*slot].name, name) == 0) return true;
    }
    return false;
}

bn_status bn_metrics_slot(bn_metrics *metrics, bn_db *db, const char *name, size_t *slot,
                          bn_error *err)
{
    if (known(metrics, name, slot)) return BN_OK;
    size_t length = strlen(name);
    if (length == 0 || length >= BN_METRIC_NAME_MAX) {
        return bn_fail(err, BN_EINVAL, "a metric's name must have 1 to %d bytes, is '%.40s%s'",
                       BN_METRIC_NAME_MAX - 1, name, length > 40 ? "..." : "");
    }
    bn_status status = load(metrics, db, err);
    if (status != BN_OK || known(metrics, name, slot)) return status;
    status = insert(db, name, err);
    if (status == BN_OK) status = load(metrics, db, err);
    if (status == BN_OK && !known(metrics, name, slot)) {
        status = bn_fail(err, BN_ECORRUPT, "metric '%s' was added and is not there", name);
    }
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = ((const bn_metric *)a)->id, y = ((const bn_metric *)b)->id;
    return (x > y) - (x < y);
}

bn_status bn_metrics_by_id(bn_metrics *metrics, bn_db *db, int64_t id, const bn_metric **out,
                           bn_error *err)
{
    bn_metric wanted = {.id = id};
    bool newer = metrics->count == 0 || metrics->items[metrics->count - 1].id < id;
    if (newer && load(metrics, db, err) != BN_OK) return err->status;
    *out = metrics->count
               ? bsearch(&wanted, metrics->items, metrics->count, sizeof wanted, compare_ids)
               : NULL;
    return BN_OK;
}

void bn_metrics_settle(bn_metrics *metrics, bn_status status)
{
    if (status == BN_OK || metrics->count == metrics->committed) {
        metrics->committed = metrics->count;
        return;
    }
    while (metrics->count > metrics->committed) free(metrics->items[--metrics->count].name);
    table_fill(metrics);
}

void bn_metrics_release(bn_metrics *metrics)
{
    for (size_t i = 0; i < metrics->count; i++) free(metrics->items[i].name);
    free(metrics->items);
    free(metrics->table);
    *metrics = (bn_metrics){0};
}
