/* gpu_peak.h - what a card multiplies at best by its maker's own figures: the 100 % of mfu. */
#ifndef BN_ENGINE_GPU_PEAK_H
#define BN_ENGINE_GPU_PEAK_H

#include "engine/config.h"

typedef struct bn_gpu_peak {
    const char *card;        /* a word of the name that the driver tells */
    const char *with;        /* another word that must be there; NULL: none */
    double bf16, int8, fp32; /* dense tensor-core products [op/s]; fp32 without tensor cores */
    const char *source;
} bn_gpu_peak;

/* NULL: no figure is known of such a card, or it is a slice of one (MIG). */
const bn_gpu_peak *bn_gpu_peak_find(const char *card_name);

/* Operations a second when every product of a training step runs at its own format's peak: a third
 * of them forward, two thirds backward. */
double bn_gpu_peak_flops(const bn_gpu_peak *peak, const bn_config *config);

#endif
