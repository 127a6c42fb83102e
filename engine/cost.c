#include "engine/cost.h"

#include "engine/bitlinear.h"

/* pJ of one operation at 7 nm. */
static const double ADD_FP32 = 0.38, MUL_FP32 = 1.31;
static const double ADD_FP16 = 0.16, MUL_FP16 = 0.34;
static const double ADD_INT8 = 0.007, MUL_INT8 = 0.07;

/* Bits of one weight of a block, shipped. */
static double weight_bits(int variant)
{
    switch ((bn_variant)variant) {
    case BN_VARIANT_TERNARY:
        return 2;
    case BN_VARIANT_BINARY:
        return 1;
    case BN_VARIANT_INT8:
        return 8;
    case BN_VARIANT_BF16:
    case BN_VARIANT_FP16:
        return 16;
    case BN_VARIANT_FP32:
        break;
    }
    return 32;
}

/* pJ of [1, n] times [n, p] in the variant: m = 1 in the formulas of the paper. */
static double product_pj(const bn_config *config, double n, double p)
{
    double sums = (n - 1) * p, products = n * p, scalings = n + p;
    bool float_acts = config->quant.act_bits == BN_ACT_BITS_NONE;
    switch ((bn_variant)config->quant.variant) {
    case BN_VARIANT_TERNARY:
    case BN_VARIANT_BINARY:
        if (float_acts) return sums * ADD_FP16 + p * MUL_FP16;
        return sums * ADD_INT8 + scalings * MUL_FP16;
    case BN_VARIANT_INT8:
        if (float_acts) break;
        return sums * ADD_INT8 + products * MUL_INT8 + scalings * MUL_FP16;
    case BN_VARIANT_FP32:
        return sums * ADD_FP32 + products * MUL_FP32;
    case BN_VARIANT_BF16:
    case BN_VARIANT_FP16:
        break;
    }
    return sums * ADD_FP16 + products * MUL_FP16;
}

static double head_pj(const bn_config *config)
{
    double n = (double)config->model.width, p = (double)config->model.vocab;
    if (bn_head_dtype(config) == BN_F32) return (n - 1) * p * ADD_FP32 + n * p * MUL_FP32;
    return (n - 1) * p * ADD_FP16 + n * p * MUL_FP16;
}

bn_cost bn_cost_of(const bn_config *config, const bn_params *params)
{
    double width = (double)config->model.width, seq = (double)config->model.context;
    double head = width * (double)config->model.vocab;
    double attention = 2 * width * (seq + 1) * (double)config->model.layers;
    bool low = bn_variant_is_low_bit(config->quant.variant);
    double bits = weight_bits(config->quant.variant);
    double rest_bytes = config->quant.variant == BN_VARIANT_FP32 ? 4 : 2;
    bn_cost cost = {.train_flops_per_token = 3 * (2 * ((double)params->linear + head) + attention),
                    .ternary_params = low ? params->linear : 0,
                    .fp16_bytes = 2 * (double)params->total,
                    .deployed_bytes = rest_bytes * (double)params->outside};
    double energy_pj = head_pj(config);
    for (size_t i = 0; i < params->count; i++) {
        const bn_tensor *tensor = &params->tensors[i];
        if (tensor->role != BN_ROLE_LINEAR) continue;
        cost.deployed_bytes += (double)tensor->count * bits / 8 + (low ? 2 : 0);
        energy_pj += product_pj(config, (double)tensor->cols, (double)tensor->rows);
    }
    cost.energy_estimate_j = energy_pj * 1e-12;
    return cost;
}
