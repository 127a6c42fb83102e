/* cpu.h - what the files of engine/cpu/ share: the backend's state, scratch memory, op names. */
#ifndef BN_ENGINE_CPU_CPU_H
#define BN_ENGINE_CPU_CPU_H

#include "engine/cpu/isa.h"
#include "engine/cpu/pool.h"
#include "engine/host.h"

/* Memory that ops reuse: grown when an op first needs more, so a training step allocates only the
 * first time. A slot's content does not outlive the op. */
typedef enum bn_cpu_slot {
    BN_CPU_SLOT_PANELS, /* packed operands of a product */
    BN_CPU_SLOT_TILES,  /* unfinished sums, one block a thread */
    BN_CPU_SLOT_LINES,  /* units, factors and sums of their lines */
    BN_CPU_SLOT_OP,     /* of the op around the product */
    BN_CPU_SLOT_ROWS,   /* row buffers, one a thread */
    BN_CPU_SLOT_ANGLES, /* of the rotary embedding: kept while bn_rope_table fits */
    BN_CPU_SLOTS,
} bn_cpu_slot;

/* What BN_CPU_SLOT_ANGLES was made for. */
typedef struct bn_rope_table {
    int dim, seq;
    float theta;
} bn_rope_table;

typedef struct bn_cpu {
    bn_host host; /* first: bn_host_* take a bn_cpu */
    bn_pool *pool;
    const bn_isa *isa;
    bn_rope_table rope;
    struct {
        void *memory;
        size_t bytes;
    } scratch[BN_CPU_SLOTS];
} bn_cpu;

/* 64-byte aligned, not zeroed; NULL sticks as BN_ENOMEM. */
void *bn_cpu_scratch(bn_cpu *cpu, bn_cpu_slot slot, size_t bytes);

/* Rounded up, so that what follows has its own lines of the cache. */
size_t bn_cpu_row_floats(size_t floats);

/* `floats` a thread in BN_CPU_SLOT_ROWS: thread t's begin at t * *stride. */
float *bn_cpu_row_scratch(bn_cpu *cpu, size_t floats, size_t *stride);

/* count / size rounded up. */
int bn_cpu_blocks(int count, int size);

size_t bn_cpu_weight_form_bytes(void *self, int rows, int cols, bn_weight_format format);
void bn_cpu_weight_prepare(void *self, const bn_weight *weight);
void bn_cpu_weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale);
void bn_cpu_embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens);
void bn_cpu_embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens);
void bn_cpu_norm_forward(void *self, const bn_norm_args *args);
void bn_cpu_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads);
void bn_cpu_glu_forward(void *self, const bn_glu_args *args);
void bn_cpu_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads);
void bn_cpu_linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count);
void bn_cpu_linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                            int count);
void bn_cpu_rope(void *self, const bn_rope_args *args);
void bn_cpu_attention_forward(void *self, const bn_attention_args *args);
void bn_cpu_attention_backward(void *self, const bn_attention_args *args,
                               const bn_attention_grads *grads);
void bn_cpu_head_loss(void *self, const bn_head_args *args);
void bn_cpu_sum(void *self, double *out, const float *x, size_t count);
void bn_cpu_sum_squares(void *self, double *out, const float *x, size_t count);
void bn_cpu_decide(void *self, bn_steps *steps, const bn_step_rule *rule);
void bn_cpu_adamw(void *self, const bn_adamw_args *args);

#endif
