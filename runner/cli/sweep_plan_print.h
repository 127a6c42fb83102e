/* sweep_plan_print.h - bnexp sweep --dry-run: what would run, and nothing of it. */
#ifndef BN_RUNNER_CLI_SWEEP_PLAN_PRINT_H
#define BN_RUNNER_CLI_SWEEP_PLAN_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "runner/spec.h"

typedef struct bn_plan_print {
    const char *home; /* whose finished runs tell how long it may take */
    int jobs, threads;
    bool json;
} bn_plan_print;

/* The runs of a spec, one line each, or {"schema_version":1,"sweep":...,"runs":[...],"tokens":...,
 * "estimate":{"from_runs":...,"distant":...,"time_s":...,"disk_bytes":...}}, null where nothing is
 * known. */
BN_MUST_CHECK bn_status bn_plan_print_to(FILE *out, const bn_spec *spec, const bn_plan_print *how,
                                         bn_error *err);

#endif
