/* feed.h - what a named reader has not heard yet, one run at a time. Its marks are the reader's
 * own: how far it is behind delays nobody else. */
#ifndef BN_STORE_FEED_H
#define BN_STORE_FEED_H

#include <stdbool.h>

#include "engine/base/record.h"
#include "store/run.h"

enum { BN_FEED_RECORDS = 1000 };

typedef struct bn_feed bn_feed; /* owns the memory of its batch; reused from peek to peek */

typedef struct bn_feed_batch {
    bn_run run;
    int64_t first_seq;        /* of records[0]; what the far side has so far */
    const bn_record *records; /* in order of seq, no gaps */
    size_t count;             /* 0 when only the state is news */
    bool last;                /* nothing of this run remains unheard after it */
    const char *memo;         /* what the reader said with its last ack of this run, "" at first */
} bn_feed_batch;

BN_MUST_CHECK bn_status bn_feed_open(bn_feed **out, bn_store *store, const char *reader,
                                     bn_error *err);
void bn_feed_close(bn_feed *feed); /* NULL is fine */

/* The next run with news for the reader; *found is false when it has heard everything. Without an
 * ack in between a second peek gives the same batch. Runs whose delivery is blocked are left out.
 */
BN_MUST_CHECK bn_status bn_feed_peek(bn_feed *feed, bn_feed_batch *out, bool *found, bn_error *err);

/* Who has news, by row: for readers that serve some runs sooner than others. The caller frees *out.
 */
typedef struct bn_feed_news {
    int64_t run, sweep;
    bn_run_state state;
} bn_feed_news;
BN_MUST_CHECK bn_status bn_feed_list(bn_feed *feed, bn_feed_news **out, size_t *count,
                                     bn_error *err);

/* bn_feed_peek of one run. *found is false when it is blocked or in the trash; a run without news
 * is found, with a batch of no records. */
BN_MUST_CHECK bn_status bn_feed_peek_run(bn_feed *feed, int64_t run, bn_feed_batch *out,
                                         bool *found, bn_error *err);

/* Keeps a memo before the deed that it is about, so that a crash in between finds it. Nothing
 * counts as heard by it. */
BN_MUST_CHECK bn_status bn_feed_note(bn_feed *feed, int64_t run, const char *memo, bn_error *err);

/* The reader has more to say of this run than it did: it is news again, without its records. */
BN_MUST_CHECK bn_status bn_feed_remind(bn_feed *feed, int64_t run, bn_error *err);

/* The far side has lost everything of a sweep (0: of all): all of it is news again, blocked runs
 * too. */
BN_MUST_CHECK bn_status bn_feed_forget(bn_feed *feed, int64_t sweep, bn_error *err);

/* How far the reader is, run by run; the caller frees *out. */
typedef struct bn_feed_mark {
    int64_t run, sweep;
    char key[12], name[BN_NAME_MAX];
    bn_run_state state;
    int64_t next_seq, heard_seq; /* records in the store; records the far side has */
    bool behind;                 /* there is news */
    char blocked[240];           /* why it is not told: "" it is */
} bn_feed_mark;
BN_MUST_CHECK bn_status bn_feed_marks(bn_feed *feed, bn_feed_mark **out, size_t *count,
                                      bn_error *err);

/* What the reader said last of a run, "" when nothing; the caller frees *out. */
BN_MUST_CHECK bn_status bn_feed_memo(bn_feed *feed, int64_t run, char **out, bn_error *err);

/* The far side has all of the batch. memo (may be NULL: unchanged) is kept for the next peek. */
BN_MUST_CHECK bn_status bn_feed_ack(bn_feed *feed, const bn_feed_batch *heard, const char *memo,
                                    bn_error *err);

/* The far side refused this run for good: no more of it until bn_feed_retry. why is shown to
 * people. */
BN_MUST_CHECK bn_status bn_feed_block(bn_feed *feed, int64_t run, const char *why, bn_error *err);
BN_MUST_CHECK bn_status bn_feed_retry(bn_feed *feed, int64_t sweep, bn_error *err); /* 0: all */

#endif
