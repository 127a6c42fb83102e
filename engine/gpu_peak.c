#include "engine/gpu_peak.h"

#include <ctype.h>
#include <string.h>

#include "engine/bitlinear.h"

/* More specific rows first. Figures with sparsity are halved; products of 16 bits are those with
 * sums in f32. */
static const bn_gpu_peak PEAKS[] = {
    {"B200", NULL, 2250e12, 4500e12, 75e12, "NVIDIA HGX B200 datasheet"},
    {"H200", "NVL", 835.5e12, 1670.5e12, 60e12, "NVIDIA H200 datasheet"},
    {"H200", NULL, 989.5e12, 1979e12, 67e12, "NVIDIA H200 datasheet"},
    {"GH200", NULL, 989.5e12, 1979e12, 67e12, "NVIDIA GH200 datasheet"},
    {"H100", "PCIe", 756.5e12, 1513e12, 51e12, "NVIDIA H100 datasheet"},
    {"H100", "NVL", 835.5e12, 1670.5e12, 60e12, "NVIDIA H100 datasheet"},
    {"H100", "HBM3", 989.5e12, 1979e12, 67e12, "NVIDIA H100 datasheet"},
    {"A100", NULL, 312e12, 624e12, 19.5e12, "NVIDIA A100 datasheet"},
    {"A30", NULL, 165e12, 330e12, 10.3e12, "NVIDIA A30 datasheet"},
    {"A40", NULL, 149.7e12, 299.3e12, 37.4e12, "NVIDIA A40 datasheet"},
    {"A6000", "RTX", 154.8e12, 309.7e12, 38.7e12, "NVIDIA Ampere GA102 whitepaper"},
    {"A10", NULL, 125e12, 250e12, 31.2e12, "NVIDIA A10 datasheet"},
    {"L40S", NULL, 362.05e12, 733e12, 91.6e12, "NVIDIA L40S datasheet"},
    {"L40", NULL, 181.05e12, 362e12, 90.5e12, "NVIDIA L40 datasheet"},
    {"L4", NULL, 121e12, 242.5e12, 30.3e12, "NVIDIA L4 datasheet"},
};
enum { PEAK_COUNT = sizeof PEAKS / sizeof PEAKS[0] };

/* A whole word: "A10" is not in "A100". */
static bool has_word(const char *name, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = strstr(name, word); at; at = strstr(at + 1, word)) {
        bool begins = at == name || !isalnum((unsigned char)at[-1]);
        if (begins && !isalnum((unsigned char)at[length])) return true;
    }
    return false;
}

const bn_gpu_peak *bn_gpu_peak_find(const char *card_name)
{
    if (has_word(card_name, "MIG")) return NULL;
    for (int i = 0; i < PEAK_COUNT; i++) {
        bool with = !PEAKS[i].with || has_word(card_name, PEAKS[i].with);
        if (with && has_word(card_name, PEAKS[i].card)) return &PEAKS[i];
    }
    return NULL;
}

double bn_gpu_peak_flops(const bn_gpu_peak *peak, const bn_config *config)
{
    double forward = peak->bf16, backward = peak->bf16;
    if (config->quant.variant == BN_VARIANT_FP32) forward = backward = peak->fp32;
    if (bn_variant_is_low_bit(config->quant.variant)) {
        if (config->quant.act_bits == BN_ACT_BITS_8) forward = peak->int8;
        if (config->quant.backward == BN_BACKWARD_INT8) backward = peak->int8;
        if (config->quant.backward == BN_BACKWARD_FP32) backward = peak->fp32;
    }
    return 3 / (1 / forward + 2 / backward);
}
