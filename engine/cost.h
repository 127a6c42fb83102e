/* cost.h - what a network costs by arithmetic alone: operations, bytes to ship, estimated energy.
 */
#ifndef BN_ENGINE_COST_H
#define BN_ENGINE_COST_H

#include "engine/config.h"
#include "engine/params.h"

typedef struct bn_cost {
    double train_flops_per_token; /* 3 * forward: products of blocks and head, causal attention */
    int64_t ternary_params;       /* parameters that ship in low bits; 0 for float variants */
    double deployed_bytes; /* low-bit codes packed (ternary 2 bits, binary 1, int8 8) with a 2-byte
                              scale a matrix, the rest in 2 bytes; fp32: all in 4 */
    double fp16_bytes;     /* all in 2 bytes */
    /* Arithmetic energy of one token's forward products at 7 nm, additions and multiplications of
     * BitNet (arXiv:2310.11453, table 2): an estimate that knows no memory traffic, not a
     * measurement. Attention's own products and the token table are not in it. */
    double energy_estimate_j;
} bn_cost;

/* config: resolved, vocabulary known. */
bn_cost bn_cost_of(const bn_config *config, const bn_params *params);

#endif
