/* ingest.h - from runs' events files into the store: from the mark to the last newline.
 *
 * A look reads what is new of one run; a commit writes what all looks found, and the marks, in one
 * transaction. Killed before the commit nothing happened; killed after it everything did. Lines
 * that say nothing are passed over and counted, and a record already known changes nothing.
 */
#ifndef BN_RUNNER_FLEET_INGEST_H
#define BN_RUNNER_FLEET_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/file.h"
#include "store/history.h"

enum {
    BN_INGEST_LINE_MAX =
        1 << 20, /* bytes of a line, its newline included; longer ones are passed over */
    BN_INGEST_LOOK_MAX = 2 << 20, /* bytes taken from one run in one look */
};

/* One run's file, and what its lines have told. Set run, path, mark_bytes, next_seq; zero the rest.
 */
typedef struct bn_source {
    int64_t run; /* run.id */
    char path[BN_PATH_MAX];
    int64_t mark_bytes, next_seq; /* as the store has them */

    bool begun, ended; /* in lines seen by this process */
    char how[24], reason[160], host[64], device[128];
    int64_t last_step;                    /* of the last record; -1: none seen */
    int64_t bad_lines;                    /* passed over */
    char bad_first[96];                   /* why the first of them was */
    int64_t bad_first_at, bad_first_line; /* its offset [byte] and number; 0: it is about no line */
    bool more;                            /* the last look left complete lines unread */
    bool refused; /* the store takes nothing of this run any more; bad_first says why */

    int64_t ahead_bytes, ahead_seq; /* where the looks since the last commit have come to */
    int64_t place;                  /* of the next line without a seq */
    bool looked, skipping;
} bn_source;

typedef struct bn_ingest bn_ingest;

BN_MUST_CHECK bn_status bn_ingest_open(bn_ingest **out, bn_error *err);
void bn_ingest_close(bn_ingest *ingest); /* NULL is fine */

/* Reads what is new in one run's file; a missing file is an empty one. Sources that were looked at
 * must stay where they are until the commit.
 *   now_s  the time given to records that have none [s since 1970]
 * BN_EIO, BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_ingest_look(bn_ingest *ingest, bn_source *source, double now_s,
                                       bn_error *err);

/* Writes what the looks found and moves the marks. On failure the store is as it was and the next
 * looks begin again at the old marks. A run that alone is refused (its row is gone, say) is marked
 * so and does not hold up the others. *records, when not NULL: how many were new. */
BN_MUST_CHECK bn_status bn_ingest_commit(bn_ingest *ingest, bn_store *store, int64_t *records,
                                         bn_error *err);

/* Reads the last complete line again: did the run say how it ended, before we were started? */
void bn_ingest_recall(bn_ingest *ingest, bn_source *source);

#endif
