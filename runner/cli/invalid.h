/* invalid.h - what runs wrote into their events files in vain, said where a sweep ends: a curve
 * with holes in it is no puzzle then. */
#ifndef BN_RUNNER_CLI_INVALID_H
#define BN_RUNNER_CLI_INVALID_H

#include <stdint.h>
#include <stdio.h>

#include "store/store.h"

/* A line for each of a sweep's first few runs that have such lines, and how many more do; nothing
 * when there are none, or the store cannot be read. */
void bn_invalid_print(bn_store *store, int64_t sweep, FILE *stream);

#endif
