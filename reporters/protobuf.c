#include "reporters/protobuf.h"

#include <string.h>

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void add_varint(bn_text *out, uint64_t number)
{
    char bytes[10];
    size_t count = 0;
    while (number >= 0x80) {
        bytes[count++] = (char)(unsigned char)(number | 0x80);
        number >>= 7;
    }
    bytes[count++] = (char)number;
    bn_text_add_bytes(out, bytes, count);
}

static void add_tag(bn_text *out, int field, enum wire kind)
{
    add_varint(out, (uint64_t)field << 3 | (uint64_t)kind);
}

void bn_le_add(bn_text *out, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(unsigned char)(number >> 8 * i);
        bn_text_add_bytes(out, &byte, 1);
    }
}

void bn_pb_int(bn_text *out, int field, int64_t number)
{
    add_tag(out, field, VARINT);
    add_varint(out, (uint64_t)number);
}

void bn_pb_real(bn_text *out, int field, double number)
{
    uint64_t bits = 0;
    memcpy(&bits, &number, sizeof bits);
    add_tag(out, field, FIXED64);
    bn_le_add(out, bits, 8);
}

void bn_pb_float(bn_text *out, int field, float number)
{
    uint32_t bits = 0;
    memcpy(&bits, &number, sizeof bits);
    add_tag(out, field, FIXED32);
    bn_le_add(out, bits, 4);
}

void bn_pb_text(bn_text *out, int field, const char *words)
{
    size_t length = strlen(words);
    if (length == 0) return;
    add_tag(out, field, BYTES);
    add_varint(out, length);
    bn_text_add_bytes(out, words, length);
}

void bn_pb_message(bn_text *out, int field, const bn_text *message)
{
    add_tag(out, field, BYTES);
    add_varint(out, message->length);
    if (message->length) bn_text_add_bytes(out, message->data, message->length);
    if (message->failed) out->failed = true;
}
