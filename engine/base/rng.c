#include "engine/base/rng.h"

#include <math.h>

__extension__ typedef unsigned __int128 bn_u128;

static uint32_t multiply(uint32_t a, uint32_t b, uint32_t *high)
{
    uint64_t product = (uint64_t)a * b;
    *high = (uint32_t)(product >> 32);
    return (uint32_t)product;
}

void bn_rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint32_t high0, high1;
        uint32_t low0 = multiply(0xD2511F53U, c0, &high0);
        uint32_t low1 = multiply(0xCD9E8D57U, c2, &high1);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9U; /* Weyl sequence: golden ratio, sqrt(3) - 1 */
        k1 += 0xBB67AE85U;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void block(uint64_t key, uint64_t index, uint32_t out[4])
{
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), 0, 0};
    uint32_t words[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    bn_rng_philox(out, counter, words);
}

static uint64_t join(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

uint64_t bn_rng_bits(uint64_t key, uint64_t index)
{
    uint32_t out[4];
    block(key, index, out);
    return join(out[0], out[1]);
}

static double unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

double bn_rng_uniform(uint64_t key, uint64_t index)
{
    return unit(bn_rng_bits(key, index));
}

uint64_t bn_rng_below(uint64_t key, uint64_t index, uint64_t count)
{
    uint64_t bits = bn_rng_bits(key, index);
    return (uint64_t)(((bn_u128)bits * count) >> 64);
}

double bn_rng_normal(uint64_t key, uint64_t index)
{
    uint32_t out[4];
    block(key, index, out);
    double u = 1.0 - unit(join(out[0], out[1])); /* (0, 1]: its logarithm is finite */
    double angle = 6.283185307179586476925 * unit(join(out[2], out[3]));
    return sqrt(-2.0 * log(u)) * cos(angle);
}

uint64_t bn_rng_key(uint64_t parent, const char *name, uint64_t number)
{
    uint64_t hash = 0xCBF29CE484222325U; /* FNV-1a; the cipher does the mixing */
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001B3U;
    return bn_rng_bits(bn_rng_bits(parent, hash), number);
}
