/* Attention of the cpu backend: what it needs of each instruction set against plain loops, and the
 * op against the reference over ragged shapes, in f32 and bf16. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/half.h"
#include "engine/base/rng.h"
#include "engine/cpu/isa.h"
#include "support/cmocka_all.h"
#include "support/ops_lab.h"

enum { WORDS = 1 << 14, COUNT_MAX = 129 };

/* Words and floats of one test, and the form of the table under test. */
typedef struct bench {
    const bn_attend *form;
    uint64_t key;
    uint32_t a[WORDS], b[WORDS];
    float x[WORDS], c[WORDS];
} bench;

static const bn_isa *isa_under_test(void)
{
    bn_error err = {0};
    const bn_isa *isa = NULL;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
    assert_int_equal(bn_isa_choose(&isa, getenv("BNEXP_ISA"), &err), BN_OK);
    return isa;
}

/* A float that bf16 holds, as the first or the second element of a word. */
static uint32_t draw_word(const bench *b, uint64_t index)
{
    float x = (float)bn_rng_normal(b->key, index);
    float y = (float)bn_rng_normal(b->key, index + (1U << 20));
    if (b->form->group == 1) return bn_float_bits(x);
    return (uint32_t)bn_bf16_from_float(x) | (uint32_t)bn_bf16_from_float(y) << 16;
}

static double word_product(const bench *b, uint32_t x, uint32_t y)
{
    if (b->form->group == 1) return (double)bn_float_from_bits(x) * (double)bn_float_from_bits(y);
    double low = (double)bn_bf16_to_float((uint16_t)x) * (double)bn_bf16_to_float((uint16_t)y);
    return low + (double)bn_bf16_to_float((uint16_t)(x >> 16)) *
                     (double)bn_bf16_to_float((uint16_t)(y >> 16));
}

static void fill_bench(bench *b, const bn_attend *form)
{
    b->form = form;
    b->key = bn_rng_key(5, "attend", 0);
    for (uint64_t i = 0; i < WORDS; i++) {
        b->a[i] = draw_word(b, i);
        b->b[i] = draw_word(b, i + WORDS);
        b->x[i] = b->c[i] = (float)bn_rng_normal(b->key, i + (1U << 22));
    }
}

/* Runs `check` for both forms of the instruction set. */
static void for_each_form(void (*check)(bench *b))
{
    const bn_isa *isa = isa_under_test();
    for (int i = 0; i < 2; i++) {
        bench b;
        fill_bench(&b, &isa->attend[i]);
        check(&b);
    }
}

/* b->c against b->x, which is what C held before. */
static void assert_product(const bench *b, const bn_attend_product *p)
{
    for (int r = 0; r < b->form->rows; r++) {
        for (int l = 0; l < b->form->lanes; l++) {
            size_t at = (size_t)r * p->c_row + (size_t)l;
            double sum = p->add ? (double)b->x[at] : 0;
            for (size_t s = 0; s < p->steps; s++) {
                uint32_t word = p->a[(size_t)r * p->a_row + s * p->a_step];
                sum += word_product(b, word, p->b[s * p->b_step + (size_t)l]);
            }
            assert_true(fabs((double)p->c[at] - sum) < 2e-5 * sqrt((double)p->steps));
        }
    }
}

static void check_products(bench *b)
{
    for (size_t steps = 1; steps <= COUNT_MAX; steps += steps < 5 ? 1 : 31) {
        for (int across = 0; across < 2; across++) {
            bn_attend_product p = {.a = b->a + steps % 3,
                                   .b = b->b,
                                   .c = b->c,
                                   .a_row = across ? 1 : steps + 3,
                                   .a_step = across ? 37 : 1,
                                   .b_step = 33 + steps % 5,
                                   .c_row = 40,
                                   .steps = steps,
                                   .add = steps % 2 == 1};
            memcpy(b->c, b->x, sizeof b->c);
            b->form->product(&p);
            assert_product(b, &p);
        }
    }
}

static void test_products_are_those_of_plain_loops(void **state)
{
    (void)state;
    for_each_form(check_products);
}

/* Element i of a row of words along. */
static double element(const bench *b, const uint32_t *words, size_t i)
{
    if (b->form->group == 1) return (double)bn_float_from_bits(words[i]);
    return (double)bn_bf16_to_float((uint16_t)(words[i / 2] >> 16 * (i % 2)));
}

