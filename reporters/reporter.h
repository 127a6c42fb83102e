/* reporter.h - a place outside that wants to hear what the store holds. */
#ifndef BN_REPORTERS_REPORTER_H
#define BN_REPORTERS_REPORTER_H

#include "engine/base/status.h"
#include "store/feed.h"

struct bn_reporter_ops {
    const char *name; /* also its name in the store's feed */
    /* BN_OK: the far side has all of it. BN_EAGAIN: not now, the same batch comes again; a push
     * must bear repetition. BN_EINVAL: it will never take this run; err says why. Others: stop. */
    bn_status (*push)(void *self, const bn_feed_batch *batch, bn_error *err);
    void (*close)(void *self);
};

typedef struct bn_reporter {
    const struct bn_reporter_ops *ops;
    void *self;
} bn_reporter;

#endif
