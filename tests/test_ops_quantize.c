#include "engine/device.h"
#include "support/cmocka_all.h"

enum { COUNT = 12 };

static bn_backend open_reference(void)
{
    bn_error err = {0};
    bn_backend be;
    assert_int_equal(bn_device_open(&be, "reference", 1, &err), BN_OK);
    return be;
}

typedef struct codes {
    int8_t code[COUNT];
    float scale;
} codes;

/* The codes of a [1, count] weight. */
static codes quantize_weight(bn_weight_format format, const float *w, int count)
{
    bn_error err = {0};
    bn_backend be = open_reference();
    codes out = {.scale = -1};
    bn_weight weight = {.rows = 1, .cols = count, .format = format};
    weight.master = bn_backend_alloc(be, (size_t)count * sizeof *w);
    weight.form = bn_backend_alloc(be, bn_weight_form_bytes(be, 1, count, format));
    bn_backend_write(be, weight.master, w, (size_t)count * sizeof *w);
    bn_weight_prepare(be, &weight);
    bn_weight_codes(be, &weight, out.code, &out.scale);
    assert_int_equal(bn_backend_sync(be, &err), BN_OK);
    bn_backend_free(be, weight.form);
    bn_backend_free(be, weight.master);
    bn_backend_close(be);
    return out;
}

static void test_ternary_is_absmean_and_ties_go_to_even(void **state)
{
    (void)state;
    /* mean |w| = 1: 0.5 and -0.5 are ties to 0, 1.5 clamps to 1 */
    const float w[] = {0.5F, -0.5F, 1.5F, -1.5F, 0.51F, -0.51F, 0.0F, 3.48F};
    const int8_t expected[] = {0, 0, 1, -1, 1, -1, 0, 1};
    codes got = quantize_weight((bn_weight_format){.kind = BN_WEIGHT_TERNARY}, w, 8);
    assert_float_equal(got.scale, 1.0625F, 1e-7F);
    const float unit[] = {0.5F, -0.5F, 1.5F, -1.5F};
    codes ties = quantize_weight((bn_weight_format){.kind = BN_WEIGHT_TERNARY}, unit, 4);
    assert_true(ties.scale == 1.0F);
    assert_memory_equal(ties.code, expected, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ternary_is_absmean_and_ties_go_to_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