static void check_conversion(bench *b)
{
    const float *x = b->x, *y = b->x + 1000;
    for (size_t count = 1; count <= COUNT_MAX; count++) {
        size_t words = (count + (size_t)b->form->group - 1) / (size_t)b->form->group;
        memset(b->a, 0xAB, sizeof b->a);
        b->form->along(b->a, x, count);
        for (size_t i = 0; i < words * (size_t)b->form->group; i++) {
            float rounded = b->form->group == 1 ? x[i] : bn_bf16_to_float(bn_bf16_from_float(x[i]));
            assert_true(element(b, b->a, i) == (i < count ? (double)rounded : 0));
        }
        assert_int_equal(b->a[words], 0xABABABAB);
        const float *second = count % 2 ? y : NULL;
        b->form->across(b->a, x, second, count);
        for (size_t i = 0; i < count; i++) {
            uint32_t high = second ? (uint32_t)bn_bf16_from_float(y[i]) << 16 : 0;
            uint32_t pair = bn_bf16_from_float(x[i]) | high;
            assert_int_equal(b->a[i], b->form->group == 1 ? bn_float_bits(x[i]) : pair);
        }
        assert_int_equal(b->a[count], 0xABABABAB);
    }
}

static void test_words_along_and_across_are_the_rounded_floats(void **state)
{
    (void)state;
    for_each_form(check_conversion);
}

static void check_weights(bench *b)
{
    const double factor = 0.7;
    double rounding = b->form->group == 1 ? 2e-5 : 0x1p-8;
    size_t count = (size_t)(4 * b->form->lanes);
    for (size_t i = 0; i < count; i += 7) b->x[i] = -60 * fabsf(b->x[i]);
    b->x[3] = -INFINITY;
    double sum = 0;
    double found = (double)b->form->weigh(b->a, b->x, (float)factor, 2.5F, count);
    for (size_t i = 0; i < count; i++) {
        double weight = exp(((double)b->x[i] - 2.5) * (double)(float)factor);
        assert_true(fabs(element(b, b->a, i) - weight) <= rounding * weight + 1e-37);
        sum += weight;
    }
    assert_true(element(b, b->a, 3) == 0);
    assert_true(fabs(found - sum) < 1e-5 * sum);
    b->x[5] = NAN;
    assert_true(isnan(b->form->weigh(b->a, b->x, (float)factor, 2.5F, count)));
}

static void test_weights_are_exponentials(void **state)
{
    (void)state;
    for_each_form(check_weights);
}

/* Element of row r, column i of words across. */
static double across(const bench *b, const uint32_t *words, int r, size_t i)
{
    if (b->form->group == 1) return (double)bn_float_from_bits(words[i]);
    return (double)bn_bf16_to_float((uint16_t)(words[i] >> 16 * r));
}

static void check_slopes(bench *b)
{
    size_t count = (size_t)(3 * b->form->lanes);
    bn_attend_slopes s = {.scores = b->x,
                          .dp = b->x + 5000,
                          .step = 200,
                          .shift = {0.3F, -0.2F},
                          .mean = {0.1F, 0.4F},
                          .factor = 0.5F,
                          .weights = b->a,
                          .slopes = b->a + 1000,
                          .rows = b->a + 2000,
                          .row_step = 100};
    double rounding = b->form->group == 1 ? 2e-6 : 0x1p-8;
    b->x[7] = -INFINITY;
    b->form->slope(&s, count);
    for (size_t n = 0; n < count * (size_t)b->form->group; n++) {
        int r = (int)(n / count);
        size_t i = n % count, at = (size_t)r * s.step + i;
        double p = exp(((double)s.scores[at] - (double)s.shift[r]) * (double)s.factor);
        double slope = p * ((double)s.dp[at] - (double)s.mean[r]) * (double)s.factor;
        assert_true(fabs(across(b, s.weights, r, i) - p) <= rounding * p);
        assert_true(fabs(across(b, s.slopes, r, i) - slope) <= rounding * fabs(slope) + 1e-6 * p);
        if (b->form->group == 1) continue;
        assert_true(element(b, s.rows + (size_t)r * s.row_step, i) == across(b, s.slopes, r, i));
    }
}

static void test_slopes_are_those_of_softmax(void **state)
{
    (void)state;
    for_each_form(check_slopes);
}

typedef struct shape {
    int batch, seq, heads, kv_heads, dim;
} shape;

/* What bf16 holds, so that only the weights and their gradients are rounded in the products. */
static bn_mat draw(lab *l, int rows, int cols)
{
    bn_mat mat = lab_mat(l, rows, cols, 1);
    for (int i = 0; i < rows * cols; i++) {
        mat.data[i] = bn_bf16_to_float(bn_bf16_from_float(mat.data[i]));
    }
    return mat;
}

enum { RESULTS = 5 };
typedef struct results {
    const float *data[RESULTS];
    size_t count[RESULTS];
} results;

