/* parallel_meet.h - how the ranks of a run find each other: by a file in the run's folder. */
#ifndef BN_ENGINE_PARALLEL_MEET_H
#define BN_ENGINE_PARALLEL_MEET_H

#include "engine/parallel_wires.h"

typedef struct bn_peer {
    int fd;        /* -1: none */
    char name[96]; /* "rank 3 (host, process 4711)" */
} bn_peer;

/* Connects rank 0 to all others. peers: rank 0's [world], the first left alone; others' [1].
 * Errors as bn_wires_open; descriptors that were opened before it are in peers. */
BN_MUST_CHECK bn_status bn_meet(bn_peer *peers, const bn_wires_spec *spec, bn_error *err);

#endif
