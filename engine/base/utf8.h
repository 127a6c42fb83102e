/* utf8.h - where characters begin and end. */
#ifndef BN_ENGINE_BASE_UTF8_H
#define BN_ENGINE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

enum { BN_UTF8_MOST = 4 }; /* bytes of a character */

/* Bytes of the valid UTF-8 character at text (1 ... 4), looking at no more than `bytes` of them;
 * 0: there is none (Unicode 15, table 3-7). */
size_t bn_utf8_length(const char *text, size_t bytes);

/* Is all of it UTF-8? */
bool bn_utf8_valid(const char *text);

#endif
