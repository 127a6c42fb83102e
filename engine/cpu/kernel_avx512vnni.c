/* AVX-512 with VNNI, and with BF16: a block of 12 x 32, 24 accumulators in registers.
 *
 * Written as one asm block a kernel: compilers spill accumulators of the same thing in intrinsics
 * (gcc 12 reached 43 % of the peak with them). A step is 2 loads of B, 12 broadcasts of A and
 * 24 products, and the two product pipes set the pace. */
#include "engine/cpu/kernel.h"

enum { MR = 12, NR = 32 };

/* Assembly reads by its columns. */
/* clang-format off */
#define ZERO1(i)      "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
#define LOAD1(i, at)  "vmovups " #at "(%[c]), %%zmm" #i "\n\t"
#define STORE1(i, at) "vmovups %%zmm" #i ", " #at "(%[c])\n\t"
#define ALL(DO) \
    DO(0, 0) DO(1, 64) DO(2, 128) DO(3, 192) DO(4, 256) DO(5, 320) \
    DO(6, 384) DO(7, 448) DO(8, 512) DO(9, 576) DO(10, 640) DO(11, 704) \
    DO(12, 768) DO(13, 832) DO(14, 896) DO(15, 960) DO(16, 1024) DO(17, 1088) \
    DO(18, 1152) DO(19, 1216) DO(20, 1280) DO(21, 1344) DO(22, 1408) DO(23, 1472)
#define ZERO(i, at) ZERO1(i)

/* Start from zero, or from what C holds when `add`. */
#define BEGIN                       \
    "test %[add], %[add]\n\t"       \
    "jnz 2f\n\t"                    \
    ALL(ZERO)                       \
    "jmp 1f\n\t"                    \
    "2:\n\t"                        \
    ALL(LOAD1)                      \
    ".p2align 5\n\t"                \
    "1:\n\t"
#define END ALL(STORE1)

#define ROW(OP, t, at, c0, c1)                       \
    "vbroadcastss " #at "(%[a]), %%zmm" #t "\n\t"    \
    OP " %%zmm" #t ", %%zmm24, %%zmm" #c0 "\n\t"     \
    OP " %%zmm" #t ", %%zmm25, %%zmm" #c1 "\n\t"
#define ROWS(OP) \
    ROW(OP, 26, 0, 0, 1) \
    ROW(OP, 27, 4, 2, 3) \
    ROW(OP, 28, 8, 4, 5) \
    ROW(OP, 26, 12, 6, 7) \
    ROW(OP, 27, 16, 8, 9) \
    ROW(OP, 28, 20, 10, 11) \
    ROW(OP, 26, 24, 12, 13) \
    ROW(OP, 27, 28, 14, 15) \
    ROW(OP, 28, 32, 16, 17) \
    ROW(OP, 26, 36, 18, 19) \
    ROW(OP, 27, 40, 20, 21) \
    ROW(OP, 28, 44, 22, 23)

#define CLOBBERS                                                                                   \
    "cc", "memory", "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8",        \
        "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", "zmm16", "zmm17", "zmm18",   \
        "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27", "zmm28",  \
        "zmm29", "zmm30", "zmm31"

#define KERNEL(name, OP)                                                            \
    static void name(long steps, const void *a, const void *b, void *c, bool add)   \
    {                                                                               \
        __asm__ volatile(BEGIN                                                      \
                         "vmovups (%[b]), %%zmm24\n\t"                              \
                         "vmovups 64(%[b]), %%zmm25\n\t"                            \
                         "prefetcht0 1024(%[b])\n\t"                                \
                         "prefetcht0 1088(%[b])\n\t"                                \
                         ROWS(OP)                                                   \
                         "add $48, %[a]\n\t"                                        \
                         "sub $-128, %[b]\n\t"                                      \
                         "dec %[steps]\n\t"                                         \
                         "jnz 1b\n\t"                                               \
                         END                                                        \
                         : [steps] "+r"(steps), [a] "+r"(a), [b] "+r"(b)            \
                         : [c] "r"(c), [add] "r"((int)add)                          \
                         : CLOBBERS);                                               \
    }
/* clang-format on */

KERNEL(run_f32, "vfmadd231ps")
KERNEL(run_bf16, "vdpbf16ps")
KERNEL(run_u8, "vpdpbusd")

/* clang-format off */
/* One of four steps that share the packed bytes in zmm29 and zmm30; zmm31 keeps the low two bits. */
#define QUARTER                                \
    "vpandd %%zmm31, %%zmm29, %%zmm24\n\t"     \
    "vpandd %%zmm31, %%zmm30, %%zmm25\n\t"     \
    "vpsrlw $2, %%zmm29, %%zmm29\n\t"          \
    "vpsrlw $2, %%zmm30, %%zmm30\n\t"          \
    ROWS("vpdpbusd")                           \
    "add $48, %[a]\n\t"

static void run_u2(long steps, const void *a, const void *b, void *c, bool add)
{
    long quads = steps / 4;
    __asm__ volatile("vpbroadcastd %[low], %%zmm31\n\t"
                     BEGIN
                     "vmovups (%[b]), %%zmm29\n\t"
                     "vmovups 64(%[b]), %%zmm30\n\t"
                     "prefetcht0 512(%[b])\n\t"
                     "prefetcht0 576(%[b])\n\t"
                     QUARTER QUARTER QUARTER QUARTER
                     "sub $-128, %[b]\n\t"
                     "dec %[quads]\n\t"
                     "jnz 1b\n\t"
                     END
                     : [quads] "+r"(quads), [a] "+r"(a), [b] "+r"(b)
                     : [c] "r"(c), [add] "r"((int)add), [low] "r"(0x03030303)
                     : CLOBBERS);
}
/* clang-format on */

const bn_kernel bn_kernels_avx512vnni[BN_PRODUCT_KINDS] = {
    [BN_PRODUCT_KIND_F32] = {run_f32, MR, NR, 1, 1},
    [BN_PRODUCT_KIND_BF16] = {run_f32, MR, NR, 1, 1},
    [BN_PRODUCT_KIND_U8] = {run_u8, MR, NR, 4, 1},
    [BN_PRODUCT_KIND_U2] = {run_u2, MR, NR, 4, 4},
};

const bn_kernel bn_kernels_avx512bf16[BN_PRODUCT_KINDS] = {
    [BN_PRODUCT_KIND_F32] = {run_f32, MR, NR, 1, 1},
    [BN_PRODUCT_KIND_BF16] = {run_bf16, MR, NR, 2, 1},
    [BN_PRODUCT_KIND_U8] = {run_u8, MR, NR, 4, 1},
    [BN_PRODUCT_KIND_U2] = {run_u2, MR, NR, 4, 4},
};
