/* The CUDA plug-in's own calls of cudart and cuBLASLt, against twins of these libraries that fail
 * as they do and abort where they may not be called so (support/strict_cudart.cpp). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/device.h"
#include "support/cmocka_all.h"

enum { MEGABYTE = 1 << 20 };

static bn_backend open_card(void)
{
    bn_backend be;
    bn_error err = {0};
    if (bn_device_open(&be, "cuda", 0, &err) != BN_OK) fail_msg("%s", err.text);
    return be;
}

static void wait_for(bn_backend be)
{
    bn_error err = {0};
    if (bn_backend_sync(be, &err) != BN_OK) fail_msg("%s", err.text);
}

static double sum_of(bn_backend be, const float *x, size_t count)
{
    double sum = 0;
    double *out = bn_backend_alloc(be, sizeof *out);
    bn_sum(be, out, x, count);
    bn_backend_read(be, &sum, out, sizeof sum);
    wait_for(be);
    bn_backend_free(be, out);
    return sum;
}

/* Far more than is on its way at once, from one place that is written over after each call. */
static void test_the_callers_bytes_may_change_after_a_write(void **state)
{
    (void)state;
    enum { WRITES = 30, BYTES = MEGABYTE + 12 };
    bn_backend be = open_card();
    char *source = malloc(BYTES), *seen = malloc(BYTES);
    char *memory = bn_backend_alloc(be, (size_t)WRITES * BYTES);
    assert_true(source && seen && memory);
    for (int i = 0; i < WRITES; i++) {
        memset(source, i, BYTES);
        bn_backend_write(be, memory + (size_t)i * BYTES, source, BYTES);
    }
    for (int i = 0; i < WRITES; i++) {
        bn_backend_read(be, seen, memory + (size_t)i * BYTES, BYTES);
        assert_true(seen[0] == i && seen[BYTES - 1] == i);
    }
    wait_for(be);
    bn_backend_free(be, memory);
    bn_backend_close(be);
    free(source);
    free(seen);
}

static void test_recorded_work_reads_what_was_written_since(void **state)
{
    (void)state;
    bn_backend be = open_card();
    float *x = bn_backend_alloc(be, sizeof *x);
    double *out = bn_backend_alloc(be, sizeof *out);
    for (int i = 0; i < 5; i++) {
        double sum = 0;
        float value = (float)i;
        bn_backend_write(be, x, &value, sizeof value);
        if (!bn_backend_replay(be, 7)) {
            bn_backend_zero(be, out, sizeof *out);
            bn_sum(be, out, x, 1);
            bn_backend_replay_end(be);
        }
        bn_backend_read(be, &sum, out, sizeof sum);
        wait_for(be);
        assert_true(sum == i);
    }
    bn_backend_free(be, x);
    bn_backend_free(be, out);
    bn_backend_close(be);
}

static void test_memory_that_is_not_there_is_told_and_breaks_nothing(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be = open_card();
    float *x = bn_backend_alloc(be, 64 * sizeof *x);
    assert_null(bn_backend_alloc(be, (size_t)1 << 50));
    assert_int_equal(bn_backend_sync(be, &err), BN_ENOMEM);
    assert_non_null(strstr(err.text, "are missing"));
    assert_true(sum_of(be, x, 64) == 0);
    bn_backend_free(be, x);
    bn_backend_close(be);
}

/* A card that is there is left whole. */
static void break_card(bool broken)
{
    const char *plugin = getenv("BNEXP_CUDA_PLUGIN"); /* NOLINT(concurrency-mt-unsafe) */
    if (!plugin || !strstr(plugin, "bnexp_cuda_strict")) skip();
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(setenv("STRICT_CUDA_BROKEN", broken ? "1" : "0", 1), 0);
}

/* A sweep would try again with a smaller batch, for ever. */
static void test_a_broken_card_is_not_told_as_a_full_one(void **state)
{
    (void)state;
    bn_error err = {0};
    break_card(false);
    bn_backend be = open_card();
    break_card(true);
    assert_null(bn_backend_alloc(be, 64));
    assert_int_equal(bn_backend_sync(be, &err), BN_EIO);
    assert_non_null(strstr(err.text, "illegal memory access"));
    bn_backend_close(be);
    break_card(false);
}

/* out = x W^T with operands at odd places, as a tensor of odd length leaves them to the next. */
static void test_products_take_operands_as_they_lie(void **state)
{
    (void)state;
    enum { ROWS = 5, INS = 7, OUTS = 3 };
    bn_backend be = open_card();
    float *memory = bn_backend_alloc(be, 256 * sizeof *memory), ones[256], seen[ROWS * OUTS];
    bn_weight_format format = {.kind = BN_WEIGHT_F32};
    for (int i = 0; i < 256; i++) ones[i] = 1;
    for (int shift = 0; shift < 5; shift++) {
        bn_backend_write(be, memory, ones, sizeof ones);
        bn_weight weight = {.master = memory + shift, .rows = OUTS, .cols = INS, .format = format};
        weight.form = bn_backend_alloc(be, bn_weight_form_bytes(be, OUTS, INS, format));
        bn_weight_prepare(be, &weight);
        bn_act x = {.data = memory + 64 + shift, .dtype = BN_F32, .rows = ROWS, .cols = INS};
        float *out = memory + 128 + shift;
        bn_linear_out layer = {.weight = &weight, .out = {.data = out, .rows = ROWS, .cols = OUTS}};
        bn_linear_forward(be, x, &layer, 1);
        bn_backend_read(be, seen, out, sizeof seen);
        wait_for(be);
        for (int i = 0; i < ROWS * OUTS; i++) assert_true(seen[i] == INS);
        bn_backend_free(be, weight.form);
    }
    bn_backend_free(be, memory);
    bn_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_callers_bytes_may_change_after_a_write),
        cmocka_unit_test(test_recorded_work_reads_what_was_written_since),
        cmocka_unit_test(test_memory_that_is_not_there_is_told_and_breaks_nothing),
        cmocka_unit_test(test_products_take_operands_as_they_lie),
        cmocka_unit_test(test_a_broken_card_is_not_told_as_a_full_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
