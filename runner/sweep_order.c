#include "runner/sweep_order.h"

#include <stdlib.h>
#include <string.h>

#include "runner/search/expr.h"

static const char SIDE[] = "quant.variant";

/* A run among those to be ordered. */
typedef struct place {
    size_t number, replicate;
    uint64_t twins; /* hash of what its point shares with its twins */
    size_t first;   /* least number of a run among them, of any replicate */
} place;

static uint64_t add_text(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211); /* FNV-1a, the NUL too */
    } while (*text++);
    return hash;
}

static int by_twins(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->twins != y->twins) return x->twins < y->twins ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static int by_start(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->replicate != y->replicate) return x->replicate < y->replicate ? -1 : 1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static bool tells_sides(const bn_expr *where, const char *name)
{
    if (!where) return strcmp(name, SIDE) == 0;
    for (size_t i = 0; i < bn_expr_name_count(where); i++) {
        if (strcmp(bn_expr_name(where, i), name) == 0) return true;
    }
    return false;
}

/* Hashes what was varied of each run, but for the side. Rows and runs both rise by id. */
static bn_status hash_points(const bn_classroom *room, place *places, bn_error *err)
{
    bn_run_param *rows = NULL;
    bn_expr *where = NULL;
    size_t count = 0, number = 0;
    const char *formula = room->spec->baseline.where;
    bn_status status = bn_run_varied(room->store, room->sweep, &rows, &count, err);
    if (status == BN_OK && *formula) status = bn_expr_compile(&where, formula, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        const bn_param *param = &rows[i].param;
        while (number < room->count && room->runs[number].id < rows[i].run) number++;
        if (number == room->count) break;
        if (room->runs[number].id != rows[i].run || tells_sides(where, param->name)) continue;
        uint64_t *hash = &places[number].twins;
        *hash = add_text(add_text(*hash, param->name), param->value);
    }
    bn_expr_free(where);
    free(rows);
    return status;
}

/* Twins stand where the first of them would. */
static bn_status join_twins(const bn_classroom *room, place *places, bn_error *err)
{
    if (hash_points(room, places, err) != BN_OK) return err->status;
    qsort(places, room->count, sizeof *places, by_twins);
    for (size_t i = 1; i < room->count; i++) {
        if (places[i].twins == places[i - 1].twins) places[i].first = places[i - 1].first;
    }
    return BN_OK;
}

bn_status bn_sweep_order(const bn_classroom *room, size_t *order, bn_error *err)
{
    const bn_spec *spec = room->spec;
    size_t replicates = (size_t)spec->replicates;
    bool grid = strcmp(spec->method, "grid") == 0 && strcmp(spec->order, "grid") == 0;
    place *places = calloc(room->count + 1, sizeof *places);
    if (!places) return bn_fail(err, BN_ENOMEM, "no memory to order %zu runs", room->count);
    for (size_t i = 0; i < room->count; i++) {
        size_t first = i - i % replicates;
        places[i] = (place){.number = i, .replicate = i % replicates, .first = first};
    }
    bn_status status = grid ? join_twins(room, places, err) : BN_OK;
    qsort(places, room->count, sizeof *places, by_start);
    for (size_t i = 0; i < room->count; i++) order[i] = places[i].number;
    free(places);
    return status;
}
