/* meter.h - what a run costs while it goes, and the list of values that becomes a record. */
#ifndef BN_ENGINE_METER_H
#define BN_ENGINE_METER_H

#include <stdbool.h>

#include "engine/base/record.h"
#include "engine/cost.h"
#include "engine/diagnostics.h"
#include "engine/gpu_meter.h"
#include "engine/machine.h"

/* Values of one record; keys that are made up live in `names`. */
typedef struct bn_values {
    bn_value rows[BN_RECORD_VALUES_MAX];
    size_t count;
    char names[BN_RECORD_VALUES_MAX][BN_METRIC_NAME_MAX];
} bn_values;

/* Appends; a value beyond the last is dropped. The key is copied. */
void bn_values_add(bn_values *values, const char *key, double number);

typedef struct bn_meter {
    bn_cost cost;
    bn_model_bytes bytes;
    double host_bytes; /* the engine's own memory on the host: batches, losses, codes */
    double peak_flops; /* 0: not measured */
    double tokens_per_step;
    double busy_s; /* in training steps since the last record; validation and files are not */
    int64_t steps; /* of them */
    double cpu_s, wall_s; /* this process's and the clock's, as of the last record; 0: none yet */
    bn_rapl rapl;
    bn_gpu_meter gpu; /* {0}: no card */
} bn_meter;

/* Counts steps that took so long together. */
void bn_meter_steps(bn_meter *meter, int64_t steps, double took_s);

/* Joules since the last call of what has a counter, processors and card, whoever used them; NaN:
 * nothing has one. */
double bn_meter_joules(bn_meter *meter);

/* tokens_per_s, step_ms, mfu and cpu/percent (of all cores) since the last call, and memory as it
 * is now. */
void bn_meter_report(bn_meter *meter, bn_values *values);

/* What is known of the network whatever it learned: parameters, bytes, estimated energy. */
void bn_meter_facts(const bn_meter *meter, const bn_params *params, bn_values *values);

/* quant/zero_frac, quant/balance, quant/flip_rate; with histogram quant/hist_00 ... */
void bn_quant_report(const bn_quant_stats *stats, bool histogram, bn_values *values);

#endif
