#include "engine/base/utf8.h"

static bool follows(const unsigned char *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if ((s[i] & 0xC0) != 0x80) return false;
    }
    return true;
}

size_t bn_utf8_length(const char *text, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    if (bytes == 0) return 0;
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || bytes < length || !follows(s, 1, length)) return 0;
    bool overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xED && s[1] > 0x9F;
    bool beyond = s[0] == 0xF4 && s[1] > 0x8F;
    return overlong || surrogate || beyond ? 0 : length;
}

bool bn_utf8_valid(const char *text)
{
    size_t length = 0;
    for (; *text; text += length) {
        length = bn_utf8_length(text, BN_UTF8_MOST); /* the end is no part of a character */
        if (length == 0) return false;
    }
    return true;
}
