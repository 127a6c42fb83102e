/* ternary.h - codes of -1, 0, 1 as the panels of the 2-bit kernel: what the forward product reads.
 *
 * A code is stored as code + 1 in two bits, so a weight takes a quarter of a byte on its way
 * through the caches and is expanded in registers. The offset is taken back with the row's sum of
 * codes. */
#ifndef BN_ENGINE_CPU_TERNARY_H
#define BN_ENGINE_CPU_TERNARY_H

#include "engine/cpu/pack.h"

/* Whether a weight of this kind has such panels, and how many bytes they are. */
bool bn_ternary_fits(bn_weight_kind kind);
size_t bn_ternary_bytes(const bn_cpu *cpu, int rows, int cols);

/* Fills memory, 64-byte aligned, from codes [rows, cols]. */
void bn_ternary_pack(bn_cpu *cpu, const bn_operand *codes, int cols, void *memory);

/* The panels at memory, as a product takes them. */
bn_panels bn_ternary_panels(const bn_cpu *cpu, int rows, int cols, void *memory);

#endif
