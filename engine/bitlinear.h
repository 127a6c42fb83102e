/* bitlinear.h - the heart: what a variant means for the linear layers of a block.
 *
 * A linear layer is a float master, its gradient and a working form that the optimizer step makes
 * again. Its input is an activation already rounded by the norm site before it. So a variant is a
 * choice of formats here, and nothing behind this file knows which one it is.
 *   ternary, binary, int8   low-bit weights; int8 activations, or float ones (act_bits none)
 *   bf16, fp16, fp32        weights and activations in that format, sums in f32
 */
#ifndef BN_ENGINE_BITLINEAR_H
#define BN_ENGINE_BITLINEAR_H

#include "engine/config.h"
#include "engine/ops.h"

typedef struct bn_linear {
    bn_weight weight;
    float *grad; /* [rows, cols] */
} bn_linear;

/* Of the blocks' linear layers. */
bn_weight_format bn_bitlinear_format(const bn_config *config);

/* Of their inputs: i8 for low-bit weights; with act_bits none what the backward pass multiplies in
 * (f32 for quant.backward fp32, else bf16); the variant's own for float variants. */
bn_dtype bn_bitlinear_dtype(const bn_config *config);

/* Of the output head and of its input. */
bn_weight_format bn_head_format(const bn_config *config);
bn_dtype bn_head_dtype(const bn_config *config);

/* What attention may round the operands of its products to. */
bn_dtype bn_attention_dtype(const bn_config *config);

/* What activations and gradients are kept in between the ops of a block, the residual stream aside;
 * halves: what the backend would rather have (bn_ops). */
bn_dtype bn_activation_dtype(const bn_config *config, bool halves);

bool bn_variant_is_low_bit(int variant); /* ternary, binary, int8: weights have codes */

/* Layers that share an input, at most BN_SITE_LAYERS_MAX: each out = residual + X W^T.
 *   outs  [count], each [R, O of its layer]    residual  NULL: none; or the out itself */
typedef struct bn_bitlinear_outs {
    const bn_mat *outs;
    int count;
    const float *residual;
} bn_bitlinear_outs;
void bn_bitlinear_forward(bn_backend be, bn_act x, const bn_linear *layers,
                          const bn_bitlinear_outs *outs);

/* Back through them: dx = sum of their dX, each dW is added to its gradient.
 *   dys  [count], each [R, O of its layer]    dx  [R, I], overwritten */
typedef struct bn_bitlinear_grads {
    const bn_mat *dys;
    int count;
    bn_mat dx;
} bn_bitlinear_grads;
void bn_bitlinear_backward(bn_backend be, bn_act x, const bn_linear *layers,
                           const bn_bitlinear_grads *grads);

#endif
