/* ranks.h - which of several processes this one is, when one run is trained by many.
 *
 * A launcher tells each process its number in the environment: mpirun (OMPI_*), srun (SLURM_*) and
 * bnexp itself (BNEXP_*). One rank alone is a run as ever.
 */
#ifndef BN_ENGINE_RANKS_H
#define BN_ENGINE_RANKS_H

#include <stdbool.h>

#include "engine/base/status.h"

enum { BN_RANKS_MAX = 1024, BN_RANKS_TOKEN_MAX = 65 };

typedef struct bn_ranks {
    int rank, world;                /* 0 ... world - 1; {0, 1}: alone */
    int local_rank, local_world;    /* among those on this machine */
    bool mpi;                       /* started by mpirun: MPI can be initialised */
    char token[BN_RANKS_TOKEN_MAX]; /* the same for all ranks of one start, and for no other's */
} bn_ranks;

/* One process, alone. */
bn_ranks bn_ranks_alone(void);

/* Reads the environment through `look` (getenv's shape; NULL: not set). Nothing set: alone.
 * BN_EINVAL names the variable that is missing or wrong. */
BN_MUST_CHECK bn_status bn_ranks_read(bn_ranks *out, const char *(*look)(const char *name),
                                      bn_error *err);

#endif
