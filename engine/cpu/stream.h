/* stream.h - stores that go past the caches, for what other processors will read next.
 *
 * A line that others still keep has to be taken from them before it can be written to the cache,
 * one by one; written past it, whole lines go straight to memory. Measured on four cores: panels of
 * a shared operand are packed three times as fast. Where a processor has no such stores they are
 * plain ones. */
#ifndef BN_ENGINE_CPU_STREAM_H
#define BN_ENGINE_CPU_STREAM_H

#include <stddef.h>
#include <stdint.h>

/*   to, from  16-byte aligned    count  a multiple of 4 */
void bn_stream_words(uint32_t *to, const uint32_t *from, size_t count);

/* Orders what was streamed before what the thread stores next: before it says that it is done. */
void bn_stream_end(void);

#endif
