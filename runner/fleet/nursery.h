/* nursery.h - a small process that starts runs for a large one.
 *
 * Starting a run forks, and a fork copies the page tables of whoever calls it: a manager with
 * 10,000 rows and a database's cache in memory pays for them at every start. So a manager may fork
 * once, while it is small, and let that child do the forks of its life. Nothing rests on it: what
 * runs is told by the runs' folders as ever, the shepherds outlive it, and without it the manager
 * forks itself. It ends when its manager does, however that happens.
 */
#ifndef BN_RUNNER_FLEET_NURSERY_H
#define BN_RUNNER_FLEET_NURSERY_H

#include <stdbool.h>

#include "runner/fleet/process.h"

typedef struct bn_nursery bn_nursery;

/* Call it early: what is in memory now is copied at every start. BN_EIO, BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_nursery_open(bn_nursery **out, bn_error *err);
void bn_nursery_close(bn_nursery *nursery); /* NULL is fine; runs go on */

/* As bn_process_start, and with the same failures. What is too long to be told, or cannot be told
 * because the nursery is gone, is started from here. */
BN_MUST_CHECK bn_status bn_nursery_start(bn_nursery *nursery, const bn_launch *launch,
                                         bn_identity *out, bn_error *err);

/* True: this shepherd was started here and has not been seen to end, no need to look. False: look.
 * Whenever one ends, the caller's process gets SIGCHLD. */
bool bn_nursery_holds(bn_nursery *nursery, int64_t pid);

#endif
