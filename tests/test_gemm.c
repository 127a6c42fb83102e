#include <stdio.h>
#include <stdlib.h>

#include "engine/base/half.h"
#include "engine/base/rng.h"
#include "engine/cpu/gemm.h"
#include "engine/cpu/isa.h"
#include "support/cmocka_all.h"

/* C = A B^T with A [m, k] and B [n, k], or C = A^T B with A [k, m] and B [k, n]. */
typedef struct shape {
    int m, n, k;
} shape;

typedef struct problem {
    const bn_kernel *kernel;
    shape s;
    bn_source a, b;
    bool down; /* the reduced dimension runs down the rows */
    bool codes;
    const double *expected; /* [m, n] */
    const int32_t *a_sum;
    int32_t offset;
    double tolerance;
} problem;

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static char *panels_of(const problem *p, const bn_source *source, int lanes, int count, bool codes)
{
    long steps = bn_panel_steps(p->kernel, p->s.k);
    size_t bytes = bn_panel_bytes(lanes, steps);
    int panels = ceil_div(count, lanes);
    char *out = aligned_alloc(64, (bytes * (size_t)panels + 63) / 64 * 64 + 64);
    assert_non_null(out);
    if (p->down) {
        bn_panel_from_steps(lanes, source, (bn_panel_cut){0, panels, 0, steps}, out);
    } else {
        for (int i = 0; i < panels; i++) {
            bn_panel_from_lanes(lanes, source, i * lanes, steps, out + (size_t)i * bytes);
        }
    }
    for (int i = 0; codes && i < panels; i++) {
        bn_panel_pack_u2(lanes, steps, (uint8_t *)out + (size_t)i * bytes);
    }
    return out;
}

/* Runs the whole product as one block and compares; base checks that it is added. */
static void check(const problem *p)
{
    long steps = bn_panel_steps(p->kernel, p->s.k);
    char *a = panels_of(p, &p->a, p->kernel->mr, p->s.m, false);
    char *b = panels_of(p, &p->b, p->kernel->nr, p->s.n, p->codes);
    size_t count = (size_t)p->s.m * (size_t)p->s.n;
    float *c = malloc(count * sizeof *c), *scale = malloc((size_t)p->s.m * sizeof *scale);
    assert_true(c && scale);
    for (size_t i = 0; i < count; i++) c[i] = 1.0F;
    for (int i = 0; i < p->s.m; i++) scale[i] = 1.0F + (float)i;
    bn_gemm_block block = {.kernel = p->kernel,
                           .a = a,
                           .b = b,
                           .a_stride = bn_panel_bytes(p->kernel->mr, steps),
                           .b_stride = bn_panel_bytes(p->kernel->nr, steps),
                           .a_panels = ceil_div(p->s.m, p->kernel->mr),
                           .b_panels = ceil_div(p->s.n, p->kernel->nr),
                           .steps = steps};
    bn_gemm_out out = {.c = c,
                       .base = c,
                       .rows = p->s.m,
                       .cols = p->s.n,
                       .row_scale = scale,
                       .scale = 0.5F,
                       .row_sum = p->a_sum,
                       .offset_factor = p->offset,
                       .integer = p->a_sum != NULL};
    bn_gemm_run(&block, &out);
    for (size_t i = 0; i < count; i++) {
        double unit = (double)scale[i / (size_t)p->s.n];
        double want = 1.0 + p->expected[i] * 0.5 * unit;
        double off = fabs((double)c[i] - want);
        double allowed = p->tolerance * (unit + fabs(want));
        if (off <= allowed) continue;
        print_error("m %d n %d k %d down %d at %zu: %g, expected %g\n", p->s.m, p->s.n, p->s.k,
                    p->down, i, (double)c[i], want);
        fail();
    }
    free(scale);
    free(c);
    free(b);
    free(a);
}

static double *expect(const double *a, const double *b, shape s, bool down)
{
    double *c = calloc((size_t)s.m * (size_t)s.n, sizeof *c);
    assert_non_null(c);
    for (int i = 0; i < s.m; i++) {
        for (int j = 0; j < s.n; j++) {
            for (int k = 0; k < s.k; k++) {
                double x = down ? a[k * s.m + i] : a[i * s.k + k];
                double y = down ? b[k * s.n + j] : b[j * s.k + k];
                c[i * s.n + j] += x * y;
            }
        }
    }
    return c;
}

static bn_source source_of(const void *data, int lanes, int k, bool down, bn_fetch *fetch,
                           int bytes)
{
    return (bn_source){.data = data,
                       .rows = down ? k : lanes,
                       .cols = down ? lanes : k,
                       .fetch = fetch,
                       .element_bytes = bytes};
}

/* Floats as f32 and as bf16. */
static void check_floats(const bn_kernel *kernels, shape s, bool down, uint64_t key)
{
    size_t na = (size_t)s.m * (size_t)s.k, nb = (size_t)s.n * (size_t)s.k;
    float *a = malloc((na + nb) * sizeof *a), *b = a + na;
    double *da = malloc((na + nb) * sizeof *da), *db = da + na;
    assert_true(a && da);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        for (size_t i = 0; i < na + nb; i++) {
            a[i] = (float)bn_rng_normal(key, i);
            da[i] = bf16 ? (double)bn_bf16_to_float(bn_bf16_from_float(a[i])) : (double)a[i];
        }
        const bn_kernel *kernel = &kernels[bf16 ? BN_PRODUCT_KIND_BF16 : BN_PRODUCT_KIND_F32];
        bool wide = kernel->group == 1;
        bn_fetch *fetch = !bf16 ? bn_fetch_f32 : wide ? bn_fetch_f32_bf16_wide : bn_fetch_f32_bf16;
        double *expected = expect(da, db, s, down);
        problem p = {.kernel = kernel,
                     .s = s,
                     .a = source_of(a, s.m, s.k, down, fetch, wide ? 4 : 2),
                     .b = source_of(b, s.n, s.k, down, fetch, wide ? 4 : 2),
                     .down = down,
                     .expected = expected,
                     .tolerance = 2e-6 * sqrt((double)s.k)};
        check(&p);
        free(expected);
    }
    free(da);
    free(a);
}

