#include "engine/corpus/order.h"

#include <assert.h>

#include "engine/base/rng.h"

enum {
    ROUNDS = 6
}; /* four make a strong permutation (Luby & Rackoff); two more for tiny domains */

static uint64_t feistel(uint64_t key, unsigned half_bits, uint64_t value)
{
    uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t left = value >> half_bits;
    uint64_t right = value & mask;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t mixed = left ^ (bn_rng_bits(key, round << 32 | right) & mask);
        left = right;
        right = mixed;
    }
    return left << half_bits | right;
}

uint64_t bn_order_at(uint64_t key, uint64_t count, uint64_t index)
{
    assert(index < count && count <= UINT64_C(1) << 62);
    unsigned half_bits = 1;
    while (UINT64_C(1) << (2 * half_bits) < count) half_bits++;
    uint64_t value = index;
    do {
        value = feistel(key, half_bits, value);
    } while (value >= count); /* fewer than four turns on average */
    return value;
}
