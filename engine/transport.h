/* transport.h - how gradients are summed over the ranks of a run: sockets, MPI or NCCL.
 *
 * A transport adds up one span of backend memory over all ranks and leaves the same bits on every
 * rank. All ranks give the same spans in the same order. The order of addition is fixed, so a run
 * repeated with as many ranks says the same losses; sockets and MPI add in rank order.
 */
#ifndef BN_ENGINE_TRANSPORT_H
#define BN_ENGINE_TRANSPORT_H

#include <stddef.h>

#include "engine/base/status.h"

enum { BN_TRANSPORT_ABI = 1 }; /* of a plug-in and the program that loads it */

struct bn_transport_ops {
    const char *name; /* "sockets", "mpi", "nccl" */
    /* Begins data[i] = sum over ranks of data[i]; may return before it is done, and data must not
     * be touched until `finish`. Work given to the backend before the call is done first. What
     * fails sticks until `finish` tells of it. */
    void (*sum)(void *self, float *data, size_t count);
    /* All sums that were begun are done, for whatever work the backend is given next. */
    bn_status (*finish)(void *self, bn_error *err);
    /* broken: a rank is lost, so nothing may wait for the others. */
    void (*close)(void *self, int broken);
};

typedef struct bn_transport {
    const struct bn_transport_ops *ops;
    void *self;
} bn_transport;

/* What a transport may ask about the other ranks. */
typedef struct bn_peers {
    int rank, world;
    void *self;
    /* Fails, with the reason, once a rank is known to be lost; asks no more than that. */
    bn_status (*alive)(void *self, bn_error *err);
    /* all[r] = rank r's `mine`; all [world * bytes]. Waits for every rank. */
    bn_status (*gather)(void *self, const void *mine, void *all, size_t bytes, bn_error *err);
} bn_peers;

typedef struct bn_transport_args {
    int abi; /* BN_TRANSPORT_ABI of the caller; a plug-in refuses any other */
    bn_peers peers;
    size_t floats; /* of all spans between two calls of finish, at most */
    void *backend; /* `self` of the backend whose memory is summed */
} bn_transport_args;

/* What a plug-in offers: MPI's as bn_mpi_transport, CUDA's in its table. */
typedef bn_status bn_transport_open(bn_transport *out, const bn_transport_args *args,
                                    bn_error *err);

#endif
