#include "engine/bitlinear.h"

static bn_product low_bit_product(const bn_config *config)
{
    switch ((bn_backward)config->quant.backward) {
    case BN_BACKWARD_FP32:
        return BN_PRODUCT_F32;
    case BN_BACKWARD_BF16:
        return BN_PRODUCT_BF16;
    case BN_BACKWARD_INT8:
        return BN_PRODUCT_I8;
    }
    return BN_PRODUCT_F32;
}

bool bn_variant_is_low_bit(int variant)
{
    return variant == BN_VARIANT_TERNARY || variant == BN_VARIANT_BINARY ||
           variant == BN_VARIANT_INT8;
}

static bn_weight_format low_bit_format(const bn_config *config, bn_weight_kind kind)
{
    return (bn_weight_format){.kind = kind,
                              .median = kind == BN_WEIGHT_TERNARY &&
                                        config->quant.weight_scale == BN_WEIGHT_SCALE_MEDIAN,
                              .fp16_scale = config->quant.fp16_scale,
                              .backward = low_bit_product(config)};
}

bn_weight_format bn_bitlinear_format(const bn_config *config)
{
    switch ((bn_variant)config->quant.variant) {
    case BN_VARIANT_TERNARY:
        return low_bit_format(config, BN_WEIGHT_TERNARY);
    case BN_VARIANT_BINARY:
        return low_bit_format(config, BN_WEIGHT_BINARY);
    case BN_VARIANT_INT8:
        return low_bit_format(config, BN_WEIGHT_INT8);
    case BN_VARIANT_BF16:
        return (bn_weight_format){.kind = BN_WEIGHT_BF16, .backward = BN_PRODUCT_BF16};
    case BN_VARIANT_FP16:
        return (bn_weight_format){.kind = BN_WEIGHT_F16, .backward = BN_PRODUCT_F16};
    case BN_VARIANT_FP32:
        break;
    }
    return (bn_weight_format){.kind = BN_WEIGHT_F32, .backward = BN_PRODUCT_F32};
}

bn_dtype bn_bitlinear_dtype(const bn_config *config)
{
    switch ((bn_variant)config->quant.variant) {
    case BN_VARIANT_TERNARY:
    case BN_VARIANT_BINARY:
    case BN_VARIANT_INT8:
        if (config->quant.act_bits == BN_ACT_BITS_8) return BN_I8;
        return config->quant.backward == BN_BACKWARD_FP32 ? BN_F32 : BN_BF16;
    case BN_VARIANT_BF16:
        return BN_BF16;
    case BN_VARIANT_FP16:
        return BN_F16;
    case BN_VARIANT_FP32:
        break;
    }
    return BN_F32;
}

bn_dtype bn_head_dtype(const bn_config *config)
{
    bool exact = config->model.head == BN_HEAD_FP32 ||
                 (config->model.head == BN_HEAD_AUTO && config->quant.variant == BN_VARIANT_FP32);
    return exact ? BN_F32 : BN_BF16;
}

/* The knob's word; where it leaves it open, the variant's own if that is fp32 or fp16, else bf16.
 */
static bn_dtype float_type(int knob, int variant)
{
    switch ((bn_float_type)knob) {
    case BN_FLOAT_FP32:
        return BN_F32;
    case BN_FLOAT_BF16:
        return BN_BF16;
    case BN_FLOAT_FP16:
        return BN_F16;
    case BN_FLOAT_AUTO:
        break;
    }
    if (variant == BN_VARIANT_FP32) return BN_F32;
    return variant == BN_VARIANT_FP16 ? BN_F16 : BN_BF16;
}

bn_dtype bn_attention_dtype(const bn_config *config)
{
    return float_type(config->model.attention, config->quant.variant);
}

bn_dtype bn_activation_dtype(const bn_config *config, bool halves)
{
    int knob = config->train.activations;
    if (knob == BN_FLOAT_AUTO && !halves) return BN_F32;
    return float_type(knob, config->quant.variant);
}

bn_weight_format bn_head_format(const bn_config *config)
{
    if (bn_head_dtype(config) == BN_F32) {
        return (bn_weight_format){.kind = BN_WEIGHT_F32, .backward = BN_PRODUCT_F32};
    }
    return (bn_weight_format){.kind = BN_WEIGHT_BF16, .backward = BN_PRODUCT_BF16};
}

void bn_bitlinear_forward(bn_backend be, bn_act x, const bn_linear *layers,
                          const bn_bitlinear_outs *outs)
{
    bn_linear_out each[BN_SITE_LAYERS_MAX];
    for (int i = 0; i < outs->count; i++) {
        each[i] = (bn_linear_out){
            .weight = &layers[i].weight, .out = outs->outs[i], .residual = outs->residual};
    }
    bn_linear_forward(be, x, each, outs->count);
}

void bn_bitlinear_backward(bn_backend be, bn_act x, const bn_linear *layers,
                           const bn_bitlinear_grads *grads)
{
    bn_linear_grad each[BN_SITE_LAYERS_MAX];
    for (int i = 0; i < grads->count; i++) {
        each[i] = (bn_linear_grad){
            .weight = &layers[i].weight, .dy = grads->dys[i], .dw = layers[i].grad};
    }
    bn_linear_backward(be, grads->dx, x, each, grads->count);
}
