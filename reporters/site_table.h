/* site_table.h - everything the page's index tells of all runs, as columns: the one reading of the
 * store behind data/index.js. */
#ifndef BN_REPORTERS_SITE_TABLE_H
#define BN_REPORTERS_SITE_TABLE_H

#include "store/history.h"
#include "store/run.h"

/* A knob or parameter over all runs. Its values are JSON text, each distinct one kept once. */
typedef struct bn_site_column {
    char name[64];
    char **distinct;
    size_t distinct_count;
    int32_t *at; /* [runs] which of distinct; -1: the run has no such knob */
} bn_site_column;

/* A metric over all runs. */
typedef struct bn_site_metric {
    int64_t id; /* of its name, for good */
    char name[BN_METRIC_NAME_MAX];
    bool *measured; /* [runs] */
    double *last, *min, *max;
} bn_site_metric;

typedef struct bn_site_table {
    bn_sweep *sweeps;
    size_t sweep_count;
    bool *varied; /* [sweep * column_count + column]: the search chose it */
    bn_run *runs;
    size_t run_count;
    size_t *sweep_of; /* [runs] index into sweeps */
    size_t *sizes;    /* [sweeps] runs of each */
    bn_site_column *columns;
    size_t column_count;
    bn_site_metric *metrics;
    size_t metric_count;
} bn_site_table;

/* Release with bn_site_table_release. */
BN_MUST_CHECK bn_status bn_site_table_read(bn_store *store, bn_site_table *out, bn_error *err);
void bn_site_table_release(bn_site_table *table); /* {0} is fine */

/* A run's value of a knob as JSON text ("0.001", "\"fp16\""), NULL when it has none. */
const char *bn_site_table_knob(const bn_site_table *table, size_t run, const char *name);

/* NULL when no run measured it. */
const bn_site_metric *bn_site_table_metric(const bn_site_table *table, const char *name);

#endif
