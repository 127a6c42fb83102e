/* comparison_rows.c - the rows of the sweeps that are compared, as if they were one sweep's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/comparison_making.h"

/* The sweep at a place among those that are compared. */
static int64_t sweep_at(const bn_comparison_ask *ask, size_t place)
{
    return place == 0 ? ask->sweep : ask->more[place - 1];
}

/* Appends `count` items to an array; takes the items, whatever comes of it. */
static bn_status append(void *place, size_t *have, void *items, size_t count, size_t size_bytes,
                        bn_error *err)
{
    void *array = NULL;
    memcpy(&array, place, sizeof array);
    void *more = realloc(array, (*have + count + 1) * size_bytes);
    if (more) {
        if (count) memcpy((char *)more + *have * size_bytes, items, count * size_bytes);
        memcpy(place, &more, sizeof more);
        *have += count;
    }
    free(items);
    return more ? BN_OK : bn_fail(err, BN_ENOMEM, "comparison: out of memory");
}

static int by_run_and_name(const void *a, const void *b)
{
    const bn_run_param *x = a, *y = b;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    return strcmp(x->param.name, y->param.name);
}

bn_status bn_comparison_runs(bn_store *store, const bn_comparison_ask *ask, bn_run **out,
                             size_t *count, bn_error *err)
{
    bn_status status = BN_OK;
    *out = NULL;
    *count = 0;
    for (size_t i = 0; status == BN_OK && i <= ask->more_count; i++) {
        bn_run *runs = NULL;
        size_t found = 0;
        status = bn_run_list(store, sweep_at(ask, i), &runs, &found, err);
        if (status == BN_OK) status = append(out, count, runs, found, sizeof **out, err);
    }
    return status;
}

bn_status bn_comparison_knob(bn_store *store, const bn_comparison_ask *ask, const char *name,
                             bn_run_param **out, size_t *count, bn_error *err)
{
    bn_status status = BN_OK;
    *out = NULL;
    *count = 0;
    for (size_t i = 0; status == BN_OK && i <= ask->more_count; i++) {
        bn_run_param *rows = NULL;
        size_t found = 0;
        status = bn_run_knob(store, sweep_at(ask, i), name, &rows, &found, err);
        if (status == BN_OK) status = append(out, count, rows, found, sizeof **out, err);
    }
    if (*count) qsort(*out, *count, sizeof **out, by_run_and_name);
    return status;
}

/* What any of the sweeps varied, a row a name. */
static bn_status varied_names(bn_store *store, const bn_comparison_ask *ask, bn_run_param **names,
                              size_t *count, bn_error *err)
{
    bn_status status = BN_OK;
    for (size_t i = 0; status == BN_OK && i <= ask->more_count; i++) {
        bn_run_param *rows = NULL;
        size_t found = 0, kept = 0;
        status = bn_run_varied(store, sweep_at(ask, i), &rows, &found, err);
        for (size_t r = 0; status == BN_OK && r < found; r++) {
            bool known = false;
            for (size_t k = 0; k < kept && !known; k++) {
                known = strcmp(rows[k].param.name, rows[r].param.name) == 0;
            }
            for (size_t k = 0; k < *count && !known; k++) {
                known = strcmp((*names)[k].param.name, rows[r].param.name) == 0;
            }
            if (!known) rows[kept++] = rows[r];
        }
        if (status == BN_OK) status = append(names, count, rows, kept, sizeof **names, err);
    }
    return status;
}

bn_status bn_comparison_varied(bn_store *store, const bn_comparison_ask *ask, bn_run_param **out,
                               size_t *count, bn_error *err)
{
    bn_run_param *names = NULL;
    size_t name_count = 0;
    *out = NULL;
    *count = 0;
    if (ask->more_count == 0) return bn_run_varied(store, ask->sweep, out, count, err);
    bn_status status = varied_names(store, ask, &names, &name_count, err);
    for (size_t i = 0; status == BN_OK && i < name_count; i++) {
        bn_run_param *rows = NULL;
        size_t found = 0;
        status = bn_comparison_knob(store, ask, names[i].param.name, &rows, &found, err);
        if (status == BN_OK) status = append(out, count, rows, found, sizeof **out, err);
    }
    if (*count) qsort(*out, *count, sizeof **out, by_run_and_name);
    free(names);
    return status;
}