/* int8 by codes 0..2 (2 bits) and by any uint8, the offset taken off: exact. */
static void check_integers(const bn_kernel *kernels, shape s, bool down, uint64_t key)
{
    size_t na = (size_t)s.m * (size_t)s.k, nb = (size_t)s.n * (size_t)s.k;
    int8_t *a = malloc(na + nb);
    uint8_t *b = (uint8_t *)a + na;
    double *da = malloc((na + nb) * sizeof *da), *db = da + na;
    int32_t *sum = calloc((size_t)s.m, sizeof *sum);
    assert_true(a && da && sum);
    for (int any = 0; any < 2; any++) {
        int offset = any ? 128 : 1;
        for (size_t i = 0; i < na; i++) a[i] = (int8_t)((int)bn_rng_below(key, i, 255) - 127);
        for (size_t i = 0; i < nb; i++) {
            b[i] = (uint8_t)bn_rng_below(key, na + i, any ? 256 : 3);
            db[i] = (double)b[i] - offset;
        }
        for (int i = 0; i < s.m; i++) sum[i] = 0;
        for (size_t i = 0; i < na; i++) {
            da[i] = (double)a[i];
            sum[down ? i % (size_t)s.m : i / (size_t)s.k] += a[i];
        }
        double *expected = expect(da, db, s, down);
        problem p = {.kernel = &kernels[any ? BN_PRODUCT_KIND_U8 : BN_PRODUCT_KIND_U2],
                     .s = s,
                     .a = source_of(a, s.m, s.k, down, bn_fetch_1_byte, 1),
                     .b = source_of(b, s.n, s.k, down, bn_fetch_1_byte, 1),
                     .down = down,
                     .codes = !any,
                     .expected = expected,
                     .a_sum = sum,
                     .offset = offset,
                     .tolerance = 2e-7};
        check(&p);
        free(expected);
    }
    free(sum);
    free(da);
    free(a);
}

static const shape SHAPES[] = {
    {1, 1, 1},     {1, 129, 3},     {129, 1, 7},   {2, 3, 129},    {12, 32, 16},
    {13, 33, 17},  {11, 31, 15},    {24, 64, 64},  {25, 65, 63},   {5, 127, 40},
    {127, 5, 128}, {128, 128, 128}, {7, 257, 600}, {64, 48, 1030},
};

static void on_every_set(void (*body)(const bn_kernel *, shape, bool, uint64_t))
{
    bn_isa sets[BN_ISA_MAX];
    size_t count = bn_isa_available(sets);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof SHAPES / sizeof SHAPES[0]; j++) {
            body(sets[i].kernels, SHAPES[j], false, j);
            body(sets[i].kernels, SHAPES[j], true, j);
        }
    }
}

static void test_float_products_of_ragged_shapes_match_loops_on_every_set(void **state)
{
    (void)state;
    on_every_set(check_floats);
}

static void test_integer_products_of_ragged_shapes_are_exact_on_every_set(void **state)
{
    (void)state;
    on_every_set(check_integers);
}

static void test_extreme_codes_do_not_saturate(void **state)
{
    (void)state;
    enum { K = 1024 };
    bn_isa sets[BN_ISA_MAX];
    size_t count = bn_isa_available(sets);
    for (size_t i = 0; i < count; i++) {
        int8_t a[K];
        uint8_t b[K];
        memset(a, 127, sizeof a);
        memset(b, 255, sizeof b);
        double expected = 127.0 * 127.0 * K;
        int32_t sum = 127 * K;
        problem p = {.kernel = &sets[i].kernels[BN_PRODUCT_KIND_U8],
                     .s = {1, 1, K},
                     .a = source_of(a, 1, K, false, bn_fetch_1_byte, 1),
                     .b = source_of(b, 1, K, false, bn_fetch_1_byte, 1),
                     .expected = &expected,
                     .a_sum = &sum,
                     .offset = 128,
                     .tolerance = 2e-7};
        check(&p);
    }
}

static void test_an_unknown_set_is_refused_and_the_known_are_named(void **state)
{
    (void)state;
    bn_isa isa;
    bn_error err = {0};
    assert_int_equal(bn_isa_choose(&isa, "mmx", &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "portable"));
    bn_error none = {0};
    assert_int_equal(bn_isa_choose(&isa, NULL, &none), BN_OK);
    assert_int_equal(bn_isa_choose(&isa, "portable", &none), BN_OK);
    assert_string_equal(isa.name, "portable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float_products_of_ragged_shapes_match_loops_on_every_set),
        cmocka_unit_test(test_integer_products_of_ragged_shapes_are_exact_on_every_set),
        cmocka_unit_test(test_extreme_codes_do_not_saturate),
        cmocka_unit_test(test_an_unknown_set_is_refused_and_the_known_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
