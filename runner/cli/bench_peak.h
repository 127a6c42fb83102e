/* bench_peak.h - what a device reaches at best: measured on a processor, its maker's figures of a
 * card. */
#ifndef BN_RUNNER_CLI_BENCH_PEAK_H
#define BN_RUNNER_CLI_BENCH_PEAK_H

#include "engine/bench.h"

/* Operations a second of products in a format; 0 where that is not known. */
double bn_bench_device_peak(bn_backend be, bn_dtype format);

/* Share of a card's peak that training at this many tokens a second takes; 0 where there is no card
 * or its peak is not known. */
double bn_bench_mfu(bn_backend be, const bn_bench *bench, double tokens_per_s);

#endif
