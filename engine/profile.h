/* profile.h - a backend around a backend that counts the seconds of every op.
 *
 * For backends whose ops return when they are done (reference, cpu): a device that works behind the
 * caller's back is counted where it is waited for.
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

typedef struct bn_profile {
    bn_backend inner; /* borrowed */
    double seconds[BN_PROFILE_OPS];
} bn_profile;

/* The name of a row: "linear_forward". */
const char *bn_profile_name(bn_profile_op op);

/* The backend that counts into *profile; closing it does not close the inner one. */
bn_backend bn_profile_around(bn_profile *profile, bn_backend inner);

#endif
