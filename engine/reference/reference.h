/* reference.h - what the files of engine/reference/ share: state, the working form, the rows. */
#ifndef BN_ENGINE_REFERENCE_REFERENCE_H
#define BN_ENGINE_REFERENCE_REFERENCE_H

#include "engine/host.h"

typedef struct bn_reference {
    bn_host host; /* first: bn_host_* take a bn_reference */
    float *scratch;
    size_t scratch_count;
} bn_reference;

/* W[o][i] = value[o * cols + i] * scale: codes for the low-bit kinds, rounded floats and scale 1
 * for the float kinds. This is bn_weight.form here. */
typedef struct bn_reference_form {
    float scale;
    float value[];
} bn_reference_form;

/* `count` floats that live until the next call; NULL sticks as BN_ENOMEM. */
float *bn_reference_scratch(bn_reference *ref, size_t count);

/* Rounds one operand of a product to a float format; BN_I8 is not one. */
float bn_reference_round(float value, bn_dtype dtype);

/* round_half_even(value) in [-limit, limit]; NaN gives 0. */
float bn_reference_code(float value, float limit);

/* Element i of a matrix, and row r. `put` rounds to the matrix's format. */
float bn_reference_get(bn_mat m, size_t i);
void bn_reference_put(bn_mat m, size_t i, float value);
void bn_reference_get_row(bn_mat m, int r, float *values);
void bn_reference_put_row(bn_mat m, int r, const float *values);

/* Row r of an activation: from floats, quantizing; and to floats, codes without their scale. */
void bn_reference_act_write(bn_act out, int r, const float *y);
void bn_reference_act_read(bn_act x, int r, float *values);

/* One row through a norm site, y = site(x), and its gradient. dx = (not +=); dy is overwritten.
 *   stats  [BN_NORM_STATS] 1/rms of the outer and the inner norm */
void bn_reference_site_forward(const bn_norm_site *site, int cols, const float *x, float *y,
                               float *stats);
void bn_reference_site_backward(const bn_norm_site *site, int cols, const float *x,
                                const float *stats, float *dy, float *dgain);

size_t bn_reference_weight_form_bytes(void *self, int rows, int cols, bn_weight_format format);
void bn_reference_weight_prepare(void *self, const bn_weight *weight);
void bn_reference_weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale);
void bn_reference_embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens);
void bn_reference_embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens);
void bn_reference_norm_forward(void *self, const bn_norm_args *args);
void bn_reference_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads);
void bn_reference_glu_forward(void *self, const bn_glu_args *args);
void bn_reference_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads);
void bn_reference_linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count);
void bn_reference_linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                                  int count);
void bn_reference_rope(void *self, const bn_rope_args *args);
void bn_reference_attention_forward(void *self, const bn_attention_args *args);
void bn_reference_attention_backward(void *self, const bn_attention_args *args,
                                     const bn_attention_grads *grads);
void bn_reference_head_loss(void *self, const bn_head_args *args);
void bn_reference_sum(void *self, double *out, const float *x, size_t count);
void bn_reference_sum_squares(void *self, double *out, const float *x, size_t count);
void bn_reference_decide(void *self, bn_steps *steps, const bn_step_rule *rule);
void bn_reference_adamw(void *self, const bn_adamw_args *args);

#endif
