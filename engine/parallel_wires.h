/* parallel_wires.h - the wire between the ranks of a run: few bytes, but news at once.
 *
 * A star of TCP connections with rank 0 in the middle. The ranks meet by a file in the run's
 * folder, which all of them see: rank 0 writes where it listens and a secret, the others read it
 * and say the secret back. What they send is small (losses, a wish to stop); what matters is that a
 * rank that dies or fails is known to all others within a moment, with its reason.
 *
 * IPv4 only. Ranks on one machine talk over the loopback and nothing is open to others.
 */
#ifndef BN_ENGINE_PARALLEL_WIRES_H
#define BN_ENGINE_PARALLEL_WIRES_H

#include <signal.h>
#include <stddef.h>

#include "engine/ranks.h"

#define BN_WIRES_FILE "ranks" /* in the run's folder, while the ranks meet */

typedef struct bn_wires bn_wires;

typedef struct bn_wires_spec {
    const bn_ranks *ranks;             /* world >= 2; borrowed until the wires is closed */
    const char *dir;                   /* the run's folder */
    double wait_s;                     /* for the last rank to come */
    const volatile sig_atomic_t *stop; /* set: give up waiting; may be NULL */
} bn_wires_spec;

/* Returns once every rank is connected. BN_EAGAIN: a rank did not come in time (named), or stop.
 * BN_EIO. */
BN_MUST_CHECK bn_status bn_wires_open(bn_wires **out, const bn_wires_spec *spec, bn_error *err);
void bn_wires_close(bn_wires *wires); /* NULL is fine */

/* all[r] = what rank r gave; every rank gets all of it. mine [bytes], all [world * bytes].
 * BN_EIO: a rank is gone, or failed and said why. */
BN_MUST_CHECK bn_status bn_wires_gather(bn_wires *wires, const void *mine, void *all, size_t bytes,
                                        bn_error *err);

/* data[i] = sum over ranks of data[i], in rank order; the same bits everywhere. BN_EIO. */
BN_MUST_CHECK bn_status bn_wires_sum(bn_wires *wires, float *data, size_t count, bn_error *err);

/* Without waiting: is every rank that we are connected to still there? BN_EIO says who is not. */
BN_MUST_CHECK bn_status bn_wires_alive(bn_wires *wires, bn_error *err);

/* Tells the others why this rank ends, and gives them a moment to hear it. */
void bn_wires_fail(bn_wires *wires, const char *why);

#endif
