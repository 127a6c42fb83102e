/* bench.h - how fast this machine trains and multiplies: whole steps of a model on random tokens,
 * and one product of a linear layer beside the device's own peak. */
#ifndef BN_ENGINE_BENCH_H
#define BN_ENGINE_BENCH_H

#include "engine/optimizer.h"
#include "engine/profile.h"

/* A model that can be stepped again and again. */
typedef struct bn_bench {
    bn_profile profile; /* where the time of `counted` steps went */
    int64_t counted;
    bn_config config;
    bn_model *model;
    bn_optimizer *optimizer;
    int32_t *tokens; /* [rows + 1] on the host */
} bn_bench;

/* config: resolved, its vocabulary known. BN_ENOMEM; what the model refuses. */
BN_MUST_CHECK bn_status bn_bench_open(bn_bench *bench, bn_backend be, const bn_config *config,
                                      bn_error *err);
void bn_bench_close(bn_bench *bench);

/* Steps before the first that counts: memory is touched, scratch grows; on a device that replays
 * work, it is run, recorded and replayed once. */
int bn_bench_warm_steps(const bn_bench *bench);

/* Runs one optimizer step as training does; its seconds by the device's clock go to *step_s. Where
 * nothing is replayed its ops are counted too. */
BN_MUST_CHECK bn_status bn_bench_step(bn_bench *bench, double *step_s, bn_error *err);

/* Forgets the ops that were counted. */
void bn_bench_forget(bn_bench *bench);

/* Counts the ops of so many steps where bn_bench_step has not: they are given one by one, so such a
 * step takes longer. */
BN_MUST_CHECK bn_status bn_bench_count(bn_bench *bench, int steps, bn_error *err);

int64_t bn_bench_tokens_a_step(const bn_bench *bench);

/* Operations a second that the device's product units reach on operands that lie in their first
 * cache, all threads together; 0 where that is not known. I8: codes of 8 bits. */
double bn_bench_peak(bn_backend be, bn_dtype format);

/* A linear layer's three products at one shape. */
typedef struct bn_bench_product {
    int rows, ins, outs;
    bn_dtype act;
    bn_weight_format format;
} bn_bench_product;

/* The fastest of `repeats` runs [s] of the forward product, of dX and dW together. A run is one
 * product, or the mean of several where one alone would be hidden by the way to the device. */
typedef struct bn_bench_times {
    double forward_s, backward_s;
} bn_bench_times;
BN_MUST_CHECK bn_status bn_bench_linear(bn_bench_times *out, bn_backend be,
                                        const bn_bench_product *product, int repeats,
                                        bn_error *err);

#endif
