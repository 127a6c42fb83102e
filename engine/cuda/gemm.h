/* gemm.h - dense matrix products on the tensor cores. Two files keep this promise: gemm_lt.cu with
 * cuBLASLt, and tests/support/cuda_gemm_host.cpp with plain loops.
 *
 *   c[m, n] = alpha * sum_k a[m, k] * b[k, n]  (+ add[m, n])      row-major and dense
 *   a  [m, k], or [k, m] with a_across        b  [k, n], or [n, k] with b_across
 *   F32, BF16, F16  a, b in that format, sums f32 (no TF32), c f32 or, for 16-bit a and b, in
 *                   their format, rounded once, after the addition
 *   I8              a, b codes, c i32 exact, no alpha, nothing added; only a [m, k] and b [n, k]
 *                   (b_across), and only shapes that bn_gemm_takes_i8
 */
#ifndef BN_ENGINE_CUDA_GEMM_H
#define BN_ENGINE_CUDA_GEMM_H

#include "engine/cuda/runtime.h"
#include "engine/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bn_gemm {
    bn_dtype dtype;
    bn_dtype out; /* of c and add: F32 or dtype; not read for I8 */
    int m, n, k;
    bool a_across, b_across;
    const void *a, *b;
    void *c;
    const float *alpha; /* memory of the device; NULL: 1 */
    const void *add;    /* may be c; NULL: zeros */
} bn_gemm;

typedef struct bn_gemm_library bn_gemm_library;

/* workspace: memory of the device that products may use, as long as the library is open. */
enum { BN_GEMM_WORKSPACE_BYTES = 64 << 20 };
const char *bn_gemm_open(bn_gemm_library **out, bn_runtime *runtime, void *workspace);
void bn_gemm_close(bn_gemm_library *library); /* NULL is fine */

/* NULL, or why the product cannot be given. The first product of a shape asks the library's
 * heuristic, later ones use its answer. */
const char *bn_gemm_run(bn_gemm_library *library, const bn_gemm *product);

/* Whether the library multiplies codes of this shape; others take an own kernel. */
bool bn_gemm_takes_i8(int m, int n, int k);

#ifdef __cplusplus
}
#endif
#endif
