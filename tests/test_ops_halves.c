/* Activations and gradients in 16 bits between the ops: only what is kept is rounded. */
#include <stdio.h>

#include "support/cmocka_all.h"
#include "support/half_ops.h"

static void agree(const char *device, int op, int seeds)
{
    for (int seed = 0; seed < seeds; seed++) {
        half_op_agrees(device, op, BN_BF16, (uint64_t)seed);
        half_op_agrees(device, op, BN_F16, (uint64_t)seed);
    }
}

static void test_norms_read_and_write_sixteen_bits(void **state)
{
    agree(*state, HALF_OP_NORM, 6);
}

static void test_gated_units_read_and_write_sixteen_bits(void **state)
{
    agree(*state, HALF_OP_GLU, 6);
}

static void test_linear_layers_read_and_write_sixteen_bits(void **state)
{
    agree(*state, HALF_OP_LINEAR, 15); /* every number format */
}

static void test_rotations_read_and_write_sixteen_bits(void **state)
{
    agree(*state, HALF_OP_ROPE, 6);
}

static void test_attention_reads_and_writes_sixteen_bits(void **state)
{
    agree(*state, HALF_OP_ATTENTION, 6);
}

static void test_the_head_writes_sixteen_bits(void **state)
{
    agree(*state, HALF_OP_HEAD, 4);
}

static int run_on(const char *device)
{
    static char name[16];
    (void)snprintf(name, sizeof name, "%s", device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_norms_read_and_write_sixteen_bits, name),
        cmocka_unit_test_prestate(test_gated_units_read_and_write_sixteen_bits, name),
        cmocka_unit_test_prestate(test_linear_layers_read_and_write_sixteen_bits, name),
        cmocka_unit_test_prestate(test_rotations_read_and_write_sixteen_bits, name),
        cmocka_unit_test_prestate(test_attention_reads_and_writes_sixteen_bits, name),
        cmocka_unit_test_prestate(test_the_head_writes_sixteen_bits, name),
    };
    return cmocka_run_group_tests_name(device, tests, NULL, NULL);
}

int main(void)
{
    return run_on("reference") + run_on("cpu:1") + run_on("cpu:3");
}
