#include "runner/fleet/event_line.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32, NUMBER_MAX = 64 };

/* A place in the line; `why` is the first failure and stops everything after it. */
typedef struct reader {
    const char *at, *end;
    const char *why;
    int depth;
} reader;

static void fail(reader *r, const char *why)
{
    if (!r->why) r->why = why;
    r->at = r->end;
}

static char peek(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')) r->at++;
    if (r->at == r->end) return '\0';
    return *r->at;
}

static bool take(reader *r, char c)
{
    if (peek(r) != c) return false;
    r->at++;
    return true;
}

static bool take_word(reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
    r->at += length;
    return true;
}

/* Four hex digits as UTF-8; surrogate halves and control characters are not worth keeping. */
static size_t unescape_unicode(reader *r, char out[4])
{
    unsigned code = 0;
    if (r->end - r->at < 4) return 0;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16U;
        if (digit > 15) return 0;
        code = code * 16 + digit;
    }
    if (code < 0x20 || (code >= 0xD800 && code <= 0xDFFF)) code = '?';
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | (code >> 6));
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    out[0] = (char)(0xE0 | (code >> 12));
    out[1] = (char)(0x80 | ((code >> 6) & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
}

static size_t unescape(reader *r, char out[4])
{
    static const char *const from = "\"\\/bfnrt";
    static const char *const to = "\"\\/     ";
    if (r->at == r->end) return 0;
    char c = *r->at++;
    if (c == 'u') return unescape_unicode(r, out);
    const char *place = c ? strchr(from, c) : NULL;
    if (!place) return 0;
    size_t index = (size_t)(place - from);
    out[0] = to[index]; /* a blank for what would break the line */
    return 1;
}

/* A string, cut to size - 1 bytes. */
static void read_string(reader *r, char *out, size_t size)
{
    size_t length = 0;
    out[0] = '\0';
    if (!take(r, '"')) {
        fail(r, "expected a text");
        return;
    }
    while (r->at < r->end && *r->at != '"') {
        char bytes[4] = {*r->at++};
        size_t count = 1;
        if (bytes[0] == '\\') count = unescape(r, bytes);
        if (count == 0 || bytes[0] == '\0') {
            fail(r, "a text with a bad escape");
            return;
        }
        if (length + count >= size) continue;
        memcpy(out + length, bytes, count);
        length += count;
    }
    out[length] = '\0';
    if (!take(r, '"')) fail(r, "a text without end");
}

static bool number_char(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* A number, or one of the words for what JSON cannot say. False, nothing taken: something else. */
static bool read_number(reader *r, double *out)
{
    char c = peek(r);
    bool quoted = c == '"';
    const char *start = r->at;
    if (quoted) r->at++;
    bool nan = take_word(r, "NaN"), plus = !nan && take_word(r, "Infinity");
    bool minus = !nan && !plus && take_word(r, "-Infinity");
    if ((nan || plus || minus) && (!quoted || take(r, '"'))) {
        *out = nan ? NAN : plus ? INFINITY : -INFINITY;
        return true;
    }
    r->at = start;
    if (c != '-' && (c < '0' || c > '9')) return false;
    char digits[NUMBER_MAX];
    size_t length = 0;
    while (r->at + length < r->end && number_char(r->at[length]) && length < NUMBER_MAX - 1) {
        digits[length] = r->at[length];
        length++;
    }
    digits[length] = '\0';
    char *end = NULL;
    *out = strtod(digits, &end);
    if (*end) fail(r, "a number that is none");
    r->at += *end ? 0 : (ptrdiff_t)length;
    return true;
}

/* Values nest, so these two call each other, at most DEPTH_MAX deep. */
static void skip_value(reader *r);

/* NOLINTNEXTLINE(misc-no-recursion): bounded by DEPTH_MAX */
static void skip_members(reader *r, char close)
{
    char name[8];
    if (++r->depth > DEPTH_MAX) {
        fail(r, "nested too deeply");
        return;
    }
    while (!r->why && peek(r) != close) {
        if (close == '}') {
            read_string(r, name, sizeof name);
            if (!take(r, ':')) fail(r, "a member without a value");
        }
        skip_value(r);
        if (!take(r, ',') && peek(r) != close) fail(r, "cut short");
    }
    (void)take(r, close);
    r->depth--;
}

/* Whatever stands here and is not for us: a text, a list, an object, true, false, null.
 * NOLINTNEXTLINE(misc-no-recursion): bounded by DEPTH_MAX */
static void skip_value(reader *r)
{
    char text[8];
    double number;
    char c = peek(r);
    if (read_number(r, &number)) return;
    if (c == '"') {
        read_string(r, text, sizeof text);
    } else if (take(r, '{')) {
        skip_members(r, '}');
    } else if (take(r, '[')) {
        skip_members(r, ']');
    } else if (!take_word(r, "true") && !take_word(r, "false") && !take_word(r, "null")) {
        fail(r, "not JSON");
    }
}

/* The value of `name`, if it is a number; other kinds are passed over. */
static void add_value(reader *r, bn_event *out, const char *name)
{
    double number = 0;
    if (!read_number(r, &number)) {
        skip_value(r);
        return;
    }
    if (out->count == BN_RECORD_VALUES_MAX) {
        fail(r, "more values than a record may have");
        return;
    }
    char *kept = out->names[out->count];
    (void)snprintf(kept, BN_METRIC_NAME_MAX, "%s", name);
    bn_metric_name_clean(kept);
    if (*kept) out->values[out->count++] = (bn_value){.key = kept, .number = number};
}

static void read_values(reader *r, bn_event *out)
{
    char name[BN_METRIC_NAME_MAX];
    if (!take(r, '{')) {
        fail(r, "'values' must be an object");
        return;
    }
    while (!r->why && peek(r) != '}') {
        read_string(r, name, sizeof name);
        if (!take(r, ':')) fail(r, "a member without a value");
        add_value(r, out, name);
        if (!take(r, ',') && peek(r) != '}') fail(r, "cut short");
    }
    (void)take(r, '}');
}

static void read_whole(reader *r, int64_t *out)
{
    double number = 0;
    if (!read_number(r, &number) || !(number >= 0 && number <= 9007199254740991.0) ||
        number != floor(number)) {
        fail(r, "a seq, step or attempt that is no count");
        return;
    }
    *out = (int64_t)number;
}

static void read_kind(reader *r, bn_event *out)
{
    char word[16];
    read_string(r, word, sizeof word);
    if (strcmp(word, "record") == 0) {
        out->kind = BN_EVENT_RECORD;
    } else if (strcmp(word, "begin") == 0) {
        out->kind = BN_EVENT_BEGIN;
    } else if (strcmp(word, "end") == 0) {
        out->kind = BN_EVENT_END;
    } else {
        fail(r, "a type that is not begin, record or end");
    }
}

static void read_member(reader *r, bn_event *out)
{
    char name[BN_METRIC_NAME_MAX];
    read_string(r, name, sizeof name);
    if (!take(r, ':')) fail(r, "a member without a value");
    bool text = peek(r) == '"';
    if (strcmp(name, "type") == 0) {
        read_kind(r, out);
    } else if (strcmp(name, "seq") == 0) {
        read_whole(r, &out->seq);
    } else if (strcmp(name, "step") == 0 || strcmp(name, "_step") == 0) {
        read_whole(r, &out->step);
    } else if (strcmp(name, "attempt") == 0) {
        read_whole(r, &out->attempt);
    } else if (strcmp(name, "wall_s") == 0) {
        if (!read_number(r, &out->wall_s)) fail(r, "'wall_s' must be a number");
    } else if (strcmp(name, "values") == 0) {
        read_values(r, out);
    } else if (text && strcmp(name, "how") == 0) {
        read_string(r, out->how, sizeof out->how);
    } else if (text && strcmp(name, "reason") == 0) {
        read_string(r, out->reason, sizeof out->reason);
    } else if (text && strcmp(name, "host") == 0) {
        read_string(r, out->host, sizeof out->host);
    } else if (text && strcmp(name, "device") == 0) {
        read_string(r, out->device, sizeof out->device);
    } else {
        add_value(r, out, name);
    }
}

const char *bn_event_line_parse(const char *line, size_t bytes, bn_event *out)
{
    reader r = {.at = line, .end = line + bytes};
    out->kind = BN_EVENT_RECORD;
    out->seq = out->step = out->attempt = -1;
    out->wall_s = NAN;
    out->how[0] = out->reason[0] = out->host[0] = out->device[0] = '\0';
    out->count = 0;
    if (!take(&r, '{')) return "not a JSON object";
    while (!r.why && peek(&r) != '}') {
        read_member(&r, out);
        if (!take(&r, ',') && peek(&r) != '}') fail(&r, "cut short");
    }
    if (!r.why && !take(&r, '}')) fail(&r, "cut short");
    if (!r.why && peek(&r) != '\0') fail(&r, "more behind the object");
    if (!r.why && r.at < r.end) fail(&r, "a NUL byte");
    if (!r.why && out->kind == BN_EVENT_RECORD && out->count == 0) fail(&r, "no number in it");
    return r.why;
}
