#include "support/model_lab.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/rng.h"
#include "support/cmocka_all.h"

static void set_row(bn_config *config, const char *row)
{
    char name[64];
    bn_error err = {0};
    size_t span = strcspn(row, "=");
    (void)snprintf(name, sizeof name, "%.*s", (int)span, row);
    if (bn_config_set(config, name, row + span + 1, &err) != BN_OK) fail_msg("%s", err.text);
}

static void open_device(model_lab *lab, const char *device)
{
    char name[32];
    bn_error err = {0};
    const char *colon = strchr(device, ':');
    size_t span = strcspn(device, ":");
    (void)snprintf(name, sizeof name, "%.*s", (int)span, device);
    int threads = colon ? (int)strtol(colon + 1, NULL, 10) : 1;
    if (bn_device_open(&lab->be, name, threads, &err) != BN_OK) fail_msg("%s", err.text);
}

static void set_basis(bn_config *config)
{
    static const char *const basis[] = {"model.width=16", "model.layers=2", "model.heads=2",
                                        "model.ffn=32",   "model.vocab=32", "model.context=8",
                                        "train.batch=2"};
    bn_config_init(config);
    for (size_t i = 0; i < sizeof basis / sizeof basis[0]; i++) set_row(config, basis[i]);
}

static model_lab open_config(const char *device, const bn_config *config)
{
    model_lab lab = {.config = *config};
    bn_error err = {0};
    if (bn_config_resolve(&lab.config, &err) != BN_OK) fail_msg("%s", err.text);
    open_device(&lab, device);
    if (bn_model_open(&lab.model, lab.be, &lab.config, &err) != BN_OK) fail_msg("%s", err.text);
    bn_model_init(lab.model, 1);
    size_t count = (size_t)lab.model->shape.rows;
    lab.tokens = calloc(count, sizeof *lab.tokens);
    lab.targets = calloc(count, sizeof *lab.targets);
    for (size_t i = 0; i < count; i++) {
        lab.tokens[i] = (int32_t)bn_rng_below(3, i, (uint64_t)lab.config.model.vocab);
        lab.targets[i] = (int32_t)bn_rng_below(4, i, (uint64_t)lab.config.model.vocab);
    }
    return lab;
}

model_lab model_lab_open(const char *device, ...)
{
    bn_config config;
    va_list rows;
    set_basis(&config);
    va_start(rows, device);
    for (const char *row = va_arg(rows, const char *); row; row = va_arg(rows, const char *)) {
        set_row(&config, row);
    }
    va_end(rows);
    return open_config(device, &config);
}

model_lab model_lab_open_list(const char *device, const char *knobs)
{
    bn_config config;
    char row[128];
    set_basis(&config);
    for (const char *at = knobs; *at;) {
        size_t span = strcspn(at, ";");
        (void)snprintf(row, sizeof row, "%.*s", (int)span, at);
        set_row(&config, row);
        at += span + (at[span] == ';');
    }
    return open_config(device, &config);
}

void model_lab_close(model_lab *lab)
{
    bn_model_close(lab->model);
    bn_backend_close(lab->be);
    free(lab->tokens);
    free(lab->targets);
}

double model_lab_loss(model_lab *lab)
{
    bn_model_eval(lab->model, lab->tokens, lab->targets);
    return bn_model_loss_sum(lab->model, 1) / lab->model->shape.rows;
}

double model_lab_gradients(model_lab *lab)
{
    float scale = 1.0F / (float)lab->model->shape.rows;
    bn_model_train(lab->model, 0, lab->tokens, lab->targets, scale);
    return bn_model_loss_sum(lab->model, 1) / lab->model->shape.rows;
}

static float *copy_of(const model_lab *lab, const float *from)
{
    size_t bytes = lab->model->params.floats * sizeof *from;
    float *copy = malloc(bytes);
    bn_backend_read(lab->be, copy, from, bytes);
    return copy;
}

float *model_lab_weights(const model_lab *lab)
{
    return copy_of(lab, lab->model->weights);
}

float *model_lab_grads(const model_lab *lab)
{
    return copy_of(lab, lab->model->grads);
}

void model_lab_write(model_lab *lab, const float *weights)
{
    size_t bytes = lab->model->params.floats * sizeof *weights;
    bn_backend_write(lab->be, lab->model->weights, weights, bytes);
    bn_model_prepare(lab->model);
}

double model_lab_norm(const float *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i] * (double)values[i];
    return sqrt(sum);
}
