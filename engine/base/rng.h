/* rng.h - random numbers by place, not by order.
 *
 * A draw is a pure function of (key, index): Philox4x32-10 (Salmon et al., SC 2011). So draw 7 of a
 * stream is the same whatever was drawn before, by whichever thread, before or after a restart.
 * A key is split by a name: the weights' stream and the data's never share a number.
 */
#ifndef BN_ENGINE_BASE_RNG_H
#define BN_ENGINE_BASE_RNG_H

#include <stdint.h>

/* A stream's key from a seed or a parent key, and the name and number of the stream. */
uint64_t bn_rng_key(uint64_t parent, const char *name, uint64_t number);

/* 64 random bits: the index-th of the stream. */
uint64_t bn_rng_bits(uint64_t key, uint64_t index);

/* Uniform in [0, 1), 53 bits. */
double bn_rng_uniform(uint64_t key, uint64_t index);

/* Uniform in 0 ... count - 1, count >= 1; bias below 2^-40 for every count < 2^24. */
uint64_t bn_rng_below(uint64_t key, uint64_t index, uint64_t count);

/* Standard normal, by Box-Muller from the index-th block of the stream. */
double bn_rng_normal(uint64_t key, uint64_t index);

/* The bare cipher, for its published test vectors. */
void bn_rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif
