/* The cpu backend against the reference over ragged shapes, for every instruction set that this
 * machine has; and its bits against themselves for 1 to 4 threads. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/rng.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/isa.h"
#include "support/cmocka_all.h"
#include "support/every_op.h"
#include "support/half_ops.h"

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

/* A machine may have more processors than the pool takes threads. */
static void test_more_threads_than_there_can_be_are_as_many_as_can_be(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_backend be;
    assert_int_equal(bn_cpu_open(&be, 100000, &err), BN_OK);
    assert_int_equal(bn_cpu_threads(be), 256);
    bn_backend_close(be);
    assert_int_equal(bn_cpu_open(&be, -1, &err), BN_EINVAL);
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

/* Linear layers in each number format once. */
static uint64_t half_seeds(int op)
{
    return op == HALF_OP_LINEAR ? EVERY_OP_NUMBERS : 4;
}

static void test_all_ops_read_and_write_sixteen_bits(void **state)
{
    (void)state;
    for (int op = 0; op < HALF_OPS; op++) {
        for (uint64_t seed = 0; seed < half_seeds(op); seed++) {
            half_op_agrees("cpu:2", op, BN_BF16, 100 * EVERY_OP_NUMBERS + seed);
            half_op_agrees("cpu:2", op, BN_F16, 200 * EVERY_OP_NUMBERS + seed);
        }
    }
}

static void test_sixteen_bits_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    for (int op = 0; op < HALF_OPS; op++) {
        for (uint64_t seed = 0; seed < half_seeds(op); seed++) {
            half_op_has_the_same_bits("cpu:1", "cpu:3", op, BN_BF16, seed);
            half_op_has_the_same_bits("cpu:1", "cpu:4", op, BN_F16, seed);
        }
    }
}

/* Columns that end in the middle of a panel, of a block, of a sum; rows in the middle of a strip.
 */
static const every_op_shape head_shapes[] = {
    {1, 1, 1}, {13, 5, 385}, {100, 7, 390}, {29, 3, 2700}, {211, 33, 40}};
enum { HEAD_SHAPES = sizeof head_shapes / sizeof *head_shapes };

static void test_heads_of_any_shape_agree_with_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < HEAD_SHAPES; i++) {
        every_op_head_agrees("cpu:2", head_shapes[i], BN_WEIGHT_F32);
        every_op_head_agrees("cpu:2", head_shapes[i], BN_WEIGHT_BF16);
    }
}

static void head_has_the_same_bits(every_op_shape s, bn_weight_kind kind, const char *device)
{
    lab one = lab_open("cpu:1");
    lab more = lab_open(device);
    every_op_results a = {0};
    every_op_results b = {0};
    every_op_head(&one, &a, s, kind);
    every_op_head(&more, &b, s, kind);
    for (int i = 0; i < a.used; i++) {
        assert_memory_equal(a.data[i], b.data[i], a.count[i] * sizeof(float));
    }
    lab_close(&one);
    lab_close(&more);
}

/* Among them more threads than there are strips. */
static void test_heads_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    for (int i = 0; i < HEAD_SHAPES; i++) {
        head_has_the_same_bits(head_shapes[i], BN_WEIGHT_F32, "cpu:3");
        head_has_the_same_bits(head_shapes[i], BN_WEIGHT_BF16, "cpu:4");
        head_has_the_same_bits(head_shapes[i], BN_WEIGHT_BF16, "cpu:19");
    }
}

/* So many words that the gradients of all rows do not fit at once: rows given in two calls then
 * have to come to the same. */
static void test_a_head_in_chunks_adds_up(void **state)
{
    (void)state;
    enum { ROWS = 97, FIRST = 48, WIDTH = 2, WORDS = 177500 };
    lab l = lab_open("cpu:3");
    bn_weight head = lab_weight(&l, WORDS, WIDTH, (bn_weight_format){.kind = BN_WEIGHT_F32});
    int32_t *targets = lab_bytes(&l, ROWS * sizeof *targets);
    for (int r = 0; r < ROWS; r++) targets[r] = r * 1801;
    float *x = lab_normal(&l, ROWS * WIDTH, 1);
    bn_head_args whole = {.x = {.data = x, .rows = ROWS, .cols = WIDTH},
                          .head = &head,
                          .targets = targets,
                          .loss = lab_floats(&l, ROWS),
                          .dx = lab_mat(&l, ROWS, WIDTH, 0),
                          .dw = lab_floats(&l, (size_t)WORDS * WIDTH),
                          .scale = 1.0F / ROWS};
    bn_head_args half = whole;
    half.x.rows = half.dx.rows = FIRST;
    half.loss = lab_floats(&l, ROWS);
    half.dx.data = lab_floats(&l, ROWS * WIDTH);
    half.dw = lab_floats(&l, (size_t)WORDS * WIDTH);
    bn_head_args rest = half;
    rest.x = (bn_act){.data = x + FIRST * WIDTH, .rows = ROWS - FIRST, .cols = WIDTH};
    rest.targets += FIRST;
    rest.loss += FIRST;
    rest.dx = (bn_mat){.data = half.dx.data + FIRST * WIDTH, .rows = ROWS - FIRST, .cols = WIDTH};
    bn_head_loss(l.be, &whole);
    bn_head_loss(l.be, &half);
    bn_head_loss(l.be, &rest);
    lab_wait(&l);
    assert_memory_equal(whole.loss, half.loss, ROWS * sizeof(float));
    assert_memory_equal(whole.dx.data, half.dx.data, ROWS * WIDTH * sizeof(float));
    lab_assert_near(whole.dw, half.dw, (size_t)WORDS * WIDTH, 1e-6);
    lab_close(&l);
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
        cmocka_unit_test(test_more_threads_than_there_can_be_are_as_many_as_can_be),
        cmocka_unit_test(test_bits_do_not_depend_on_the_thread_count),
        cmocka_unit_test(test_all_other_ops_agree_with_the_reference),
        cmocka_unit_test(test_all_other_ops_do_not_depend_on_the_thread_count),
        cmocka_unit_test(test_all_ops_read_and_write_sixteen_bits),
        cmocka_unit_test(test_sixteen_bits_do_not_depend_on_the_thread_count),
        cmocka_unit_test(test_heads_of_any_shape_agree_with_the_reference),
        cmocka_unit_test(test_heads_do_not_depend_on_the_thread_count),
    };
    const struct CMUnitTest once[] = {
        cmocka_unit_test(test_a_head_in_chunks_adds_up),
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
