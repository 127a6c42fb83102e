/* claim.h - one process at a time speaks of a sweep to a far side.
 *
 * Two that deliver the same run at once would each plan its console lines, and each make a page for
 * its sweep. A claim is a lock on a byte of `sync.lock` in the home, so it ends with its process,
 * however that ends; other sweeps, and the same sweep for other readers, stay free. */
#ifndef BN_REPORTERS_CLAIM_H
#define BN_REPORTERS_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_claim {
    int fd;
    int64_t base; /* the reader's first byte; that of sweep 0 */
} bn_claim;

BN_MUST_CHECK bn_status bn_claim_open(bn_claim *out, const char *home, const char *reader,
                                      bn_error *err);
void bn_claim_close(bn_claim *claim); /* gives everything back; {.fd = -1} is fine */

/* BN_EAGAIN: another process has it, err says which. sweep 0: all of them. */
BN_MUST_CHECK bn_status bn_claim_take(const bn_claim *claim, int64_t sweep, bn_error *err);
void bn_claim_drop(const bn_claim *claim, int64_t sweep);

#endif
