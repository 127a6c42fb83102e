/* origin.h - what a run is made from, so that somebody may make it again. */
#ifndef BN_RUNNER_CLI_ORIGIN_H
#define BN_RUNNER_CLI_ORIGIN_H

#include "store/run.h"

enum { BN_ORIGIN_FACTS_MAX = 16 };

/* Facts and the memory their values lie in. */
typedef struct bn_origin {
    bn_run_fact facts[BN_ORIGIN_FACTS_MAX];
    char values[BN_ORIGIN_FACTS_MAX][512];
    size_t count;
} bn_origin;

/* Everything that is the same for all runs of a manager: git commit and whether the tree is dirty,
 * the binary's SHA-256 and version, our command line, host, kernel, processor, GPU driver. What
 * cannot be found out is left out. */
void bn_origin_gather(bn_origin *origin);

/* One more fact; NULL and "" are left out. */
void bn_origin_add(bn_origin *origin, const char *name, const char *value);

#endif
