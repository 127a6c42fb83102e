#include "engine/block.h"

static bn_norm_args norm_at(const bn_block *block, bn_site_id id, bn_mat x)
{
    const bn_site *site = &block->site[id];
    return (bn_norm_args){.site = site->norm, .x = x, .out = site->out, .stats = site->stats};
}

static bn_glu_args glu_of(const bn_shape *shape, const bn_block *block)
{
    const bn_site *site = &block->site[BN_SITE_FFN_SUB];
    return (bn_glu_args){.site = site->norm,
                         .gate = block->gate,
                         .up = block->up,
                         .out = site->out,
                         .stats = site->stats,
                         .relu2 = shape->relu2};
}

static bn_attention_args attention_of(const bn_shape *shape, const bn_block *block)
{
    return (bn_attention_args){.q = block->q,
                               .k = block->k,
                               .v = block->v,
                               .out = block->attended,
                               .lse = block->lse,
                               .batch = shape->batch,
                               .seq = shape->seq,
                               .heads = shape->heads,
                               .kv_heads = shape->kv_heads,
                               .dim = shape->dim,
                               .products = shape->attention};
}

static void rotate(bn_backend be, const bn_shape *shape, bn_mat q, bn_mat k, bool inverse)
{
    bn_rope_args args = {.x = q,
                         .heads = shape->heads,
                         .dim = shape->dim,
                         .seq = shape->seq,
                         .theta = shape->rope_theta,
                         .inverse = inverse};
    bn_rope(be, &args);
    args.x = k;
    args.heads = shape->kv_heads;
    bn_rope(be, &args);
}

static void attention_half(bn_backend be, const bn_shape *shape, const bn_block *block)
{
    bn_norm_args norm = norm_at(block, BN_SITE_ATTN, block->x);
    bn_norm_forward(be, &norm);
    const bn_mat qkv[] = {block->q, block->k, block->v};
    bn_bitlinear_forward(be, norm.out, &block->linear[BN_LINEAR_Q],
                         &(bn_bitlinear_outs){qkv, 3, NULL});
    rotate(be, shape, block->q, block->k, false);
    bn_attention_args attention = attention_of(shape, block);
    bn_attention_forward(be, &attention);
    bn_norm_args sub = norm_at(block, BN_SITE_ATTN_SUB, block->attended);
    bn_norm_forward(be, &sub);
    bn_bitlinear_forward(be, sub.out, &block->linear[BN_LINEAR_O],
                         &(bn_bitlinear_outs){&block->mid, 1, block->x.data});
}

void bn_block_forward(bn_backend be, const bn_shape *shape, const bn_block *block, bn_mat next)
{
    attention_half(be, shape, block);
    bn_norm_args norm = norm_at(block, BN_SITE_FFN, block->mid);
    bn_norm_forward(be, &norm);
    const bn_mat gate_up[] = {block->gate, block->up};
    bn_bitlinear_forward(be, norm.out, &block->linear[BN_LINEAR_GATE],
                         &(bn_bitlinear_outs){gate_up, 2, NULL});
    bn_glu_args glu = glu_of(shape, block);
    bn_glu_forward(be, &glu);
    bn_bitlinear_forward(be, glu.out, &block->linear[BN_LINEAR_DOWN],
                         &(bn_bitlinear_outs){&next, 1, block->mid.data});
}

/* Back through one norm site: dy is the gradient of its output. */
static void norm_back(bn_backend be, const bn_block *block, bn_site_id id, bn_mat x,
                      const bn_norm_grads *grads)
{
    bn_norm_args norm = norm_at(block, id, x);
    bn_norm_backward(be, &norm, grads);
}

static void ffn_half_back(bn_backend be, const bn_shape *shape, const bn_block *block,
                          const bn_scratch *scratch, bn_mat dx)
{
    const bn_site *site = block->site;
    bn_bitlinear_backward(be, site[BN_SITE_FFN_SUB].out, &block->linear[BN_LINEAR_DOWN],
                          &(bn_bitlinear_grads){&dx, 1, scratch->dhidden});
    bn_glu_args glu = glu_of(shape, block);
    bn_glu_grads dglu = {.dy = scratch->dhidden,
                         .dgate = block->gate,
                         .dup = block->up,
                         .dgain = site[BN_SITE_FFN_SUB].dgain};
    bn_glu_backward(be, &glu, &dglu);
    const bn_mat dys[] = {block->gate, block->up};
    bn_bitlinear_backward(be, site[BN_SITE_FFN].out, &block->linear[BN_LINEAR_GATE],
                          &(bn_bitlinear_grads){dys, 2, scratch->dnorm});
    norm_back(be, block, BN_SITE_FFN, block->mid,
              &(bn_norm_grads){scratch->dnorm, dx, true, site[BN_SITE_FFN].dgain});
}

static void attention_half_back(bn_backend be, const bn_shape *shape, const bn_block *block,
                                const bn_scratch *scratch, bn_mat dx)
{
    const bn_site *site = block->site;
    bn_bitlinear_backward(be, site[BN_SITE_ATTN_SUB].out, &block->linear[BN_LINEAR_O],
                          &(bn_bitlinear_grads){&dx, 1, scratch->dnorm});
    norm_back(be, block, BN_SITE_ATTN_SUB, block->attended,
              &(bn_norm_grads){.dy = scratch->dnorm,
                               .dx = scratch->dattended,
                               .dgain = site[BN_SITE_ATTN_SUB].dgain});
    bn_attention_args attention = attention_of(shape, block);
    bn_attention_grads dqkv = {scratch->dattended, scratch->dq, scratch->dk, scratch->dv};
    bn_attention_backward(be, &attention, &dqkv);
    rotate(be, shape, scratch->dq, scratch->dk, true);
    const bn_mat dys[] = {scratch->dq, scratch->dk, scratch->dv};
    bn_bitlinear_backward(be, site[BN_SITE_ATTN].out, &block->linear[BN_LINEAR_Q],
                          &(bn_bitlinear_grads){dys, 3, scratch->dnorm});
    norm_back(be, block, BN_SITE_ATTN, block->x,
              &(bn_norm_grads){scratch->dnorm, dx, true, site[BN_SITE_ATTN].dgain});
}

void bn_block_backward(bn_backend be, const bn_shape *shape, const bn_block *block,
                       const bn_scratch *scratch, bn_mat dx)
{
    ffn_half_back(be, shape, block, scratch, dx);
    attention_half_back(be, shape, block, scratch, dx);
}
