/* profile.h - a backend around a backend that counts the seconds of every op, by the device's own
 * clock (bn_backend_mark). Where ops return before they are done, an op begins when the one before
 * it ends or when the device hears of it, whichever is later.
 */
#ifndef BN_ENGINE_PROFILE_H
#define BN_ENGINE_PROFILE_H

#include "engine/ops.h"

typedef enum bn_profile_op {
    BN_PROFILE_EMBED,
    BN_PROFILE_NORM,
    BN_PROFILE_GLU,
    BN_PROFILE_LINEAR_FORWARD,
    BN_PROFILE_LINEAR_BACKWARD,
    BN_PROFILE_ROPE,
    BN_PROFILE_ATTENTION_FORWARD,
    BN_PROFILE_ATTENTION_BACKWARD,
    BN_PROFILE_HEAD,
    BN_PROFILE_OPTIMIZER, /* sum of squares, AdamW, working forms */
    BN_PROFILE_MEMORY,    /* write, read, zero */
    BN_PROFILE_OPS,
} bn_profile_op;

enum { BN_PROFILE_MARK = 16, BN_PROFILE_PENDING = (BN_MARKS - BN_PROFILE_MARK) / 2 };

/* Uses the inner backend's marks from BN_PROFILE_MARK on. */
typedef struct bn_profile {
    bn_backend inner;               /* borrowed */
    struct bn_ops ops;              /* this backend's table, of the inner one's liking */
    bool paused;                    /* counts nothing: repeated work is replayed */
    double seconds[BN_PROFILE_OPS]; /* up to the last sync */
    bn_profile_op pending[BN_PROFILE_PENDING];
    int count;
} bn_profile;

/* The name of a row: "linear_forward". */
const char *bn_profile_name(bn_profile_op op);

/* The backend that counts into *profile, from zero on; closing it does not close the inner one. */
bn_backend bn_profile_around(bn_profile *profile, bn_backend inner);

#endif
