/* model_lab.h - a network on a device with a batch of made-up tokens, for tests that look inside.
 */
#ifndef BN_TESTS_SUPPORT_MODEL_LAB_H
#define BN_TESTS_SUPPORT_MODEL_LAB_H

#include "engine/device.h"
#include "engine/optimizer.h"

typedef struct model_lab {
    bn_config config;
    bn_backend be;
    bn_model *model;
    int32_t *tokens, *targets; /* [rows] */
} model_lab;

/* Knobs as "name=value", NULL ends; on top of 2 layers of width 16 with a vocabulary of 32 and 2
 * sequences of 8. device: "reference", or "cpu:3" for three threads. The weights are initialised.
 */
model_lab model_lab_open(const char *device, ...);

/* The same with the knobs in one text, "a=1;b=2". */
model_lab model_lab_open_list(const char *device, const char *knobs);
void model_lab_close(model_lab *lab);

/* Mean loss of the batch, without gradients. */
double model_lab_loss(model_lab *lab);

/* Gradients of the mean loss (added to what is there); returns that loss. */
double model_lab_gradients(model_lab *lab);

/* Copies of the whole block of floats; the caller frees. */
float *model_lab_weights(const model_lab *lab);
float *model_lab_grads(const model_lab *lab);

/* Writes masters and makes their forms. */
void model_lab_write(model_lab *lab, const float *weights);

double model_lab_norm(const float *values, size_t count);

#endif
