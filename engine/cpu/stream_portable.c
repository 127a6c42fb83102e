#include <string.h>

#include "engine/cpu/stream.h"

void bn_stream_words(uint32_t *to, const uint32_t *from, size_t count)
{
    memcpy(to, from, count * sizeof *to);
}

void bn_stream_end(void)
{
}
