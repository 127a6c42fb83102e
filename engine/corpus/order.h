/* order.h - a shuffled order without a list: place `index` of a permutation, from a key alone.
 *
 * A balanced Feistel network over the next even power of two, cycle-walked into 0 ... count - 1
 * (Black & Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). So an epoch of any length needs
 * no memory, and a run that resumes needs only its index.
 */
#ifndef BN_ENGINE_CORPUS_ORDER_H
#define BN_ENGINE_CORPUS_ORDER_H

#include <stdint.h>

/* Where item `index` of the order is: a bijection of 0 ... count - 1 for every key.
 * 0 <= index < count, count <= 2^62. */
uint64_t bn_order_at(uint64_t key, uint64_t count, uint64_t index);

#endif
