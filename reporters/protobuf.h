/* protobuf.h - writing protocol buffers by hand: the five kinds of field that we need. A message
 * inside a message is written apart and added as bytes. */
#ifndef BN_REPORTERS_PROTOBUF_H
#define BN_REPORTERS_PROTOBUF_H

#include "engine/base/text.h"

void bn_pb_int(bn_text *out, int field, int64_t number);
void bn_pb_real(bn_text *out, int field, double number);
void bn_pb_float(bn_text *out, int field, float number);
void bn_pb_text(bn_text *out, int field, const char *words); /* "" is left out, as proto3 does */
void bn_pb_message(bn_text *out, int field, const bn_text *message);

/* Fixed-width numbers, least byte first. */
void bn_le_add(bn_text *out, uint64_t number, int bytes);

#endif
