/* stepper.h - what token.c, which takes one token through the steps, and batch.c, which takes many,
 * share. */
#ifndef BN_ENGINE_CPU_STEPPER_H
#define BN_ENGINE_CPU_STEPPER_H

#include "engine/cpu/cpu.h"
#include "engine/cpu/cpu_infer.h"
#include "engine/cpu/crew.h"
#include "engine/cpu/pack.h"

enum { BN_DENSE_ROWS_A_PART = 16 };

/* What one member of the crew works with. */
typedef struct bn_seat {
    int prepared; /* the step whose input it holds, or -1 */
    float stats[BN_NORM_STATS];
    float scale; /* of codes */
    int32_t sum;
    float *row;       /* [cols] the input as floats */
    uint16_t *halves; /* [cols] */
    int8_t *codes;    /* [cols], zeros behind them up to whole groups */
    uint32_t *left;   /* A panel of which row 0 alone is used */
    float *widened;   /* [cols] a row of a weight */
    float *scores;    /* [context] in whole panels */
} bn_seat;

struct bn_stepper {
    bn_backend be;
    bn_cpu *cpu;
    const bn_step *steps;
    int count;
    bn_crew *crew;
    bn_seat *seats;
    char *memory;        /* of the seats */
    float *stats;        /* [rows, BN_NORM_STATS] */
    int start, running;  /* position of the first token; how many of the steps it takes */
    bn_crew_member last; /* where the first member ended */
};

/* How a PACKED or BYTES weight lies in memory. */
typedef struct bn_layout {
    int lanes; /* rows a panel */
    int panels;
    int groups;   /* of a panel (decode.h); BYTES: words */
    int words;    /* 32-bit words of input that a panel is multiplied with */
    size_t bytes; /* a panel */
} bn_layout;
bn_layout bn_layout_of(const bn_cpu *cpu, const bn_matrix *matrix);

/* BYTES as a product takes it. */
bn_panels bn_byte_panels(const bn_cpu *cpu, const bn_matrix *matrix);

/* Row r of a DENSE weight as floats: where it lies, or widened into `to`. */
const float *bn_dense_row(const bn_rows *rows, const bn_weight *weight, int r, float *to);

void bn_token_run(bn_stepper *stepper);
void bn_batch_run(bn_stepper *stepper, int rows);

/* Panels of one kv head: keys [blocks][dim][lanes], values [dim in panels][context][lanes]. */
typedef struct bn_cache_head {
    float *keys, *values;
    int lanes, dim_panels;
} bn_cache_head;
bn_cache_head bn_cache_head_of(const bn_cpu *cpu, const bn_cache *cache, int head);

/* Row r of the step's k, rotated, and of its v, into the cache as position start + r. */
void bn_cache_append(const bn_cpu *cpu, const bn_attend_step *step, int head, int start, int r);

/* One head of row r of q, rotated to position start + r in place. */
float *bn_query_rotate(const bn_cpu *cpu, const bn_attend_step *step, int head, int start, int r);

#endif
