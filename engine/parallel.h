/* parallel.h - one run trained by several processes, each on its share of every batch.
 *
 * All ranks hold all weights and step through the same batches; each takes its rows of a batch, and
 * their gradients are summed before the optimizer sees them. So every rank makes the same update,
 * quantizes the same weights, and holds the same bits after it. Gradients are summed in buckets
 * while the backward pass goes on: those of the last layers are on their way while the first are
 * being computed.
 *
 * What one rank learns that all must know (a wish to stop, a failure) reaches all of them at the
 * same step. A run of one rank goes through here too, and costs nothing.
 */
#ifndef BN_ENGINE_PARALLEL_H
#define BN_ENGINE_PARALLEL_H

#include <signal.h>

#include "engine/checkpoint.h"
#include "engine/ranks.h"

typedef struct bn_parallel bn_parallel;

typedef struct bn_parallel_spec {
    const bn_ranks *ranks;             /* NULL: alone; borrowed until it is closed */
    const char *dir;                   /* the run's folder, where the ranks meet */
    const volatile sig_atomic_t *stop; /* ends the wait for others; may be NULL */
    double wait_s;                     /* for the last rank; 0: five minutes */
} bn_parallel_spec;

/* Returns once all ranks are there. BN_EAGAIN: one did not come; BN_EIO, BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_parallel_open(bn_parallel **out, const bn_parallel_spec *spec,
                                         bn_error *err);

/* NULL is fine. After a failure it does not wait for the others. */
void bn_parallel_close(bn_parallel *parallel);

/* What one rank has of a run: its rows of every batch, its part of the machine's threads.
 * BN_EINVAL: the batch cannot be shared evenly. */
BN_MUST_CHECK bn_status bn_parallel_share(bn_config *share, const bn_config *config,
                                          const bn_ranks *ranks, bn_error *err);

/* Every rank reads the checkpoint and the data itself; here they find that they were the same.
 * BN_EINVAL, BN_EIO: which rank differs, and in what. */
BN_MUST_CHECK bn_status bn_parallel_agree(bn_parallel *parallel, const bn_checkpoint *start,
                                          bn_error *err);

/* Chooses how the model's gradients are summed: NCCL for "cuda"; else MPI when mpirun started us
 * and the plug-in is there, else sockets. `say` is told of what had to be done without. The model
 * must outlive the object. BN_EINVAL: the device cannot be shared so. */
BN_MUST_CHECK bn_status bn_parallel_attach(bn_parallel *parallel, bn_model *model,
                                           void (*say)(void *self, const char *line),
                                           void *say_self, bn_error *err);

int bn_parallel_rank(const bn_parallel *parallel);
int bn_parallel_world(const bn_parallel *parallel);
bool bn_parallel_first_here(const bn_parallel *parallel);       /* of the ranks on this machine */
const char *bn_parallel_transport(const bn_parallel *parallel); /* "alone", "sockets", ... */

enum { BN_PARALLEL_NUMBERS_MAX = BN_STEPS_MAX };

/* all[r * count + i] = rank r's mine[i]; waits for every rank. BN_EIO: a rank is lost, and why. */
BN_MUST_CHECK bn_status bn_parallel_gather(bn_parallel *parallel, const double *mine, int count,
                                           double *all, bn_error *err);

/* sum[i] over all ranks of mine[i], in rank order; the same on every rank. May be in place. */
BN_MUST_CHECK bn_status bn_parallel_add(bn_parallel *parallel, const double *mine, int count,
                                        double *sum, bn_error *err);

/* From here until finish the model's next backward pass is a step's last: sum as it goes. */
void bn_parallel_begin(bn_parallel *parallel);

/* The model's gradients are the sum over all ranks. */
BN_MUST_CHECK bn_status bn_parallel_finish(bn_parallel *parallel, bn_error *err);

/* Fails, naming it, when a rank's weights are not those of rank 0: broken memory or a broken wire.
 * Reads all weights. BN_ECORRUPT. */
BN_MUST_CHECK bn_status bn_parallel_compare(bn_parallel *parallel, bn_error *err);

/* This rank ends with err: the others are told, and end with it as their reason. */
void bn_parallel_fail(bn_parallel *parallel, const bn_error *err);

#endif
