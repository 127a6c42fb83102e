/* metric.h - names of metrics and their numbers, remembered: a name is looked up in the database
 * once a process, not once a value. */
#ifndef BN_STORE_METRIC_H
#define BN_STORE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#include "store/db.h"

typedef struct bn_metric {
    int64_t id; /* metric_key.id */
    char *name; /* stays where it is until bn_metrics_release */
} bn_metric;

typedef struct bn_metrics {
    bn_metric *items; /* by slot; ids ascending */
    size_t count, room;
    size_t committed; /* the rest was added in a transaction that is not over */
    uint32_t *table;  /* slot + 1 by hash of the name, 0 empty */
    size_t table_size;
} bn_metrics;

void bn_metrics_release(bn_metrics *metrics); /* {0} is fine */

/* The slot of a name, adding it to the database if it is new; inside a write transaction.
 * BN_EINVAL: no name or too long a one. */
BN_MUST_CHECK bn_status bn_metrics_slot(bn_metrics *metrics, bn_db *db, const char *name,
                                        size_t *slot, bn_error *err);

/* The metric of an id, or NULL when the database has no such one. Inside any transaction. */
BN_MUST_CHECK bn_status bn_metrics_by_id(bn_metrics *metrics, bn_db *db, int64_t id,
                                         const bn_metric **out, bn_error *err);

/* After a commit, or after a roll-back: keeps or forgets what the transaction added. */
void bn_metrics_settle(bn_metrics *metrics, bn_status status);

#endif
