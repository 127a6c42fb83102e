/* page_lab.h - sweeps and runs for the page's tests, made up and written through the store as a
 * manager would. Whatever fails ends the program: there is nothing to test then. */
#ifndef BN_TESTS_PAGE_LAB_H
#define BN_TESTS_PAGE_LAB_H

#include "store/run.h"

enum { RECORDS = 300, BATCH = 500 };

/* One run to be made up. */
typedef struct run_plan {
    const char *sweep, *variant, *name;
    int number, width, records;
    double rate;
    int seed;
    bool width_varies;
} run_plan;

void page_check(bn_status status, const bn_error *err);

bn_sweep page_sweep_add(bn_store *store, const char *name, int64_t planned, const char *spec);
bn_run page_run_add(bn_store *store, int64_t sweep, const run_plan *plan);

/* Records from..records - 1 of the plan. */
void page_records_append(bn_store *store, int64_t id, const run_plan *run, int from, int records);

void page_run_begin(bn_store *store, int64_t id, double now_s);
void page_run_end(bn_store *store, int64_t id, bn_run_state state, const char *reason,
                  double now_s);

/* What a run's folder would hold. */
void page_folder_fill(const char *home, const bn_run *run);

/* A run from its beginning to its end. */
void page_run_make(bn_store *store, const char *home, int64_t sweep, const run_plan *plan);

#endif
