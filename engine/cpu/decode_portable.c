#include "engine/cpu/decode.h"

enum { NR = 8, ELEMENTS = 16 };

static void dot(long quads, const void *panel, const int8_t *x, int32_t *sums)
{
    const uint8_t *codes = panel;
    for (int n = 0; n < NR; n++) sums[n] = 0;
    for (long q = 0; q < quads; q++, codes += NR * 4, x += ELEMENTS) {
        for (int n = 0; n < NR; n++) {
            int32_t sum = 0;
            for (int g = 0; g < 4; g++) {
                int byte = codes[n * 4 + g];
                sum += x[g] * (byte & 3) + x[4 + g] * (byte >> 2 & 3);
                sum += x[8 + g] * (byte >> 4 & 3) + x[12 + g] * (byte >> 6);
            }
            sums[n] += sum;
        }
    }
}

const bn_decode bn_decode_portable = {.digits = 4, .dot = dot, .weigh = bn_weigh_portable};
