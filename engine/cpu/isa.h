/* isa.h - which instruction set runs: the best that the processor has, or what BNEXP_ISA names. */
#ifndef BN_ENGINE_CPU_ISA_H
#define BN_ENGINE_CPU_ISA_H

#include "engine/base/status.h"
#include "engine/cpu/attend.h"
#include "engine/cpu/decode.h"
#include "engine/cpu/rows.h"

typedef struct bn_isa {
    const char *name;         /* as BNEXP_ISA takes it */
    const bn_kernel *kernels; /* by bn_product_kind; all of one register block */
    const bn_rows *rows;
    const bn_decode *decode; /* for weights in 2 bits or less, and products of one row */
    const bn_attend *attend; /* f32, and what may be rounded to bf16 */
} bn_isa;

/* The table's rows, slowest first; *count of them. */
const bn_isa *bn_isa_table(int *count);

/* Whether this processor can run the table's index-th row. */
bool bn_isa_usable(int index);

/*   name  a row's name, or NULL or "" for the best usable one
 * BN_EINVAL: no such name (the usable ones are told), or this processor lacks it. */
BN_MUST_CHECK bn_status bn_isa_choose(const bn_isa **out, const char *name, bn_error *err);

#endif
