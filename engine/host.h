/* host.h - what backends share whose memory is the host's and whose ops are done when they return:
 * blocks, copies, the first failure, moments. Their state begins with a bn_host, so that the
 * functions here can stand in their tables.
 */
#ifndef BN_ENGINE_HOST_H
#define BN_ENGINE_HOST_H

#include "engine/ops.h"

typedef struct bn_host {
    const char *name;         /* "cpu": stands before what sync tells */
    bn_error failure;         /* the first one since the last sync; ops do nothing meanwhile */
    double marks_s[BN_MARKS]; /* 0: never set */
} bn_host;

bool bn_host_failed(const void *self);

/* `bytes` on a line of 64, from 2 MiB on on a page of that size; not cleared. NULL sticks as
 * BN_ENOMEM. Released by free. */
void *bn_host_block(bn_host *host, size_t bytes);

/* Rows of bn_ops. */
void bn_host_free(void *self, void *memory);
void bn_host_copy(void *self, void *to, const void *from, size_t bytes); /* write and read */
bn_status bn_host_sync(void *self, bn_error *err);
bool bn_host_replay(void *self, uint64_t key); /* never: an op's call costs next to nothing */
void bn_host_replay_end(void *self);
void bn_host_mark(void *self, int mark);
double bn_host_seconds(void *self, int from, int to);

#endif
