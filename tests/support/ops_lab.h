/* ops_lab.h - a bench for one op: random operands in a backend whose memory is the host's, and the
 * comparison of an analytic gradient with finite differences. */
#ifndef BN_TESTS_SUPPORT_OPS_LAB_H
#define BN_TESTS_SUPPORT_OPS_LAB_H

#include "engine/device.h"

enum { LAB_BLOCKS_MAX = 64 };

typedef struct lab {
    bn_backend be;
    uint64_t key; /* of the next random block */
    void *owned[LAB_BLOCKS_MAX];
    int count;
} lab;

/* device: a name, or "cpu:3" for three threads. */
lab lab_open(const char *device);
void lab_close(lab *l);

/* Waits until results may be looked at; asserts that nothing failed. */
void lab_wait(lab *l);

/* Blocks of the lab's backend, released by lab_close. */
void *lab_bytes(lab *l, size_t bytes);
float *lab_floats(lab *l, size_t count); /* zeros */
float *lab_normal(lab *l, size_t count, double deviation);
bn_mat lab_mat(lab *l, int rows, int cols, double deviation); /* deviation 0: zeros */
bn_act lab_act(lab *l, int rows, int cols, bn_dtype dtype);

/* A weight of normal values, prepared. */
bn_weight lab_weight(lab *l, int rows, int cols, bn_weight_format format);

double lab_dot(const float *a, const float *b, size_t count);

/* Asserts that along random directions d the slope of loss equals gradient . d. With d normal,
 * gradient . d has deviation |gradient|, so the error is judged against |gradient|. */
typedef double (*lab_loss)(void *context);
void lab_check_gradient(lab *l, float *x, const float *gradient, size_t count, lab_loss loss,
                        void *context);

/* Asserts max |a - b| <= tolerance * max(|b|) + floor. */
void lab_assert_near(const float *a, const float *b, size_t count, double tolerance);

#endif
