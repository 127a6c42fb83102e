#include "support/ops_lab.h"

#include <stdlib.h>

#include "engine/base/rng.h"
#include "support/cmocka_all.h"

lab lab_open(const char *device)
{
    bn_error err = {0};
    lab l = {.key = 1};
    char name[16] = "";
    const char *colon = strchr(device, ':');
    size_t length = colon ? (size_t)(colon - device) : strlen(device);
    assert_true(length < sizeof name);
    memcpy(name, device, length);
    int threads = colon ? (int)strtol(colon + 1, NULL, 10) : 1;
    assert_int_equal(bn_device_open(&l.be, name, threads, &err), BN_OK);
    return l;
}

void lab_wait(lab *l)
{
    bn_error err = {0};
    if (bn_backend_sync(l->be, &err) != BN_OK) fail_msg("%s", err.text);
}

void lab_close(lab *l)
{
    lab_wait(l);
    for (int i = 0; i < l->count; i++) bn_backend_free(l->be, l->owned[i]);
    bn_backend_close(l->be);
}

void *lab_bytes(lab *l, size_t bytes)
{
    assert_true(l->count < LAB_BLOCKS_MAX);
    void *memory = bn_backend_alloc(l->be, bytes);
    assert_non_null(memory);
    l->owned[l->count++] = memory;
    return memory;
}

float *lab_floats(lab *l, size_t count)
{
    return lab_bytes(l, count * sizeof(float));
}

float *lab_normal(lab *l, size_t count, double deviation)
{
    float *x = lab_floats(l, count);
    uint64_t key = bn_rng_key(l->key++, "lab", 0);
    for (size_t i = 0; i < count; i++) x[i] = (float)(deviation * bn_rng_normal(key, i));
    return x;
}

bn_mat lab_mat(lab *l, int rows, int cols, double deviation)
{
    size_t count = (size_t)rows * (size_t)cols;
    float *data = deviation > 0 ? lab_normal(l, count, deviation) : lab_floats(l, count);
    return (bn_mat){.data = data, .rows = rows, .cols = cols};
}

bn_act lab_act(lab *l, int rows, int cols, bn_dtype dtype)
{
    return (bn_act){.data = lab_bytes(l, (size_t)rows * (size_t)cols * sizeof(float)),
                    .scale = lab_floats(l, (size_t)rows),
                    .sum = lab_bytes(l, (size_t)rows * sizeof(int32_t)),
                    .rows = rows,
                    .cols = cols,
                    .dtype = dtype};
}

bn_weight lab_weight(lab *l, int rows, int cols, bn_weight_format format)
{
    bn_weight weight = {.rows = rows, .cols = cols, .format = format};
    weight.master = lab_normal(l, (size_t)rows * (size_t)cols, 0.5);
    weight.form = lab_bytes(l, bn_weight_form_bytes(l->be, rows, cols, format));
    bn_weight_prepare(l->be, &weight);
    return weight;
}

double lab_dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void move(float *to, const float *from, const float *direction, size_t count, double by)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)((double)from[i] + by * (double)direction[i]);
    }
}

void lab_check_gradient(lab *l, float *x, const float *gradient, size_t count, lab_loss loss,
                        void *context)
{
    /* Central differences err by h^2 times the third derivative, about 1e-4 of the gradient here;
     * float rounding of the outputs adds as much. A wrong term shows as 1e-1 or more. */
    const double h = 0.01;
    const double tolerance = 3e-3;
    const double rounding = 1e-5; /* of a sum whose true slope is zero */
    double norm = sqrt(lab_dot(gradient, gradient, count));
    float *start = malloc(count * sizeof *start);
    float *direction = malloc(count * sizeof *direction);
    assert_true(start && direction);
    memcpy(start, x, count * sizeof *x);
    for (int attempt = 0; attempt < 3; attempt++) {
        uint64_t key = bn_rng_key(l->key++, "direction", 0);
        for (size_t i = 0; i < count; i++) direction[i] = (float)bn_rng_normal(key, i);
        move(x, start, direction, count, h);
        double up = loss(context);
        move(x, start, direction, count, -h);
        double down = loss(context);
        double slope = (up - down) / (2 * h);
        double expected = lab_dot(gradient, direction, count);
        if (!(fabs(slope - expected) <= tolerance * norm + rounding)) {
            fail_msg("slope %.9g, gradient says %.9g (norm %.3g)", slope, expected, norm);
        }
    }
    memcpy(x, start, count * sizeof *x);
    free(direction);
    free(start);
}

void lab_assert_near(const float *a, const float *b, size_t count, double tolerance)
{
    double most = 1e-30;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs((double)b[i]));
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)a[i] - (double)b[i]);
        if (!(error <= tolerance * most)) {
            fail_msg("[%zu] is %.9g, expected %.9g (largest %.3g)", i, (double)a[i], (double)b[i],
                     most);
        }
    }
}
