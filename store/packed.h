/* packed.h - stretches of a run's history as one row each, so that a curve is read in the time
 * of its bytes rather than of its rows.
 *
 * The table `packed` is a copy of what `record` and `value` say and never more than that: it is
 * written in the transaction that fills a stretch, triggers drop what other programs change, and
 * every reader takes the rows where a stretch is missing or does not unpack. */
#ifndef BN_STORE_PACKED_H
#define BN_STORE_PACKED_H

#include "store/inside.h"

enum {
    BN_STRETCH = 8192,      /* records of a full stretch; the schema says it too */
    BN_STRETCH_LEAST = 128, /* numbers of a metric in a stretch that are worth packing */
};

/* Inside the caller's transaction: packs the stretches of a run that are full with next_seq
 * records and not packed yet, at most 16 of them; when the run has ended, the begun one too. */
BN_MUST_CHECK bn_status bn_packed_seal(bn_store *store, int64_t run, int64_t next_seq, bool ended,
                                       bn_error *err);

/* The same for a run whose attempt has ended. */
BN_MUST_CHECK bn_status bn_packed_end(bn_store *store, int64_t run, bn_error *err);

/* One stretch as it is read. */
typedef struct bn_stretch {
    int64_t first_seq, last_seq;
    size_t count;
    int64_t seq[BN_STRETCH];
    int64_t step[BN_STRETCH];  /* of the key 0 */
    double number[BN_STRETCH]; /* of a metric; wall_s of the key 0 */
} bn_stretch;

/* The stretches of one key (0: of the records) that may hold a seq from first to last, in order:
 * the statement is stepped with bn_packed_next until that says false, and ended by the caller. */
typedef struct bn_packed_ask {
    int64_t run, key, first, last;
} bn_packed_ask;
bn_stmt *bn_packed_open(bn_store *store, const bn_packed_ask *ask);

/* The next stretch that unpacks; those that do not are passed over. */
bool bn_packed_next(bn_stmt *stmt, int64_t key, bn_stretch *out);

#endif
