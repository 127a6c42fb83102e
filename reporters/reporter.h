/* reporter.h - a place outside that wants to hear what the store holds. */
#ifndef BN_REPORTERS_REPORTER_H
#define BN_REPORTERS_REPORTER_H

#include "engine/base/status.h"
#include "engine/base/text.h"
#include "store/feed.h"

struct bn_reporter_ops {
    const char *name; /* also its name in the store's feed */
    /* Once before the first push. BN_EAGAIN: not now. BN_EINVAL: nobody there will take anything
     * from us; err says why and what to do. */
    bn_status (*greet)(void *self, bn_error *err);
    /* BN_OK: the far side has all of it, and memo (empty at first) holds what is to be kept for the
     * next push of this run. A batch without records is a sign of life. BN_EAGAIN: not now, the
     * same batch comes again; a push must bear repetition. BN_EINVAL: it will never take this run;
     * err says why. With either of them a memo says that the records have arrived all the same, and
     * only what belongs beside them has not: other runs go on. Others: stop. */
    bn_status (*push)(void *self, const bn_feed_batch *batch, bn_text *memo, bn_error *err);
    /* After BN_EAGAIN: seconds until it makes sense to try again. */
    double (*pause_s)(void *self);
    void (*close)(void *self);
};

typedef struct bn_reporter {
    const struct bn_reporter_ops *ops;
    void *self;
} bn_reporter;

#endif
