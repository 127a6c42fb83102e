#include <xmmintrin.h>

#include "engine/cpu/stream.h"

void bn_stream_words(uint32_t *to, const uint32_t *from, size_t count)
{
    for (size_t i = 0; i < count; i += 4) {
        _mm_stream_ps((float *)to + i, _mm_load_ps((const float *)from + i));
    }
}

void bn_stream_end(void)
{
    _mm_sfence();
}
