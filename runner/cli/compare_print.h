/* compare_print.h - a comparison for people and as JSON. */
#ifndef BN_RUNNER_CLI_COMPARE_PRINT_H
#define BN_RUNNER_CLI_COMPARE_PRINT_H

#include "engine/base/text.h"
#include "reporters/comparison.h"
#include "reporters/insight.h"
#include "store/sweep.h"

typedef struct bn_compared {
    const bn_sweep *sweep;
    bn_comparison_ask ask;
    bn_comparison made;
    bn_insight insight;
} bn_compared;

/* Tables and sentences on stdout. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_compare_print(const bn_compared *at, bn_error *err);

/* One element of "sweeps". */
void bn_compare_json(bn_json *json, const bn_compared *at);

#endif
