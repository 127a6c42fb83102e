/* isa.h - which set of kernels this machine runs. */
#ifndef BN_ENGINE_CPU_ISA_H
#define BN_ENGINE_CPU_ISA_H

#include <stddef.h>

#include "engine/base/status.h"
#include "engine/cpu/kernel.h"

typedef struct bn_isa {
    const char *name;         /* "avx512vnni", "avx2", "portable" */
    const bn_kernel *kernels; /* by bn_product_kind */
} bn_isa;

/* The best set this machine has, or the one that `forced` names (BNEXP_ISA; NULL or "": no wish).
 * BN_EINVAL: no such set, or the machine lacks its instructions; err says which it has. */
BN_MUST_CHECK bn_status bn_isa_choose(bn_isa *out, const char *forced, bn_error *err);

/* The sets that this machine can run, best first, from a file per architecture (isa_x86.c,
 * isa_other.c). out has room for BN_ISA_MAX; returns how many. */
enum { BN_ISA_MAX = 4 };
size_t bn_isa_available(bn_isa out[BN_ISA_MAX]);

#endif
