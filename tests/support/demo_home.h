/* demo_home.h - a home with a finished sweep whose numbers are known in closed form:
 *   sweep `name`: quant.variant in {ternary, fp16} x optim.lr in {3e-4, 1e-3, 3e-3, 1e-2} x width
 * in `widths` x seed in 0 ... seeds - 1, one run each, numbered in that order. */
#ifndef BN_TESTS_DEMO_HOME_H
#define BN_TESTS_DEMO_HOME_H

#include "store/run.h"

typedef struct demo_plan {
    const char *name;
    int widths; /* 64, 128, 256, ... */
    int seeds;
    int records; /* of each run, `metrics` more beside the known ones in each */
    int metrics;
    bool pending; /* runs are left pending, without records */
} demo_plan;

enum { DEMO_LRS = 4 };

/* The lowest val/loss of a run: its last record has it. */
double demo_loss(bool ternary, int lr, int width, int seed);

BN_MUST_CHECK bn_status demo_home_fill(bn_store *store, const demo_plan *plan, bn_error *err);

#endif
