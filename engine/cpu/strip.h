/* strip.h - what one part of a product makes: a strip of C's rows by a range of its columns.
 *
 * Operands lie in three caches: some words of one panel of B in the first level while the strip's
 * panels of A stream past, the strip's own panels in the second, B in the third or behind it. */
#ifndef BN_ENGINE_CPU_STRIP_H
#define BN_ENGINE_CPU_STRIP_H

#include "engine/cpu/pack.h"
#include "engine/cpu/product.h"

/* How a job is cut. */
typedef struct bn_plan {
    const bn_cpu *cpu;
    const bn_product_job *job;
    const bn_kernel *kernel;
    bn_panels a, b;           /* a's words and lines are those of no strip yet */
    int chunk_words;          /* of A that are packed at a time */
    int sum_words;            /* of one pass over a strip */
    int a_blocks, b_blocks;   /* parts along A and along B */
    int strip_panels;         /* the most that a strip has */
    bool a_kept;              /* the strip of the job before is this one's too */
    size_t line_at, tiles_at; /* where a strip's lines and unfinished sums lie in its memory */
} bn_plan;

/* Words of memory that a strip of the plan needs; sets line_at and tiles_at. */
size_t bn_strip_words(bn_plan *plan);

/* Part `block` of the a_blocks * b_blocks that make up the product; memory is 64-byte aligned. */
void bn_strip_run(const bn_plan *plan, int block, uint32_t *memory);

/* All of a product whose operands are packed, as one strip; memory is for unfinished sums. */
void bn_strip_run_packed(const bn_plan *plan, void *memory);

/* Rounded up to whole cache lines. */
size_t bn_line_words(size_t words);

/* most, unit, factor and sum of an operand's lines: BN_LINE_ARRAYS * bn_line_words(lines). */
enum { BN_LINE_ARRAYS = 4 };
void bn_line_place(bn_panels *panels, int lines, uint32_t *memory);

/* Where share `index` of `count` things begins when they are dealt out evenly. */
int bn_share_start(int count, int shares, int index);

#endif
