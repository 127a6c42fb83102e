/* Built once per instruction set, with BN_WEIGH_NAME naming the function. */
#include <assert.h>
#include <string.h>

#include "engine/cpu/decode.h"

typedef float lanes8 __attribute__((vector_size(32)));
typedef float lanes16 __attribute__((vector_size(64)));

static void weigh8(float *sums, const float *factors, const float *panel, size_t count)
{
    lanes8 sum = {0};
    for (size_t i = 0; i < count; i++) {
        lanes8 value;
        memcpy(&value, panel + i * 8, sizeof value);
        sum += value * factors[i];
    }
    memcpy(sums, &sum, sizeof sum);
}

static void weigh16(float *sums, const float *factors, const float *panel, size_t count)
{
    lanes16 sum = {0};
    for (size_t i = 0; i < count; i++) {
        lanes16 value;
        memcpy(&value, panel + i * 16, sizeof value);
        sum += value * factors[i];
    }
    memcpy(sums, &sum, sizeof sum);
}

static void weigh32(float *sums, const float *factors, const float *panel, size_t count)
{
    lanes16 left = {0};
    lanes16 right = {0};
    for (size_t i = 0; i < count; i++) {
        lanes16 a;
        lanes16 b;
        memcpy(&a, panel + i * 32, sizeof a);
        memcpy(&b, panel + i * 32 + 16, sizeof b);
        left += a * factors[i];
        right += b * factors[i];
    }
    memcpy(sums, &left, sizeof left);
    memcpy(sums + 16, &right, sizeof right);
}

void BN_WEIGH_NAME(float *sums, int lanes, const float *factors, const float *panel, size_t count)
{
    assert(lanes == 8 || lanes == 16 || lanes == 32);
    if (lanes == 32) {
        weigh32(sums, factors, panel, count);
    } else if (lanes == 16) {
        weigh16(sums, factors, panel, count);
    } else {
        weigh8(sums, factors, panel, count);
    }
}
