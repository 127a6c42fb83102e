/* history.h - what each run measured, record by record. */
#ifndef BN_STORE_HISTORY_H
#define BN_STORE_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/record.h"
#include "store/store.h"

/* What was read from one run's events file since its mark. */
typedef struct bn_history_batch {
    int64_t run;              /* run.id */
    const bn_record *records; /* seq ascending without gaps; those already known are ignored */
    size_t count;
    int64_t mark_bytes; /* where the next read begins [byte] */
} bn_history_batch;

/* Appends the records of any number of runs and moves their marks, together or not at all.
 * BN_ECORRUPT: a gap in seq; nothing was written. */
BN_MUST_CHECK bn_status bn_history_append(bn_store *store, const bn_history_batch *batches,
                                          size_t count, bn_error *err);

/* One metric of one run. NaN and infinities as they were measured. */
typedef struct bn_series {
    int64_t *seq, *step;
    double *wall_s, *number;
    size_t count;
} bn_series;

/* The whole series, by seq; an unknown metric is an empty one. Release with bn_series_release. */
BN_MUST_CHECK bn_status bn_history_series(bn_store *store, int64_t run, const char *key,
                                          bn_series *out, bn_error *err);
void bn_series_release(bn_series *series); /* {0} is fine */

/* The summary kept with every append: the last, least and largest finite number of each metric. */
typedef struct bn_latest {
    int64_t run;
    int64_t key_id; /* stays the key's for good */
    char key[BN_METRIC_NAME_MAX];
    double last, min, max; /* min and max NaN when no finite number was ever recorded */
    int64_t last_step, min_step, max_step;
    int64_t count; /* numbers recorded */
} bn_latest;

/* Of one run, by key; the caller frees *out. */
BN_MUST_CHECK bn_status bn_history_latest(bn_store *store, int64_t run, bn_latest **out,
                                          size_t *count, bn_error *err);

/* One metric of every run of a sweep (0: of all), by run: for tables. The caller frees *out. */
BN_MUST_CHECK bn_status bn_history_latest_of(bn_store *store, int64_t sweep, const char *key,
                                             bn_latest **out, size_t *count, bn_error *err);

/* All metrics of every run of a sweep (0: of all), by run and key. The caller frees *out. */
BN_MUST_CHECK bn_status bn_history_latest_all(bn_store *store, int64_t sweep, bn_latest **out,
                                              size_t *count, bn_error *err);

/* Every metric that was ever recorded in a sweep (0: in the home), by name; the caller frees *out.
 */
typedef struct bn_metric_use {
    int64_t id; /* stays the key's for good */
    char key[BN_METRIC_NAME_MAX];
    int64_t runs, numbers; /* that have it; that were recorded */
} bn_metric_use;
BN_MUST_CHECK bn_status bn_history_keys(bn_store *store, int64_t sweep, bn_metric_use **out,
                                        size_t *count, bn_error *err);

/* Whole records again, a stretch at a time: to export, or to follow a run as it goes. */
enum { BN_HISTORY_RECORDS = 1000 };

typedef struct bn_history_reader bn_history_reader; /* owns the memory of its last stretch */

BN_MUST_CHECK bn_status bn_history_reader_open(bn_history_reader **out, bn_store *store,
                                               bn_error *err);
void bn_history_reader_close(bn_history_reader *reader); /* NULL is fine */

/* At most BN_HISTORY_RECORDS records from first_seq on; *count 0: there are none (yet). *records
 * lives until the next read. */
BN_MUST_CHECK bn_status bn_history_read(bn_history_reader *reader, int64_t run, int64_t first_seq,
                                        const bn_record **records, size_t *count, bn_error *err);

#endif
