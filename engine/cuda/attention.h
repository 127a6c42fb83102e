/* attention.h - causal attention by tiles, never a T x T matrix (arXiv:2205.14135, 2307.08691), on
 * the tensor cores. What the three files of it share on the host: their operands in 16 bits, and
 * the shape of a launch. What the kernels share is attention_tile.h.
 *
 * Operands are read where they are when they are in the products' format, their rows and heads on
 * 16 bytes (heads of a multiple of 8 elements). Others are packed first into the same shape,
 *   [planes][batch * seq, heads * columns], columns = dim up to the next multiple of 8
 * with zeros behind dim. Ragged sequences and heads cost no branch in the products: what a tile has
 * beyond them is filled with zeros on its way to shared memory. T says what the planes hold:
 *   bn_bf16  one plane, the values rounded to bf16
 *   bn_f16   one plane, rounded to fp16
 *   float    two planes of bf16, high + low, 16 bits of fraction; products then take three of the
 *            four partial products and err by about 2^-16 of the operands' size
 * Sums are f32, softmax is f32.
 *
 * fp16 ends at 65504. dout and the slopes come with the loss scale in them, as in PyTorch's
 * autocast, and what is larger becomes infinity, never clamped: dq, dk or dv is then not finite,
 * the step is skipped and the scale halved (steps.h). Slopes below 2^-25 become zero; the scale is
 * there to keep them above it.
 *
 * Each element of out, dq, dk and dv has one owner, a warp, which sums over tiles in ascending
 * order: no atomics, the same bits from run to run.
 */
#ifndef BN_ENGINE_CUDA_ATTENTION_H
#define BN_ENGINE_CUDA_ATTENTION_H

#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

enum {
    BN_ATTENTION_THREADS = 128,
    BN_ATTENTION_DIM_MAX = 128,
    BN_ATTENTION_ROWS = 128, /* the most rows that a block owns */
};

/* Of one query and head. */
struct alignas(8) bn_attention_row {
    float lse;  /* log2-sum-exp2 of the scores as `factor` scales them; infinity beyond seq */
    float mean; /* dout . out */
};

/* 16-bit values [batch * seq, heads * columns], rows on 16 bytes. */
struct bn_attention_operand {
    const uint16_t *data;
    size_t plane; /* elements from the high to the low plane */
};

/* Results [batch * seq, heads * dim]. */
struct bn_attention_result {
    void *data;
    bn_dtype dtype;
    bool wide; /* rows and heads lie on 16 bytes */
};

/* All that a kernel is told. */
struct bn_attention_plan {
    bn_attention_operand q, k, v, dout; /* dout: backward only */
    bn_attention_row *rows;             /* [batch * heads][seq_padded]; backward only */
    bn_attention_result out;            /* forward only */
    bn_attention_result dq, dk, dv;     /* backward only */
    float *lse;                         /* [batch * seq, heads] */
    int batch, seq, heads, kv_heads, dim, columns;
    int seq_padded;      /* to BN_ATTENTION_ROWS */
    bn_dtype products;   /* F32, BF16, F16: T is float, bn_bf16, bn_f16 */
    float scale, factor; /* 1/sqrt(dim), and that times log2(e) */
};

/* Packs into BN_CUDA_SLOT_OP what cannot be read in place; false: what failed sticks. grads NULL:
 * forward. */
bool bn_cuda_attention_plan(bn_cuda *cuda, bn_attention_plan *out, const bn_attention_args *args,
                            const bn_attention_grads *grads);

/* Whether the card gives a block so much shared memory; false: that has stuck. */
bool bn_cuda_attention_fits(bn_cuda *cuda, const bn_attention_plan *plan, size_t shared_bytes);

/* Runs the plan's one of launches[products][width], for heads of 32, 64, 96 and 128 elements. */
static_assert(BN_F32 == 0 && BN_BF16 == 1 && BN_F16 == 2, "rows of the tables of launches");
typedef void (*bn_attention_launch)(bn_cuda *cuda, const bn_attention_plan *plan);

static inline void bn_attention_run(const bn_attention_launch *const *launches, bn_cuda *cuda,
                                    const bn_attention_plan *plan)
{
    launches[plan->products][(plan->dim - 1) / 32](cuda, plan);
}

/* A block for each head and each `own` rows of a sequence. */
static inline dim3 bn_attention_grid(const bn_attention_plan *plan, int heads, int own)
{
    return dim3(static_cast<unsigned>(plan->batch * heads),
                static_cast<unsigned>((plan->seq + own - 1) / own));
}
#endif
