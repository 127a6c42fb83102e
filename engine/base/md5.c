#include "engine/base/md5.h"

#include <stdio.h>
#include <string.h>

/* floor(2^32 |sin(i + 1)|) */
static const uint32_t SINE[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static uint32_t rotate(uint32_t x, int bits)
{
    return x << bits | x >> (32 - bits);
}

/* What round `round` makes of its three words: the RFC's F, G, H and I. */
static uint32_t mix(int round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round) {
    case 0:
        return (b & c) | (~b & d);
    case 1:
        return (b & d) | (c & ~d);
    case 2:
        return b ^ c ^ d;
    default:
        return c ^ (b | ~d);
    }
}

static void compress(uint32_t state[4], const uint8_t block[64])
{
    static const int shifts[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    static const int strides[4] = {1, 5, 3, 7}, starts[4] = {0, 1, 5, 0};
    uint32_t words[16];
    for (int i = 0; i < 16; i++) {
        const uint8_t *p = block + 4 * i;
        words[i] = (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 64; i++) {
        int round = i / 16;
        uint32_t word = words[(starts[round] + strides[round] * i) % 16];
        uint32_t turned = rotate(a + mix(round, b, c, d) + word + SINE[i], shifts[round][i % 4]);
        a = d;
        d = c;
        c = b;
        b += turned;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void bn_md5_init(bn_md5 *hash)
{
    static const uint32_t start[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    memcpy(hash->state, start, sizeof start);
    hash->bytes = 0;
}

void bn_md5_add(bn_md5 *hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t used = (size_t)(hash->bytes % 64);
    hash->bytes += size;
    while (size > 0) {
        size_t take = 64 - used < size ? 64 - used : size;
        memcpy(hash->block + used, bytes, take);
        used += take;
        bytes += take;
        size -= take;
        if (used == 64) {
            compress(hash->state, hash->block);
            used = 0;
        }
    }
}

static void end(bn_md5 *hash, uint8_t digest[16])
{
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = hash->bytes * 8;
    size_t used = (size_t)(hash->bytes % 64);
    bn_md5_add(hash, padding, used < 56 ? 56 - used : 120 - used);
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> 8 * i);
    bn_md5_add(hash, length, sizeof length);
    for (int i = 0; i < 16; i++) digest[i] = (uint8_t)(hash->state[i / 4] >> 8 * (i % 4));
}

void bn_md5_hex(bn_md5 *hash, char out[BN_MD5_HEX])
{
    uint8_t digest[16];
    end(hash, digest);
    for (int i = 0; i < 16; i++) (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void bn_md5_base64(bn_md5 *hash, char out[BN_MD5_BASE64])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t digest[18] = {0}; /* of two more bytes than the hash has, so that threes go in */
    end(hash, digest);
    for (int i = 0; i < 6; i++) {
        const uint8_t *p = digest + 3 * i;
        uint32_t three = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        for (int k = 0; k < 4; k++) out[4 * i + k] = letters[three >> (18 - 6 * k) & 63];
    }
    memcpy(out + 22, "==", 3);
}
