/* parallel_transport.h - the one place that chooses how gradients are summed over ranks. */
#ifndef BN_ENGINE_PARALLEL_TRANSPORT_H
#define BN_ENGINE_PARALLEL_TRANSPORT_H

#include <stdbool.h>

#include "engine/parallel_wires.h"
#include "engine/transport.h"

typedef struct bn_transport_choice {
    const char *backend;                       /* whose memory is summed: "cpu", "cuda", ... */
    bool mpi;                                  /* mpirun started this process */
    bn_wires *wires;                           /* what sockets use */
    void (*say)(void *self, const char *line); /* NULL: nobody listens */
    void *say_self;
} bn_transport_choice;

/* Called by all ranks, which must come to the same choice: BN_EINVAL where they do not. */
BN_MUST_CHECK bn_status bn_transport_choose(bn_transport *out, const bn_transport_args *args,
                                            const bn_transport_choice *choice, bn_error *err);

#endif
