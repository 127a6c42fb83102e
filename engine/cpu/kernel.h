/* kernel.h - the innermost product: one register block of C, from packed panels of A and B.
 *
 *   C[mr][nr] (=, +=) sum over s < steps of A[s][mr] x B[s][nr]
 *
 * A panel holds mr rows, step after step: [steps][mr][group] elements, 4 bytes a row and step.
 * B panel holds nr columns: [steps][nr][group]. `group` is how much of the reduced dimension a step
 * takes: 1 float, 2 bf16, 4 int8. Rows, columns and the reduced dimension are padded with zeros, so
 * a kernel knows no edges. A set of kernels is chosen once (isa.h); pack.h fills panels.
 */
#ifndef BN_ENGINE_CPU_KERNEL_H
#define BN_ENGINE_CPU_KERNEL_H

#include <stdbool.h>

typedef enum bn_product_kind {
    BN_PRODUCT_KIND_F32,  /* A, B float; C float */
    BN_PRODUCT_KIND_BF16, /* A, B bf16; C float. group 1: panels hold floats already rounded to
                             bf16, for machines without bf16 products */
    BN_PRODUCT_KIND_U8,   /* A int8, B uint8; C int32, exact */
    BN_PRODUCT_KIND_U2,   /* A int8, B 2-bit codes 0..2, four steps in a byte; C int32, exact.
                             steps is a multiple of 4. Byte j of a group of four steps holds the code
                             of step 4g + i in bits 2i, 2i + 1, where j counts as in one u8 step. */
    BN_PRODUCT_KINDS,
} bn_product_kind;

typedef struct bn_kernel {
    void (*run)(long steps, const void *a, const void *b, void *c, bool add);
    int mr, nr;        /* of every kernel of a set alike */
    int group;         /* elements of the reduced dimension in a step: 1, 2 or 4 */
    int step_multiple; /* steps must be a multiple of this: 4 for U2, else 1 */
} bn_kernel;

enum { BN_KERNEL_MR_MAX = 12, BN_KERNEL_NR_MAX = 32 };

/* The sets, by bn_product_kind. A set whose instructions this machine lacks must not be run. */
extern const bn_kernel bn_kernels_portable[BN_PRODUCT_KINDS];
extern const bn_kernel bn_kernels_avx2[BN_PRODUCT_KINDS];       /* AVX2 and FMA */
extern const bn_kernel bn_kernels_avx512vnni[BN_PRODUCT_KINDS]; /* AVX-512 F BW VL DQ VNNI */
extern const bn_kernel bn_kernels_avx512bf16[BN_PRODUCT_KINDS]; /* and BF16 */

#endif
