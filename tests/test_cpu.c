/* The cpu backend against the reference over ragged shapes, for every instruction set that this
 * machine has; and its bits against themselves for 1 to 4 threads. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/rng.h"
#include "engine/cpu/isa.h"
#include "support/cmocka_all.h"
#include "support/every_op.h"

static void test_every_product_agrees_with_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        uint64_t key = bn_rng_key(11, every_op_numbers[i].name, 0);
        every_op_layer_agrees("cpu:2", (every_op_shape){1, 1, 1}, &every_op_numbers[i]);
        every_op_layer_agrees("cpu:2", (every_op_shape){129, 127, 65}, &every_op_numbers[i]);
        for (uint64_t j = 0; j < 4; j++) {
            every_op_shape s = every_op_draw_shape(key, j);
            every_op_layer_agrees("cpu:2", s, &every_op_numbers[i]);
        }
    }
}

/* Longer than one pass of any kernel over the sum. */
static void test_long_sums_agree_with_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        every_op_layer_agrees("cpu:2", (every_op_shape){3, 1301, 5}, &every_op_numbers[i]);
        every_op_layer_agrees("cpu:2", (every_op_shape){1301, 3, 5}, &every_op_numbers[i]);
    }
}

static void test_bits_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu:1", "cpu:2", "cpu:3", "cpu:4"};
    every_op_shape s = {149, 70, 200};
    for (int i = 0; i < EVERY_OP_NUMBERS; i++) {
        lab one = lab_open(devices[0]);
        every_op_layer_results expected = every_op_layer(&one, s, &every_op_numbers[i]);
        for (int d = 1; d < 4; d++) {
            lab more = lab_open(devices[d]);
            every_op_layer_results got = every_op_layer(&more, s, &every_op_numbers[i]);
            every_op_layer_same_bits(&got, &expected);
            lab_close(&more);
        }
        lab_close(&one);
    }
}

static void test_all_other_ops_agree_with_the_reference(void **state)
{
    (void)state;
    for (int which = 0; which < EVERY_OP_RESTS; which++) {
        every_op_rest_agrees("cpu:3", which);
    }
}

static void test_all_other_ops_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu:2", "cpu:3", "cpu:4"};
    for (int which = 0; which < EVERY_OP_RESTS; which++) {
        lab one = lab_open("cpu:1");
        every_op_results a = {0};
        every_op_rest(&one, &a, which);
        for (int d = 0; d < 3; d++) {
            lab more = lab_open(devices[d]);
            every_op_results b = {0};
            every_op_rest(&more, &b, which);
            for (int i = 0; i < a.used; i++) {
                assert_memory_equal(a.data[i], b.data[i], a.count[i] * sizeof(float));
            }
            lab_close(&more);
        }
        lab_close(&one);
    }
}

/* Also NULL: the machine's best. Before any backend has threads. */
static void choose_isa(const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(name ? setenv("BNEXP_ISA", name, 1) : unsetenv("BNEXP_ISA"), 0);
}

static void test_an_unknown_instruction_set_is_refused_by_name(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be;
    choose_isa("avx3");
    assert_int_equal(bn_device_open(&be, "cpu", 1, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "avx3"));
    assert_non_null(strstr(err.text, "portable"));
    choose_isa(NULL);
}

static void test_an_impossible_allocation_sticks_until_sync(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be;
    assert_int_equal(bn_device_open(&be, "cpu", 1, &err), BN_OK);
    assert_null(bn_backend_alloc(be, SIZE_MAX - 8));
    bn_embed_forward(be, (bn_mat){.rows = 1, .cols = 1}, (bn_mat){.rows = 1, .cols = 1}, NULL);
    assert_int_equal(bn_backend_sync(be, &err), BN_ENOMEM);
    err = (bn_error){0};
    assert_int_equal(bn_backend_sync(be, &err), BN_OK);
    bn_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest each_isa[] = {
        cmocka_unit_test(test_every_product_agrees_with_the_reference),
        cmocka_unit_test(test_long_sums_agree_with_the_reference),
        cmocka_unit_test(test_bits_do_not_depend_on_the_thread_count),
        cmocka_unit_test(test_all_other_ops_agree_with_the_reference),
        cmocka_unit_test(test_all_other_ops_do_not_depend_on_the_thread_count),
    };
    const struct CMUnitTest once[] = {
        cmocka_unit_test(test_an_unknown_instruction_set_is_refused_by_name),
        cmocka_unit_test(test_an_impossible_allocation_sticks_until_sync),
    };
    int failed = 0;
    int count;
    const bn_isa *table = bn_isa_table(&count);
    for (int i = 0; i < count; i++) {
        if (!bn_isa_usable(i)) {
            (void)printf("SKIP %s: this processor lacks it\n", table[i].name);
            continue;
        }
        choose_isa(table[i].name);
        failed += cmocka_run_group_tests_name(table[i].name, each_isa, NULL, NULL);
    }
    choose_isa(NULL);
    return failed + cmocka_run_group_tests(once, NULL, NULL);
}
