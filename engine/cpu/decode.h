/* decode.h - weights of -1, 0, 1 in as few bits as the instruction set can read, and the products
 * of one row with them.
 *
 * A panel holds nr rows of a weight, nr as in kernel.h. A byte holds the codes + 1 of one row at
 * `digits` places: four of 2 bits each, or five as a number of base 3. Of `groups` groups of nr * 4
 * bytes, byte n * 4 + g of group q has row n's codes of the elements
 *     16q + 4i + g,  i = 0 ... 3     bits 2i, 2i + 1, or the digit of 3^i
 *     16 * groups + 4q + g           the digit of 3^4
 * so that both forms become the panel of BN_PRODUCT_KIND_U2 group by group.
 */
#ifndef BN_ENGINE_CPU_DECODE_H
#define BN_ENGINE_CPU_DECODE_H

#include <stddef.h>
#include <stdint.h>

typedef struct bn_decode {
    int digits; /* 4 or 5 */

    /* sums[n] = sum of x[k] * (code(n, k) + 1), the product of a single token: a register block of
     * many rows would do the work of all its rows for one. x has 4 * digits * groups bytes. */
    void (*dot)(long groups, const void *panel, const int8_t *x, int32_t *sums);

    /* sums[n] = sum over w < words, g < 4 of x[4w + g] * byte 4n + g of word w, bytes unsigned: the
     * panel of BN_PRODUCT_KIND_U8. NULL: the block of many rows keeps up with memory. */
    void (*dot_bytes)(long words, const void *panel, const int8_t *x, int32_t *sums);

    /* Five digits into the panel of groups + groups / 4 (rounded up) groups of 2-bit codes. */
    void (*widen)(long groups, const void *panel, void *two_bit);

    /* sums[l] = sum over i of factors[i] * panel[i * lanes + l], in this order, lanes 8, 16, 32: as
     * the f32 kernel sums, for one row. */
    void (*weigh)(float *sums, int lanes, const float *factors, const float *panel, size_t count);
} bn_decode;

/* What this machine's instructions cannot do must not be run. */
extern const bn_decode bn_decode_portable;
extern const bn_decode bn_decode_avx2;
extern const bn_decode bn_decode_avx512vnni;
extern const bn_decode bn_decode_avx512vbmi; /* and VBMI: looks digits up */

/* Shared by both with AVX-512. */
void bn_dot_bytes_avx512vnni(long words, const void *panel, const int8_t *x, int32_t *sums);

/* The same C for all, compiled once for each. */
void bn_weigh_portable(float *sums, int lanes, const float *factors, const float *panel,
                       size_t count);
void bn_weigh_avx2(float *sums, int lanes, const float *factors, const float *panel, size_t count);
void bn_weigh_avx512(float *sums, int lanes, const float *factors, const float *panel,
                     size_t count);
void bn_weigh_avx512bf16(float *sums, int lanes, const float *factors, const float *panel,
                         size_t count);

#endif
