/* every_op.h - every op of a backend on random operands, for the comparison of two backends. */
#ifndef BN_TESTS_SUPPORT_EVERY_OP_H
#define BN_TESTS_SUPPORT_EVERY_OP_H

#include "support/ops_lab.h"

typedef struct every_op_shape {
    int rows, ins, outs;
} every_op_shape;

/* The number formats of a linear layer's input and weight. */
typedef struct every_op_number {
    const char *name;
    bn_dtype act;
    bn_weight_format format;
} every_op_number;

enum { EVERY_OP_NUMBERS = 15 };
extern const every_op_number every_op_numbers[EVERY_OP_NUMBERS];

/* What the linear layers of a site, one to three of them, make of operands drawn from the lab's
 * key. */
typedef struct every_op_layer_results {
    int layers;
    size_t dx_count, out_count[BN_SITE_LAYERS_MAX], dw_count[BN_SITE_LAYERS_MAX];
    float *dx, *out[BN_SITE_LAYERS_MAX], *dw[BN_SITE_LAYERS_MAX];
} every_op_layer_results;
every_op_layer_results every_op_layer(lab *l, every_op_shape s, const every_op_number *n);
void every_op_layer_same_bits(const every_op_layer_results *a, const every_op_layer_results *b);

/* A shape drawn from three numbers of the key's stream: at most 60 rows, 129 ins and outs. */
every_op_shape every_op_draw_shape(uint64_t key, uint64_t index);

/* Asserts that a layer of the device agrees with the reference's. Codes multiply exactly; sums of
 * up to 1e3 floats in another order differ by some 1e-6 of the largest, and an activation that is a
 * tie may fall on the other side when 1/rms differs in its last bit: one code in 127. */
void every_op_layer_agrees(const char *device, every_op_shape s, const every_op_number *n);

/* What the other ops make, as lists of floats. */
enum { EVERY_OP_RESULTS = 16 };
typedef struct every_op_results {
    const float *data[EVERY_OP_RESULTS];
    size_t count[EVERY_OP_RESULTS];
    int used;
} every_op_results;

enum {
    EVERY_OP_ATTENTION,
    EVERY_OP_GLU,
    EVERY_OP_GLU_RELU2,
    EVERY_OP_HEAD_F32,
    EVERY_OP_HEAD_BF16,
    EVERY_OP_EMBEDDING,
    EVERY_OP_ADAMW,
    EVERY_OP_RESTS,
};
void every_op_rest(lab *l, every_op_results *out, int which);

/* The output head, of `ins` wide rows and a vocabulary of `outs`: losses, the same without
 * gradients, and the gradients of x and of the head. */
void every_op_head(lab *l, every_op_results *out, every_op_shape s, bn_weight_kind kind);

/* Asserts that it agrees with the reference's, and that asking for gradients changes no loss. */
void every_op_head_agrees(const char *device, every_op_shape s, bn_weight_kind kind);

/* Asserts that they agree with the reference's. */
void every_op_rest_agrees(const char *device, int which);

#endif
