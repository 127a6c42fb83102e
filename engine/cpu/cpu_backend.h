/* cpu_backend.h - the op table for processors: threads, vector units, packed products.
 *
 * Sums are regrouped for speed, so results differ from reference/'s in the last bits; they do not
 * depend on the number of threads. bf16 products of AVX-512 take denormal operands as zero.
 */
#ifndef BN_ENGINE_CPU_CPU_BACKEND_H
#define BN_ENGINE_CPU_CPU_BACKEND_H

#include "engine/ops.h"

/*   threads  0: one for each processor that this process may use; at most 256 are made, since a
 *            machine may have more processors, and results do not depend on them
 * Environment: BNEXP_ISA forces an instruction set, BNEXP_PIN=1 pins threads to processors.
 * BN_EINVAL: a wrong thread count or BNEXP_ISA; BN_ENOMEM, BN_EIO. Closed by bn_backend_close. */
BN_MUST_CHECK bn_status bn_cpu_open(bn_backend *out, int threads, bn_error *err);

/* Of a backend that bn_cpu_open made: its threads and its instruction set's name. */
int bn_cpu_threads(bn_backend be);
const char *bn_cpu_isa_name(bn_backend be);

/* Operations a second (a multiplication and an addition are two) of the format's kernel on panels
 * that stay in the first-level cache, all threads at once: what a product can reach at best.
 * F16: as F32, in which its products are made. Takes about a tenth of a second. */
double bn_cpu_peak(bn_backend be, bn_dtype format);

#endif
