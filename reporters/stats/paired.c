#include "reporters/stats/paired.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "reporters/stats/special.h"

enum {
    STUDENT_FROM = 5,
    BCA_FROM = 10,
    RESAMPLES = 10000,
    RESAMPLES_LEAST = 1000,
    DRAWS_MAX =
        10000000, /* of all resamples together: beyond 1,000 pairs there are fewer of them */
    EXACT_PAIRS = 16,
    FLIPS = 100000,
};

/* The differences sorted by group, and where each group begins. */
typedef struct sample {
    double *values;
    size_t *starts; /* group_count + 1 */
    size_t count, group_count;
} sample;

static int compare_groups(const void *a, const void *b)
{
    const bn_pair_difference *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sample_release(sample *s)
{
    free(s->values);
    free(s->starts);
}

static bn_status sample_init(sample *s, const bn_pair_difference *differences, size_t count,
                             bn_error *err)
{
    bn_pair_difference *sorted = calloc(count, sizeof *sorted);
    *s = (sample){.values = calloc(count, sizeof *s->values),
                  .starts = calloc(count + 1, sizeof *s->starts),
                  .count = count};
    if (!sorted || !s->values || !s->starts) {
        free(sorted);
        sample_release(s);
        (void)bn_fail(err, BN_ENOMEM, "%zu pairs: out of memory", count);
        return BN_ENOMEM;
    }
    memcpy(sorted, differences, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_groups);
    for (size_t i = 0; i < count; i++) {
        s->values[i] = sorted[i].value;
        if (i == 0 || sorted[i].group != sorted[i - 1].group) s->starts[s->group_count++] = i;
    }
    s->starts[s->group_count] = count;
    free(sorted);
    return BN_OK;
}

static double mean_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += values[i];
    return sum / (double)count;
}

/* One resample: groups with replacement, then as many differences inside each as it has. */
static double resampled_mean(const sample *s, uint64_t key, uint64_t *index)
{
    double sum = 0;
    size_t drawn = 0;
    for (size_t g = 0; g < s->group_count; g++) {
        size_t group = s->group_count == 1 ? 0 : bn_rng_below(key, (*index)++, s->group_count);
        size_t start = s->starts[group], size = s->starts[group + 1] - start;
        for (size_t i = 0; i < size; i++) {
            sum += s->values[start + bn_rng_below(key, (*index)++, size)];
        }
        drawn += size;
    }
    return sum / (double)drawn;
}

/* The mean without one unit: a group, or with a single group one difference. */
static double left_out_mean(const sample *s, double total, size_t unit)
{
    bool single = s->group_count == 1;
    size_t start = single ? unit : s->starts[unit];
    size_t end = single ? unit + 1 : s->starts[unit + 1];
    for (size_t i = start; i < end; i++) total -= s->values[i];
    return total / (double)(s->count - (end - start));
}

