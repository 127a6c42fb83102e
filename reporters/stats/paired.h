/* paired.h - the mean of paired differences, and how sure one may be of it.
 *
 * The interval follows from how much there is (specs of the field: Efron 1987 for BCa; Agarwal et
 * al., NeurIPS 2021, for resampling seeds inside configurations):
 *   n < 5        the differences speak for themselves: no interval
 *   5 <= n < 10  Student's t
 *   n >= 10      bias-corrected and accelerated bootstrap, 10,000 resamples; from 1,000 pairs on
 *                fewer, 1,000 at least
 * and the p-value is that of the sign-flip test: exact up to 16 pairs, 100,000 draws beyond. Every
 * draw is a function of the seed, so the same differences always give the same numbers. */
#ifndef BN_REPORTERS_STATS_PAIRED_H
#define BN_REPORTERS_STATS_PAIRED_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef enum bn_interval { BN_INTERVAL_NONE, BN_INTERVAL_STUDENT, BN_INTERVAL_BCA } bn_interval;

typedef struct bn_pair_difference {
    double value; /* one side minus the other */
    int group;    /* configuration the pair belongs to: 0, 1, 2 ...; seeds are nested in it */
} bn_pair_difference;

typedef struct bn_paired {
    size_t count;
    double mean;
    bn_interval interval;
    double low, high;          /* 95 %; NaN without an interval */
    double p;                  /* two-sided, of no difference at all; NaN for fewer than 5 pairs */
    size_t above, ties, below; /* pairs above, at and below zero */
} bn_paired;

/* Differences that are not finite must be left out before. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_paired_compare(const bn_pair_difference *differences, size_t count,
                                          uint64_t seed, bn_paired *out, bn_error *err);

enum { BN_HOLM_MAX = 256 };

/* Holm's step-down correction of `count` (at most BN_HOLM_MAX) p-values for their number (NaN stays
 * NaN and is not counted); in place. */
void bn_holm(double *p, size_t count);

#endif
