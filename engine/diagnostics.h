/* diagnostics.h - what happens to low-bit weights while they train. */
#ifndef BN_ENGINE_DIAGNOSTICS_H
#define BN_ENGINE_DIAGNOSTICS_H

#include "engine/model.h"

enum { BN_HIST_BINS = 16 };
#define BN_HIST_WIDTH 0.25 /* of a bin, in units of the weight scale; the last takes all above */

/* The codes of all linear layers, in the table's order, as they were when last looked at. */
typedef struct bn_codes {
    int8_t *last, *now; /* [count] */
    size_t count;
} bn_codes;

typedef struct bn_quant_stats {
    double zero_frac;          /* share of codes that are 0 */
    double balance;            /* (positive - negative) / (positive + negative) codes */
    double flip_rate;          /* share of codes that changed since the last look */
    double hist[BN_HIST_BINS]; /* share of latent weights by |W| / scale */
} bn_quant_stats;

/* Takes memory and a first look. The caller releases. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_codes_init(bn_codes *codes, const bn_model *model, bn_error *err);
void bn_codes_release(bn_codes *codes); /* {0} is fine */

/* Looks again. Waits for the device and reads every linear weight: not for every step. */
void bn_codes_look(bn_codes *codes, const bn_model *model, bn_quant_stats *stats);

#endif
