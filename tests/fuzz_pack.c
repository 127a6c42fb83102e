/* fuzz_pack.c - any bytes as a packed column: refused, or so many numbers and no byte beyond; and
 * any bytes as numbers: packed and unpacked they are the same bits. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "store/pack.h"

enum { NUMBERS_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unpack_anything(const uint8_t *data, size_t size, size_t count)
{
    int64_t ints[NUMBERS_MAX];
    double reals[NUMBERS_MAX];
    assert(bn_unpack_ints(data, size, ints, count) <= size);
    assert(bn_unpack_reals(data, size, reals, count) <= size);
}

static void there_and_back(const uint8_t *data, size_t count)
{
    static unsigned char packed[17 + 10 * NUMBERS_MAX];
    int64_t ints[NUMBERS_MAX], ints_back[NUMBERS_MAX];
    double reals[NUMBERS_MAX], reals_back[NUMBERS_MAX];
    assert(bn_pack_room(count) <= sizeof packed);
    memcpy(ints, data, count * sizeof *ints);
    memcpy(reals, data, count * sizeof *reals);
    size_t size = bn_pack_ints(ints, count, packed);
    assert(size <= bn_pack_room(count));
    assert(bn_unpack_ints(packed, size, ints_back, count) == size);
    assert(memcmp(ints, ints_back, count * sizeof *ints) == 0);
    size = bn_pack_reals(reals, count, packed);
    assert(size <= bn_pack_room(count));
    assert(bn_unpack_reals(packed, size, reals_back, count) == size);
    assert(memcmp(reals, reals_back, count * sizeof *reals) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t count = (data[0] | (size_t)data[1] << 8) % (NUMBERS_MAX + 1);
    unpack_anything(data + 2, size - 2, count);
    size_t held = (size - 2) / 8;
    there_and_back(data + 2, held < NUMBERS_MAX ? held : NUMBERS_MAX);
    return 0;
}
