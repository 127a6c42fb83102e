/* decode.h - one row times a panel of 2-bit codes: the product of a single token.
 *
 *   sums[n] = sum over q < quads, i < 4, g < 4 of x[16q + 4i + g] * code(q, n, i, g)
 *
 * code is bits 2i, 2i + 1 of byte q * nr * 4 + n * 4 + g: the panel of BN_PRODUCT_KIND_U2
 * (kernel.h), with the nr of the same instruction set. x is padded with zeros to 16 * quads bytes.
 * A register block of many rows would do the work of all its rows for one.
 */
#ifndef BN_ENGINE_CPU_DECODE_H
#define BN_ENGINE_CPU_DECODE_H

#include <stdint.h>

typedef void bn_decode(long quads, const void *panel, const int8_t *x, int32_t *sums);

enum { BN_DECODE_QUAD = 16 }; /* elements of x */

bn_decode bn_decode_portable;
bn_decode bn_decode_avx2;
bn_decode bn_decode_avx512vnni;

#endif
