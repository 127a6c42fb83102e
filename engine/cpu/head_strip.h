/* head_strip.h - the output head on a few rows of x, by one thread from end to end: logits, losses,
 * gradients of the logits and of x. What it makes in between stays near the thread, and nobody
 * waits for anybody.
 *
 * Logits are made a block of columns at a time, and the sum of a row's exponentials is known when
 * the last block is there. Their gradients are then written as panels twice: some blocks at a time
 * for the product with the head, and all of them for the one with x.
 */
#ifndef BN_ENGINE_CPU_HEAD_STRIP_H
#define BN_ENGINE_CPU_HEAD_STRIP_H

#include "engine/cpu/pack.h"
#include "engine/cpu/product.h"

/* What strips share. */
typedef struct bn_head_plan {
    bn_cpu *cpu;
    const bn_head_args *args;
    bn_dtype format;     /* of the products */
    bn_panels along;     /* the head for x W^T */
    bn_panels across;    /* the head for dlogits W; with gradients only, like what follows */
    bn_panels gradients; /* dlogits of rows chunk_start ... for dlogits^T x */
    int chunk_start;
    int strip_rows; /* the most that a strip may have */
    char *memory;   /* thread t's begins at t * stride */
    size_t stride;  /* [byte] */
} bn_head_plan;

/* Whether gradients are asked for. */
bool bn_head_learns(const bn_head_plan *plan);

/* Elements of the head's rows, or of x's: lines along or across memory. */
bn_operand bn_head_rows_of(const bn_head_plan *plan, bool across);
bn_operand bn_head_x_of(const bn_head_plan *plan, int start, int rows, bool across);

/* Of bn_head_plan.memory, for one thread [byte]; a multiple of 64. */
size_t bn_head_strip_bytes(const bn_head_plan *plan);

/* loss, and with gradients dx and plan->gradients, of rows start ... start + rows - 1. start is a
 * multiple of the kernels' rows behind chunk_start. */
void bn_head_strip_run(const bn_head_plan *plan, int start, int rows, int thread);

#endif
