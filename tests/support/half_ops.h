/* half_ops.h - matrices in 16 bits: an op that is given the same values in 16 bits as in f32 must
 * make the same results, rounded. */
#ifndef BN_TESTS_SUPPORT_HALF_OPS_H
#define BN_TESTS_SUPPORT_HALF_OPS_H

#include "support/ops_lab.h"

enum {
    HALF_OP_NORM,
    HALF_OP_GLU,
    HALF_OP_LINEAR,
    HALF_OP_ROPE,
    HALF_OP_ATTENTION,
    HALF_OP_HEAD,
    HALF_OPS,
};

/* Asserts it of one op with matrices in BF16 or F16; `seed` draws shapes and values. */
void half_op_agrees(const char *device, int op, bn_dtype dtype, uint64_t seed);

/* Asserts that two devices make the same bits of it. */
void half_op_has_the_same_bits(const char *device, const char *other, int op, bn_dtype dtype,
                               uint64_t seed);

#endif
