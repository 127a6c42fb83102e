/* drain.h - brings a reporter up to date with the store, and keeps it there.
 *
 * peek, push, ack, run by run: what the far side has is acked in the transaction that follows its
 * answer, so a crash at any moment costs one repeated push and never a lost or doubled line. A run
 * that the far side refuses is marked and left out; the others go on.
 */
#ifndef BN_REPORTERS_DRAIN_H
#define BN_REPORTERS_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "reporters/reporter.h"

/* The world around it: the command line's, or a test's. */
typedef struct bn_drain_world {
    void *self;
    double (*now_s)(void *self);              /* steady clock */
    bool (*wait)(void *self, double seconds); /* false: whoever we follow is gone, come to an end */
    void (*tell)(void *self, const char *line);
    /* Before and after each run of a sweep. BN_EAGAIN: another process is at it. NULL: there is
     * none but us. */
    bn_status (*claim)(void *self, int64_t sweep, bn_error *err);
    void (*unclaim)(void *self, int64_t sweep);
} bn_drain_world;

typedef struct bn_drain_options {
    bool watch;            /* follow live runs until wait says no, then bring all to its end */
    double patience_s;     /* so long without any success, then give up; while watching: never */
    double live_s;         /* between two pushes of a live run */
    double beat_s;         /* between two signs of life of a live run */
    double look_s;         /* between two looks for news */
    const int64_t *sweeps; /* only runs of these; */
    size_t sweep_count;    /* 0: of all */
} bn_drain_options;

/* What wandb's own client keeps to: lines every 15 s, a sign of life every 30 s. */
bn_drain_options bn_drain_defaults(void);

typedef struct bn_drain_result {
    int64_t runs;    /* that something was said of, each counted once */
    int64_t records; /* that were delivered */
    int64_t blocked; /* runs refused, now */
    char why[240];   /* the last refusal */
} bn_drain_result;

/* Until there is no news. BN_EAGAIN: patience is over, err says what was in the way; BN_EINVAL: the
 * far side takes nothing from us. What was delivered until then stays delivered. */
BN_MUST_CHECK bn_status bn_drain(bn_feed *feed, const bn_reporter *reporter,
                                 const bn_drain_options *options, const bn_drain_world *world,
                                 bn_drain_result *result, bn_error *err);

#endif
