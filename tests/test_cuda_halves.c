/* Activations and gradients in 16 bits between the ops of the CUDA backend: only what is kept is
 * rounded, whatever the order of threads, and rows that can be read in groups make what ragged ones
 * do. */
#include <stdlib.h>

#include "engine/base/half.h"
#include "support/cmocka_all.h"
#include "support/half_ops.h"

/* The order in which the emulator runs what a GPU runs at once. */
static void choose_order(const char *seed)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(setenv("BN_EMU_SEED", seed, 1), 0);
}

static void agree(int op, int seeds)
{
    static const char *const orders[] = {"0", "1", "7", "20240229"};
    for (int seed = 0; seed < seeds; seed++) {
        choose_order(orders[seed % 4]);
        half_op_agrees("cuda", op, seed % 2 ? BN_BF16 : BN_F16, (uint64_t)seed);
        half_op_agrees("cuda", op, seed % 2 ? BN_F16 : BN_BF16, (uint64_t)seed);
    }
}

static void test_norms_read_and_write_sixteen_bits(void **state)
{
    (void)state;
    agree(HALF_OP_NORM, 12);
}

static void test_gated_units_read_and_write_sixteen_bits(void **state)
{
    (void)state;
    agree(HALF_OP_GLU, 12);
}

static void test_linear_layers_read_and_write_sixteen_bits(void **state)
{
    (void)state;
    agree(HALF_OP_LINEAR, 15); /* every number format */
}

static void test_rotations_read_and_write_sixteen_bits(void **state)
{
    (void)state;
    agree(HALF_OP_ROPE, 8);
}

static void test_the_head_writes_sixteen_bits(void **state)
{
    (void)state;
    agree(HALF_OP_HEAD, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norms_read_and_write_sixteen_bits),
        cmocka_unit_test(test_gated_units_read_and_write_sixteen_bits),
        cmocka_unit_test(test_linear_layers_read_and_write_sixteen_bits),
        cmocka_unit_test(test_rotations_read_and_write_sixteen_bits),
        cmocka_unit_test(test_the_head_writes_sixteen_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
