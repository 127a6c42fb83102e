#include "store/pack.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { EVEN = 'e', DELTAS = 'd', FLOAT = 'f', SCALED = 's', DOUBLE = 'r' };
enum { VARINT_MAX = 10 }; /* bytes of 64 bits by seven */

static const double SCALE = 1000; /* times in milliseconds, most decimals that people write */
static const double SCALED_MAX = 9007199254740992.0; /* 2^53: beyond it products are rounded */

size_t bn_pack_room(size_t count)
{
    return 1 + 16 + VARINT_MAX * count;
}

/* Byte by byte, so that files mean the same on every machine; compilers make one move of it. */
static void put_word(unsigned char *out, uint64_t word, int bytes)
{
    for (int i = 0; i < bytes; i++) out[i] = (unsigned char)(word >> (8 * i));
}

static uint64_t get_word(const unsigned char *in, int bytes)
{
    uint64_t word = 0;
    for (int i = 0; i < bytes; i++) word |= (uint64_t)in[i] << (8 * i);
    return word;
}

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* Differences wrap: every pair of numbers has one. */
static uint64_t difference(int64_t a, int64_t b)
{
    return (uint64_t)a - (uint64_t)b;
}

static bool is_even(const int64_t *numbers, size_t count)
{
    for (size_t i = 2; i < count; i++) {
        if (difference(numbers[i], numbers[i - 1]) != difference(numbers[1], numbers[0])) {
            return false;
        }
    }
    return true;
}

/* One number after another as a zigzag varint, small differences of either sign in few bytes. */
static size_t put_delta(int64_t number, int64_t before, unsigned char *out)
{
    uint64_t step = difference(number, before);
    uint64_t zigzag = step << 1 ^ (step >> 63 ? UINT64_MAX : 0);
    size_t size = 0;
    for (; zigzag >= 128; zigzag >>= 7) out[size++] = (unsigned char)(zigzag | 128);
    out[size++] = (unsigned char)zigzag;
    return size;
}

size_t bn_pack_ints(const int64_t *numbers, size_t count, unsigned char *out)
{
    size_t size = 1;
    int64_t before = 0;
    if (count >= 2 && is_even(numbers, count)) {
        out[0] = EVEN;
        put_word(out + 1, (uint64_t)numbers[0], 8);
        put_word(out + 9, difference(numbers[1], numbers[0]), 8);
        return 17;
    }
    out[0] = DELTAS;
    for (size_t i = 0; i < count; i++) {
        size += put_delta(numbers[i], before, out + size);
        before = numbers[i];
    }
    return size;
}

/* The number that follows `number`; false: it is cut off, or longer than any that is written. */
static bool get_delta(const unsigned char *in, size_t size_bytes, size_t *at, uint64_t *number)
{
    uint64_t zigzag = 0;
    for (int i = 0; i < VARINT_MAX && *at < size_bytes; i++) {
        unsigned char byte = in[(*at)++];
        zigzag |= (uint64_t)(byte & 127) << (7 * i);
        if (byte >= 128) continue;
        *number += zigzag >> 1 ^ (zigzag & 1 ? UINT64_MAX : 0);
        return true;
    }
    return false;
}

size_t bn_unpack_ints(const unsigned char *in, size_t size_bytes, int64_t *out, size_t count)
{
    if (size_bytes == 0) return 0;
    if (in[0] == EVEN) {
        if (size_bytes < 17) return 0;
        uint64_t number = get_word(in + 1, 8), by = get_word(in + 9, 8);
        for (size_t i = 0; i < count; i++, number += by) out[i] = (int64_t)number;
        return 17;
    }
    size_t at = 1;
    uint64_t number = 0;
    if (in[0] != DELTAS) return 0;
    for (size_t i = 0; i < count; i++) {
        if (!get_delta(in, size_bytes, &at, &number)) return 0;
        out[i] = (int64_t)number;
    }
    return at;
}

/* Compared by bits: NaNs with a payload and -0 must come back as they were. */
static bool are_floats(const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (isfinite(numbers[i]) && fabs(numbers[i]) > 3e38) return false; /* no float */
        if (bits_of((double)(float)numbers[i]) != bits_of(numbers[i])) return false;
    }
    return true;
}

static bool are_scaled(const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double scaled = rint(numbers[i] * SCALE);
        if (!(fabs(scaled) < SCALED_MAX)) return false;
        if (bits_of((double)(int64_t)scaled / SCALE) != bits_of(numbers[i])) return false;
    }
    return true;
}

/* The ints are made as they are written: no array of them is needed. */
static size_t pack_scaled(const double *numbers, size_t count, unsigned char *out)
{
    size_t size = 1;
    int64_t before = 0;
    out[0] = SCALED;
    for (size_t i = 0; i < count; i++) {
        int64_t number = (int64_t)rint(numbers[i] * SCALE);
        size += put_delta(number, before, out + size);
        before = number;
    }
    return size;
}

size_t bn_pack_reals(const double *numbers, size_t count, unsigned char *out)
{
    bool floats = are_floats(numbers, count);
    if (are_scaled(numbers, count)) {
        size_t size = pack_scaled(numbers, count, out);
        if (size <= 1 + 8 * count && !(floats && size > 1 + 4 * count)) return size;
    }
    int width = floats ? 4 : 8;
    out[0] = floats ? FLOAT : DOUBLE;
    for (size_t i = 0; i < count; i++) {
        uint32_t narrow = 0;
        float number = floats ? (float)numbers[i] : 0;
        memcpy(&narrow, &number, sizeof narrow);
        put_word(out + 1 + (size_t)width * i, floats ? narrow : bits_of(numbers[i]), width);
    }
    return 1 + (size_t)width * count;
}

static size_t unpack_floats(const unsigned char *in, size_t size_bytes, double *out, size_t count)
{
    if (size_bytes - 1 < 4 * count) return 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)get_word(in + 1 + 4 * i, 4);
        float number;
        memcpy(&number, &bits, sizeof number);
        out[i] = (double)number;
    }
    return 1 + 4 * count;
}

static size_t unpack_doubles(const unsigned char *in, size_t size_bytes, double *out, size_t count)
{
    if (size_bytes - 1 < 8 * count) return 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = get_word(in + 1 + 8 * i, 8);
        memcpy(&out[i], &bits, sizeof bits);
    }
    return 1 + 8 * count;
}

static size_t unpack_scaled(const unsigned char *in, size_t size_bytes, double *out, size_t count)
{
    size_t at = 1;
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++) {
        if (!get_delta(in, size_bytes, &at, &number)) return 0;
        out[i] = (double)(int64_t)number / SCALE;
    }
    return at;
}

size_t bn_unpack_reals(const unsigned char *in, size_t size_bytes, double *out, size_t count)
{
    if (size_bytes == 0) return 0;
    switch (in[0]) {
    case FLOAT:
        return unpack_floats(in, size_bytes, out, count);
    case DOUBLE:
        return unpack_doubles(in, size_bytes, out, count);
    case SCALED:
        return unpack_scaled(in, size_bytes, out, count);
    default: /* a byte of somebody else's */
        return 0;
    }
}
