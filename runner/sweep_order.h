/* sweep_order.h - which run of a sweep starts next, where nothing is learnt from those before.
 *
 * All first replicates come before all second ones, and in a grid twins, points that agree in
 * everything but the side, stand together: a sweep that is stopped halfway has both sides of what
 * it has. Numbers, names and folders of runs do not depend on it.
 */
#ifndef BN_RUNNER_SWEEP_ORDER_H
#define BN_RUNNER_SWEEP_ORDER_H

#include "runner/sweep_lessons.h"

/* order[room->count]: the numbers of the runs, first to start first. The sides are told by what
 * [baseline] where speaks of, else by quant.variant. */
BN_MUST_CHECK bn_status bn_sweep_order(const bn_classroom *room, size_t *order, bn_error *err);

#endif