static results attend(lab *l, shape s, bn_dtype products)
{
    int rows = s.batch * s.seq, width = s.heads * s.dim, kv_width = s.kv_heads * s.dim;
    size_t wide = (size_t)rows * (size_t)width, narrow = (size_t)rows * (size_t)kv_width;
    bn_attention_args a = {.q = draw(l, rows, width),
                           .k = draw(l, rows, kv_width),
                           .v = draw(l, rows, kv_width),
                           .out = lab_mat(l, rows, width, 0),
                           .lse = lab_floats(l, (size_t)rows * (size_t)s.heads),
                           .batch = s.batch,
                           .seq = s.seq,
                           .heads = s.heads,
                           .kv_heads = s.kv_heads,
                           .dim = s.dim,
                           .products = products};
    bn_attention_grads g = {.dout = draw(l, rows, width),
                            .dq = lab_mat(l, rows, width, 1),
                            .dk = lab_mat(l, rows, kv_width, 1),
                            .dv = lab_mat(l, rows, kv_width, 1)};
    bn_attention_forward(l->be, &a);
    bn_attention_backward(l->be, &a, &g);
    lab_wait(l);
    return (results){{a.out.data, a.lse, g.dq.data, g.dk.data, g.dv.data},
                     {wide, (size_t)rows * (size_t)s.heads, wide, narrow, narrow}};
}

/* A rounded weight errs by 2^-9 of itself, and of many the errors cancel; gradients of a query that
 * sees itself alone are differences of such and small. */
static void assert_agrees(shape s, bn_dtype products)
{
    lab tested = lab_open("cpu:2"), reference = lab_open("reference");
    results a = attend(&tested, s, products), b = attend(&reference, s, products);
    for (int i = 0; i < RESULTS; i++) {
        lab_assert_near(a.data[i], b.data[i], a.count[i], products == BN_F32 ? 2e-5 : 8e-3);
    }
    lab_close(&tested);
    lab_close(&reference);
}

static void test_ragged_shapes_agree_with_the_reference(void **state)
{
    (void)state;
    static const shape fixed[] = {{1, 2, 1, 1, 1},   {1, 129, 2, 1, 129}, {2, 64, 2, 2, 32},
                                  {1, 65, 3, 1, 33}, {2, 127, 1, 1, 2},   {1, 60, 4, 2, 64}};
    uint64_t key = bn_rng_key(7, "attention", 0);
    for (int products = 0; products < 2; products++) {
        bn_dtype dtype = products ? BN_BF16 : BN_F32;
        for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) assert_agrees(fixed[i], dtype);
        for (uint64_t i = 0; i < 10; i++) {
            shape s = {.batch = 1 + (int)bn_rng_below(key, 5 * i, 2),
                       .seq = 2 + (int)bn_rng_below(key, 5 * i + 1, 128),
                       .kv_heads = 1 + (int)bn_rng_below(key, 5 * i + 2, 2),
                       .dim = 1 + (int)bn_rng_below(key, 5 * i + 3, 129)};
            s.heads = s.kv_heads * (1 + (int)bn_rng_below(key, 5 * i + 4, 3));
            assert_agrees(s, dtype);
        }
    }
}

static void test_bits_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    shape s = {3, 70, 4, 2, 24};
    lab one = lab_open("cpu:1"), three = lab_open("cpu:3");
    for (int products = 0; products < 2; products++) {
        results a = attend(&one, s, products ? BN_BF16 : BN_F32);
        results b = attend(&three, s, products ? BN_BF16 : BN_F32);
        for (int i = 0; i < RESULTS; i++) {
            assert_memory_equal(a.data[i], b.data[i], a.count[i] * sizeof(float));
        }
    }
    lab_close(&one);
    lab_close(&three);
}

int main(void)
{
    const struct CMUnitTest each_isa[] = {
        cmocka_unit_test(test_products_are_those_of_plain_loops),
        cmocka_unit_test(test_words_along_and_across_are_the_rounded_floats),
        cmocka_unit_test(test_weights_are_exponentials),
        cmocka_unit_test(test_slopes_are_those_of_softmax),
        cmocka_unit_test(test_ragged_shapes_agree_with_the_reference),
        cmocka_unit_test(test_bits_do_not_depend_on_the_thread_count),
    };
    int failed = 0;
    int count;
    const bn_isa *table = bn_isa_table(&count);
    for (int i = 0; i < count; i++) {
        if (!bn_isa_usable(i)) {
            (void)printf("SKIP %s: this processor lacks it\n", table[i].name);
            continue;
        }
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs */
        if (setenv("BNEXP_ISA", table[i].name, 1) != 0) return 1;
        failed += cmocka_run_group_tests_name(table[i].name, each_isa, NULL, NULL);
    }
    return failed;
}
