#include "engine/base/half.h"
#include "support/cmocka_all.h"

/* Every bf16 and every fp16 value goes to float and back unchanged (NaN stays NaN). */
static void test_every_half_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        uint16_t half = (uint16_t)bits;
        float b = bn_bf16_to_float(half);
        float f = bn_f16_to_float(half);
        if (isnan(b)) {
            assert_true(isnan(bn_bf16_to_float(bn_bf16_from_float(b))));
        } else {
            assert_int_equal(bn_bf16_from_float(b), half);
        }
        if (isnan(f)) {
            assert_true(isnan(bn_f16_to_float(bn_f16_from_float(f))));
        } else {
            assert_int_equal(bn_f16_from_float(f), half);
        }
    }
}

/* The value of a finite fp16 by its definition. */
static double f16_by_definition(uint16_t half)
{
    int exponent = (half >> 10) & 31;
    double fraction = half & 0x3FF;
    double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000 ? -magnitude : magnitude;
}

static void test_every_fp16_has_the_value_of_its_definition(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        if (((bits >> 10) & 31U) == 31U) continue;
        assert_true((double)bn_f16_to_float((uint16_t)bits) == f16_by_definition((uint16_t)bits));
    }
}

typedef struct format {
    uint16_t (*from)(float);
    float (*to)(uint16_t);
    uint16_t infinity;
} format;

/* Between two neighbours: the midpoint goes to the even one, a float beside it to the nearer. */
static void check_rounding(format f)
{
    for (uint16_t low = 0; low + 1 < f.infinity; low++) {
        uint16_t high = (uint16_t)(low + 1);
        float middle = (float)(((double)f.to(low) + (double)f.to(high)) / 2);
        uint16_t even = low & 1 ? high : low;
        assert_int_equal(f.from(middle), even);
        assert_int_equal(f.from(-middle), even | 0x8000);
        assert_int_equal(f.from(nextafterf(middle, 0)), low);
        assert_int_equal(f.from(nextafterf(middle, INFINITY)), high);
    }
}

static void test_bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    check_rounding((format){bn_bf16_from_float, bn_bf16_to_float, 0x7F80});
}

static void test_fp16_rounds_to_nearest_even(void **state)
{
    (void)state;
    check_rounding((format){bn_f16_from_float, bn_f16_to_float, 0x7C00});
}

static void test_overflow_becomes_infinity(void **state)
{
    (void)state;
    assert_int_equal(bn_f16_from_float(65519.99F), 0x7BFF);
    assert_int_equal(bn_f16_from_float(65520.0F), 0x7C00);
    assert_int_equal(bn_f16_from_float(-1e30F), 0xFC00);
    assert_int_equal(bn_f16_from_float(INFINITY), 0x7C00);
    assert_int_equal(bn_bf16_from_float(3.4e38F), 0x7F80);
    assert_int_equal(bn_bf16_from_float(-INFINITY), 0xFF80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half_survives_the_round_trip),
        cmocka_unit_test(test_every_fp16_has_the_value_of_its_definition),
        cmocka_unit_test(test_bf16_rounds_to_nearest_even),
        cmocka_unit_test(test_fp16_rounds_to_nearest_even),
        cmocka_unit_test(test_overflow_becomes_infinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
