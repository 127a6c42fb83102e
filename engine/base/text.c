#include "engine/base/text.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/utf8.h"

void bn_text_fixed(bn_text *text, char *buffer, size_t size)
{
    assert(size >= 1);
    *text = (bn_text){.data = buffer, .size = size, .fixed = true};
    buffer[0] = '\0';
}

void bn_text_release(bn_text *text)
{
    if (!text->fixed) free(text->data);
    *text = (bn_text){0};
}

void bn_text_clear(bn_text *text)
{
    text->length = 0;
    text->failed = false;
    if (text->data) text->data[0] = '\0';
}

/* Room for `count` more bytes and the NUL. */
static bool reserve(bn_text *text, size_t count)
{
    size_t need = text->length + count + 1;
    if (need <= text->size) return true;
    size_t size = text->size ? text->size * 2 : 256;
    if (size < need) size = need;
    char *data = text->fixed || text->failed ? NULL : realloc(text->data, size);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->size = size;
    return true;
}

void bn_text_add_bytes(bn_text *text, const char *bytes, size_t count)
{
    if (text->failed || !reserve(text, count)) return;
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = '\0';
}

void bn_text_add(bn_text *text, const char *words)
{
    bn_text_add_bytes(text, words, strlen(words));
}

void bn_text_addf(bn_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length >= 0 && !text->failed && reserve(text, (size_t)length)) {
        (void)vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

static const char *nonfinite_word(double number, bn_nonfinite style)
{
    static const char *const words[2][3] = {{"\"NaN\"", "\"Infinity\"", "\"-Infinity\""},
                                            {"NaN", "Infinity", "-Infinity"}};
    if (style == BN_NONFINITE_NULL) return "null";
    return words[style == BN_NONFINITE_BARE][isnan(number) ? 0 : number > 0 ? 1 : 2];
}

void bn_text_number(bn_text *text, double number, bn_nonfinite style)
{
    char digits[32];
    if (!isfinite(number)) {
        bn_text_add(text, nonfinite_word(number, style));
        return;
    }
    if (number == floor(number) && fabs(number) < 1e15) {
        (void)snprintf(digits, sizeof digits, "%.0f", number == 0 ? 0.0 : number);
        bn_text_add(text, digits);
        return;
    }
    /* %g drops trailing zeros, so 15 digits print every number of up to 15 digits at its shortest.
     */
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number) break;
    }
    bn_text_add(text, digits);
}

void bn_text_quoted(bn_text *text, const char *words)
{
    bn_text_add(text, "\"");
    const unsigned char *s = (const unsigned char *)words;
    while (*s) {
        size_t plain = 0;
        while (s[plain] >= 0x20 && s[plain] < 0x7F && s[plain] != '"' && s[plain] != '\\') plain++;
        bn_text_add_bytes(text, (const char *)s, plain);
        s += plain;
        if (!*s) break;
        size_t length = bn_utf8_length((const char *)s, BN_UTF8_MOST);
        if (length == 0) {
            bn_text_add(text, "\xEF\xBF\xBD");
            s++;
            continue;
        }
        if (*s == '"' || *s == '\\') {
            bn_text_addf(text, "\\%c", *s);
        } else if (*s == '\n') {
            bn_text_add(text, "\\n");
        } else if (*s < 0x20 || *s == 0x7F) {
            bn_text_addf(text, "\\u%04x", *s);
        } else {
            bn_text_add_bytes(text, (const char *)s, length);
        }
        s += length;
    }
    bn_text_add(text, "\"");
}

static void comma(bn_json *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    uint64_t bit = UINT64_C(1) << json->depth;
    if (json->started & bit) bn_text_add(json->text, ",");
    json->started |= bit;
}

static void open_level(bn_json *json, const char *bracket)
{
    assert(json->depth < 60);
    comma(json);
    bn_text_add(json->text, bracket);
    json->depth++;
    json->started &= ~(UINT64_C(1) << json->depth);
}

static void close_level(bn_json *json, const char *bracket)
{
    assert(json->depth > 0 && !json->after_key);
    bn_text_add(json->text, bracket);
    json->depth--;
}

void bn_json_object(bn_json *json)
{
    open_level(json, "{");
}

void bn_json_array(bn_json *json)
{
    open_level(json, "[");
}

void bn_json_end_object(bn_json *json)
{
    close_level(json, "}");
}

void bn_json_end_array(bn_json *json)
{
    close_level(json, "]");
}

void bn_json_key(bn_json *json, const char *key)
{
    comma(json);
    bn_text_quoted(json->text, key);
    bn_text_add(json->text, ":");
    json->after_key = true;
}

void bn_json_string(bn_json *json, const char *words)
{
    comma(json);
    if (words) {
        bn_text_quoted(json->text, words);
    } else {
        bn_text_add(json->text, "null");
    }
}

void bn_json_int(bn_json *json, int64_t number)
{
    comma(json);
    bn_text_addf(json->text, "%lld", (long long)number);
}

void bn_json_real(bn_json *json, double number)
{
    comma(json);
    bn_text_number(json->text, number, json->nonfinite);
}

void bn_json_bool(bn_json *json, bool value)
{
    comma(json);
    bn_text_add(json->text, value ? "true" : "false");
}

void bn_json_raw(bn_json *json, const char *value)
{
    comma(json);
    bn_text_add(json->text, value);
}
