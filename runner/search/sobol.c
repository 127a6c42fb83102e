#include "runner/search/sobol.h"

#include "engine/base/rng.h"

/* Dimensions 2, 3, ...: degree s and inner coefficients a of the primitive polynomial, and the
 * first s odd direction numbers m. Dimension 1 is van der Corput's. */
typedef struct direction_row {
    unsigned char s, a, m[7];
} direction_row;

static const direction_row ROWS[BN_SOBOL_DIMS_MAX - 1] = {
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
    {3, 2, {1, 1, 1}},
    {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}},
    {5, 2, {1, 1, 5, 5, 17}},
    {5, 4, {1, 1, 5, 5, 5}},
    {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}},
    {5, 13, {1, 1, 1, 3, 11}},
    {5, 14, {1, 3, 5, 5, 31}},
    {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}},
    {6, 16, {1, 3, 1, 13, 27, 49}},
    {6, 19, {1, 1, 1, 15, 7, 5}},
    {6, 22, {1, 3, 1, 15, 13, 25}},
    {6, 25, {1, 1, 5, 5, 19, 61}},
    {7, 1, {1, 3, 7, 11, 23, 15, 103}},
    {7, 4, {1, 3, 7, 13, 13, 15, 69}},
    {7, 7, {1, 1, 3, 13, 7, 35, 63}},
    {7, 8, {1, 3, 5, 9, 1, 25, 53}},
    {7, 14, {1, 3, 1, 13, 9, 35, 107}},
    {7, 19, {1, 3, 1, 5, 27, 61, 31}},
    {7, 21, {1, 1, 5, 11, 19, 41, 61}},
    {7, 28, {1, 3, 5, 3, 3, 13, 69}},
    {7, 31, {1, 1, 7, 13, 1, 19, 1}},
    {7, 32, {1, 3, 7, 5, 13, 19, 59}},
    {7, 37, {1, 1, 3, 9, 25, 29, 41}},
    {7, 41, {1, 3, 5, 13, 23, 1, 55}},
    {7, 42, {1, 3, 7, 3, 13, 59, 17}},
};

/* V[i] = m[i] 2^(31 - i); m by the recurrence of the polynomial. */
static void set_directions(uint32_t v[BN_SOBOL_BITS], const direction_row *row)
{
    unsigned s = row->s;
    for (unsigned i = 0; i < BN_SOBOL_BITS; i++) {
        if (i < s) {
            v[i] = (uint32_t)row->m[i] << (31 - i);
            continue;
        }
        v[i] = v[i - s] ^ (v[i - s] >> s);
        for (unsigned k = 1; k < s; k++) {
            if (row->a >> (s - 1 - k) & 1U) v[i] ^= v[i - k];
        }
    }
}

void bn_sobol_init(bn_sobol *sobol, uint64_t seed)
{
    sobol->seed = bn_rng_key(seed, "sobol", 0);
    for (unsigned i = 0; i < BN_SOBOL_BITS; i++) sobol->directions[0][i] = 1U << (31 - i);
    for (int dim = 1; dim < BN_SOBOL_DIMS_MAX; dim++) {
        set_directions(sobol->directions[dim], &ROWS[dim - 1]);
    }
}

uint32_t bn_sobol_digits(const bn_sobol *sobol, int dim, uint64_t index)
{
    uint32_t digits = 0;
    uint64_t gray = index ^ (index >> 1);
    for (int bit = 0; bit < BN_SOBOL_BITS && gray; bit++, gray >>= 1) {
        if (gray & 1U) digits ^= sobol->directions[dim][bit];
    }
    return digits;
}

static uint32_t reverse(uint32_t x)
{
    x = (x & 0x55555555U) << 1 | (x >> 1 & 0x55555555U);
    x = (x & 0x33333333U) << 2 | (x >> 2 & 0x33333333U);
    x = (x & 0x0F0F0F0FU) << 4 | (x >> 4 & 0x0F0F0F0FU);
    x = (x & 0x00FF00FFU) << 8 | (x >> 8 & 0x00FF00FFU);
    return x << 16 | x >> 16;
}

/* Each digit is flipped by a hash of the digits before it: Laine and Karras' permutation of the
 * reversed word, with Burley's constants. */
static uint32_t scramble(uint32_t digits, uint32_t seed)
{
    uint32_t x = reverse(digits);
    x ^= x * 0x3D20ADEAU;
    x += seed;
    x *= (seed >> 16) | 1U;
    x ^= x * 0x05526C56U;
    x ^= x * 0x53A22864U;
    return reverse(x);
}

double bn_sobol_at(const bn_sobol *sobol, int dim, uint64_t index)
{
    if (dim >= BN_SOBOL_DIMS_MAX) {
        return bn_rng_uniform(bn_rng_key(sobol->seed, "beyond", (uint64_t)dim), index);
    }
    uint32_t seed = (uint32_t)bn_rng_bits(sobol->seed, (uint64_t)dim);
    uint32_t digits = scramble(bn_sobol_digits(sobol, dim, index), seed);
    return ((double)digits + 0.5) * 0x1p-32;
}

void bn_sobol_points_init(bn_sobol_points *points, const bn_space *space, uint64_t seed)
{
    bn_sobol_init(&points->sobol, seed);
    points->space = space;
    points->axes = bn_space_axes(space, points->leads);
}

void bn_sobol_candidate(const void *self, int64_t number, bn_point *out)
{
    const bn_sobol_points *points = self;
    out->count = points->space->count;
    for (int i = 0; i < points->axes; i++) {
        double u = bn_sobol_at(&points->sobol, i, (uint64_t)number);
        bn_space_choose_at(points->space, points->leads[i], u, out);
    }
}
