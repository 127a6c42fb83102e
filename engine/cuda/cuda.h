/* cuda.h - what the files of engine/cuda/ share: the backend's state, scratch memory, op names.
 * C++ for nvcc and, with an emulator's words in front, for the host.
 */
#ifndef BN_ENGINE_CUDA_CUDA_H
#define BN_ENGINE_CUDA_CUDA_H

#include "engine/cuda/gemm.h"
#include "engine/cuda/runtime.h"
#include "engine/ops.h"

/* Memory that ops reuse: grown when an op first needs more, so a training step allocates only the
 * first time. A slot's content does not outlive the op, but for ANGLES. */
enum bn_cuda_slot {
    BN_CUDA_SLOT_LEFT,   /* a product's operands in its own format */
    BN_CUDA_SLOT_RIGHT,  /* likewise */
    BN_CUDA_SLOT_TURNED, /* the left operand of a layer's other product, made in the same pass */
    BN_CUDA_SLOT_SUMS,   /* a product's result before its epilogue */
    BN_CUDA_SLOT_LINES,  /* units of their lines */
    BN_CUDA_SLOT_PARTS,  /* of reductions that take two kernels */
    BN_CUDA_SLOT_OP,     /* of attention and head */
    BN_CUDA_SLOT_ANGLES, /* of the rotary embedding: kept while rope fits */
    BN_CUDA_SLOTS,
};

/* What BN_CUDA_SLOT_ANGLES was made for. */
struct bn_cuda_angles {
    int dim, seq;
    float theta;
};

enum { BN_CUDA_REPLAYS = 256 };

/* Work that is given again and again; see bn_backend_replay in ops.h. */
struct bn_cuda_replay {
    uint64_t key;
    unsigned generation; /* of the scratch memory that the graph's work uses */
    int seen;            /* times that this key was asked for */
    void *graph;
};

struct bn_cuda {
    bn_error failure; /* the first one since the last sync; while it is there, ops do nothing */
    bn_runtime runtime;
    bn_gpu_facts facts;
    bn_gemm_library *gemm;
    void *gemm_workspace;
    struct bn_cuda_angles rope;
    struct {
        void *memory;
        size_t bytes;
    } scratch[BN_CUDA_SLOTS];
    unsigned generation; /* counts the times that scratch memory moved */
    struct bn_cuda_replay replays[BN_CUDA_REPLAYS];
    int recording;         /* index of replays; -1: none */
    void *marks[BN_MARKS]; /* made when first set */
};

/* Where the parts of bn_weight.form lie: W[o][i] = value * scale. */
struct bn_cuda_form {
    float *scale;  /* [1] 1 for the float kinds */
    int8_t *codes; /* [O, I] low-bit kinds, else NULL */
    int8_t
        *turned;  /* [I, O] the codes again, where the backward pass multiplies in I8, else NULL */
    void *values; /* [O, I] weights, or codes, in `dtype`; NULL with `turned`. F32: the master */
    bn_dtype dtype; /* of values: what the products of floats are made in */
};
struct bn_cuda_form bn_cuda_form_of(const bn_weight *weight);

/* Sums over a weight, one of each piece of BN_CUDA_PIECE elements: what its scale is made of. */
enum { BN_CUDA_PIECE = 2048 };
struct bn_cuda_piece {
    double magnitudes, values;
    uint32_t most; /* largest magnitude, as bits */
};

/* The form from the pieces of the master, which weight_prepare and adamw have summed. */
void bn_cuda_form_make(struct bn_cuda *cuda, const bn_weight *weight,
                       const struct bn_cuda_piece *pieces);

/* Low-bit kinds: their pieces, to be filled; NULL: no memory, or a float kind. */
struct bn_cuda_piece *bn_cuda_pieces(struct bn_cuda *cuda, const bn_weight *weight);

/* Keeps the first failure; `why` NULL is none. What: "copy 12 bytes", a kernel's name. */
void bn_cuda_check(struct bn_cuda *cuda, const char *why, const char *what);
bool bn_cuda_failed(const void *self);

/* After every launch of a kernel, by BN_LAUNCH. */
void bn_cuda_launched(struct bn_cuda *cuda, const char *kernel);

/* 256-byte aligned, not zeroed; NULL sticks as BN_ENOMEM. */
void *bn_cuda_scratch(struct bn_cuda *cuda, enum bn_cuda_slot slot, size_t bytes);

void bn_cuda_zero(void *self, void *memory, size_t bytes);
void bn_cuda_gemm(struct bn_cuda *cuda, const bn_gemm *product);

size_t bn_cuda_weight_form_bytes(void *self, int rows, int cols, bn_weight_format format);
void bn_cuda_weight_prepare(void *self, const bn_weight *weight);
void bn_cuda_weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale);
void bn_cuda_embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens);
void bn_cuda_embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens);
void bn_cuda_norm_forward(void *self, const bn_norm_args *args);
void bn_cuda_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads);
void bn_cuda_glu_forward(void *self, const bn_glu_args *args);
void bn_cuda_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads);
void bn_cuda_linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count);
void bn_cuda_linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                             int count);
void bn_cuda_rope(void *self, const bn_rope_args *args);
void bn_cuda_attention_forward(void *self, const bn_attention_args *args);
void bn_cuda_attention_backward(void *self, const bn_attention_args *args,
                                const bn_attention_grads *grads);
void bn_cuda_head_loss(void *self, const bn_head_args *args);
void bn_cuda_sum(void *self, double *out, const float *x, size_t count);
void bn_cuda_sum_squares(void *self, double *out, const float *x, size_t count);
void bn_cuda_decide(void *self, bn_steps *steps, const bn_step_rule *rule);
void bn_cuda_adamw(void *self, const bn_adamw_args *args);

#endif