static double acceleration(const sample *s)
{
    size_t units = s->group_count == 1 ? s->count : s->group_count;
    double total = 0, mean = 0, squares = 0, cubes = 0;
    for (size_t i = 0; i < s->count; i++) total += s->values[i];
    for (size_t i = 0; i < units; i++) mean += left_out_mean(s, total, i) / (double)units;
    for (size_t i = 0; i < units; i++) {
        double off = mean - left_out_mean(s, total, i);
        squares += off * off;
        cubes += off * off * off;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

/* The place in the sorted resamples where the 2.5 % or 97.5 % end lies after both corrections. */
static double bca_end(const double *means, size_t count, const double z[2], double p)
{
    double z0 = z[0], a = z[1], n = (double)count;
    double q = z0 + bn_gauss_quantile(p);
    double share = bn_gauss_cdf(z0 + q / (1 - a * q));
    double place = share * n - 0.5;
    if (place < 0) place = 0;
    if (place > n - 1) place = n - 1;
    size_t below = (size_t)place;
    size_t above = below + 1 < count ? below + 1 : below;
    return means[below] + (place - (double)below) * (means[above] - means[below]);
}

static bn_status bca(const sample *s, uint64_t seed, bn_paired *out, bn_error *err)
{
    size_t resamples = DRAWS_MAX / s->count < RESAMPLES ? DRAWS_MAX / s->count : RESAMPLES;
    if (resamples < RESAMPLES_LEAST) resamples = RESAMPLES_LEAST;
    double *means = calloc(resamples, sizeof *means);
    if (!means) return bn_fail(err, BN_ENOMEM, "bootstrap: out of memory");
    uint64_t key = bn_rng_key(seed, "bootstrap", 0), index = 0;
    double below = 0;
    for (size_t i = 0; i < resamples; i++) {
        means[i] = resampled_mean(s, key, &index);
        /* Ties count half: differences are often equal to the last digit. */
        below += means[i] < out->mean ? 1 : means[i] == out->mean ? 0.5 : 0;
    }
    qsort(means, resamples, sizeof *means, compare_doubles);
    double n = (double)resamples, share = fmin(fmax(below / n, 0.5 / n), 1 - 0.5 / n);
    double z[2] = {bn_gauss_quantile(share), acceleration(s)};
    out->low = bca_end(means, resamples, z, 0.025);
    out->high = bca_end(means, resamples, z, 0.975);
    free(means);
    return BN_OK;
}

static void student(const sample *s, bn_paired *out)
{
    double squares = 0, n = (double)s->count;
    for (size_t i = 0; i < s->count; i++) {
        squares += (s->values[i] - out->mean) * (s->values[i] - out->mean);
    }
    double half = bn_student_quantile(0.975, n - 1) * sqrt(squares / (n - 1) / n);
    out->low = out->mean - half;
    out->high = out->mean + half;
}

/* The sums of eight differences under each of the 256 patterns of signs. */
typedef double flip_table[256];

static void fill_table(const double *values, size_t count, double *table)
{
    table[0] = 0;
    for (size_t i = 0; i < count; i++) table[0] += values[i];
    for (size_t pattern = 1; pattern < 256; pattern++) {
        size_t highest = 0;
        while (pattern >> (highest + 1)) highest++;
        double flipped = highest < count ? 2 * values[highest] : 0;
        table[pattern] = table[pattern - ((size_t)1 << highest)] - flipped;
    }
}

/* How often sums of the tables by chance (or, exact, of every pattern) reach the limit. */
static uint64_t count_hits(flip_table *tables, const sample *s, uint64_t key, double limit)
{
    bool exact = s->count <= EXACT_PAIRS;
    uint64_t draws = exact ? UINT64_C(1) << s->count : FLIPS, hits = 0;
    for (uint64_t draw = 0; draw < draws; draw++) {
        uint64_t word = draw;
        double sum = 0;
        for (size_t t = 0; 8 * t < s->count; t++) {
            if (!exact && t % 8 == 0) {
                word = bn_rng_bits(key, draw * (s->count / 64 + 1) + t / 8);
            }
            sum += tables[t][word >> 8 * (t % 8) & 255];
        }
        hits += fabs(sum) >= limit;
    }
    return hits;
}

/* How often a mean of the same sizes with signs by chance is as far from zero as the one seen. */
static bn_status sign_flip(const sample *s, uint64_t seed, double *p, bn_error *err)
{
    size_t table_count = (s->count + 7) / 8;
    flip_table *tables = calloc(table_count, sizeof *tables);
    if (!tables) return bn_fail(err, BN_ENOMEM, "sign-flip test: out of memory");
    double seen = 0, scale = 0;
    for (size_t i = 0; i < s->count; i++) {
        seen += s->values[i];
        scale += fabs(s->values[i]);
    }
    for (size_t t = 0; t < table_count; t++) {
        size_t rest = s->count - 8 * t;
        fill_table(s->values + 8 * t, rest < 8 ? rest : 8, tables[t]);
    }
    /* Sums of the same numbers in another order differ in their last bits only. */
    double limit = fabs(seen) - 1e-12 * scale;
    double hits = (double)count_hits(tables, s, bn_rng_key(seed, "flips", 0), limit);
    free(tables);
    /* The sample itself is one of the flips: never zero (Phipson and Smyth 2010). */
    bool exact = s->count <= EXACT_PAIRS;
    *p = exact ? hits / (double)(UINT64_C(1) << s->count) : (hits + 1) / (FLIPS + 1.0);
    return BN_OK;
}

bn_status bn_paired_compare(const bn_pair_difference *differences, size_t count, uint64_t seed,
                            bn_paired *out, bn_error *err)
{
    const double nan = (double)NAN;
    *out = (bn_paired){.count = count, .mean = nan, .low = nan, .high = nan, .p = nan};
    if (count == 0) return BN_OK;
    sample s;
    bn_status status = sample_init(&s, differences, count, err);
    if (status != BN_OK) return status;
    out->mean = mean_of(s.values, s.count);
    for (size_t i = 0; i < count; i++) {
        assert(isfinite(s.values[i]));
        out->above += s.values[i] > 0;
        out->ties += s.values[i] == 0;
        out->below += s.values[i] < 0;
    }
    if (count >= BCA_FROM) {
        out->interval = BN_INTERVAL_BCA;
        status = bca(&s, seed, out, err);
    } else if (count >= STUDENT_FROM) {
        out->interval = BN_INTERVAL_STUDENT;
        student(&s, out);
    }
    if (status == BN_OK && count >= STUDENT_FROM) status = sign_flip(&s, seed, &out->p, err);
    sample_release(&s);
    return status;
}

typedef struct ranked {
    double p;
    size_t index;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return (x->p > y->p) - (x->p < y->p);
}

void bn_holm(double *p, size_t count)
{
    ranked items[BN_HOLM_MAX];
    size_t known = 0;
    assert(count <= BN_HOLM_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!isnan(p[i])) items[known++] = (ranked){p[i], i};
    }
    qsort(items, known, sizeof *items, compare_ranked);
    double largest = 0;
    for (size_t i = 0; i < known; i++) {
        double corrected = fmin(1, items[i].p * (double)(known - i));
        largest = fmax(largest, corrected); /* never below one that was smaller before */
        p[items[i].index] = largest;
    }
}
