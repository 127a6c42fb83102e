/* pack.h - a column of numbers in few bytes, every bit of it back. Pure.
 *
 * The first byte of a column says how the rest is told; the shortest way that loses nothing is
 * taken: ints   even: the first and the difference, 16 bytes; deltas: zigzag varints of the
 * differences reals  float: 4 bytes each; scaled: ints of 1000 times each; double: 8 bytes each
 * Numbers are little-endian. */
#ifndef BN_STORE_PACK_H
#define BN_STORE_PACK_H

#include <stddef.h>
#include <stdint.h>

/* Room that a packed column of so many numbers never exceeds [bytes]. */
size_t bn_pack_room(size_t count);

/* Returns the bytes written to out. */
size_t bn_pack_ints(const int64_t *numbers, size_t count, unsigned char *out);
size_t bn_pack_reals(const double *numbers, size_t count, unsigned char *out);

/* Returns the bytes read of the `size_bytes` there are; 0: it is no column of so many numbers. */
size_t bn_unpack_ints(const unsigned char *in, size_t size_bytes, int64_t *out, size_t count);
size_t bn_unpack_reals(const unsigned char *in, size_t size_bytes, double *out, size_t count);

#endif
