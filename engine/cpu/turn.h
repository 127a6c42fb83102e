/* turn.h - a square of four words by four lines, turned over in registers:
 *   to[w * to_step + l] = from[l * from_step + w],  0 <= w, l < 4 */
#ifndef BN_ENGINE_CPU_TURN_H
#define BN_ENGINE_CPU_TURN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint32_t bn_quad __attribute__((vector_size(16)));

static inline void bn_turn_quad(uint32_t *to, size_t to_step, const uint32_t *from,
                                size_t from_step)
{
    bn_quad a;
    bn_quad b;
    bn_quad c;
    bn_quad d;
    memcpy(&a, from, sizeof a);
    memcpy(&b, from + from_step, sizeof b);
    memcpy(&c, from + 2 * from_step, sizeof c);
    memcpy(&d, from + 3 * from_step, sizeof d);
    bn_quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    bn_quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    bn_quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    bn_quad cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
    memcpy(to, &a, sizeof a);
    memcpy(to + to_step, &b, sizeof b);
    memcpy(to + 2 * to_step, &c, sizeof c);
    memcpy(to + 3 * to_step, &d, sizeof d);
}

#endif
