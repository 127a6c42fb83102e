#include "reporters/wandb_frame.h"

#include <stdbool.h>
#include <zlib.h>

#include "reporters/protobuf.h"

enum { BLOCK_BYTES = 32768, CHUNK_HEAD_BYTES = 7 };

static void add_chunk(bn_text *out, const char *data, size_t size, char kind)
{
    uLong crc = crc32(crc32(0, NULL, 0), (const Bytef *)&kind, 1);
    crc = crc32(crc, (const Bytef *)data, (uInt)size);
    bn_le_add(out, crc, 4);
    bn_le_add(out, size, 2);
    bn_text_add_bytes(out, &kind, 1);
    bn_text_add_bytes(out, data, size);
}

void bn_wandb_frame_add(bn_text *out, int64_t place, const bn_text *entry)
{
    enum { FULL = 1, FIRST, MIDDLE, LAST };
    static const char zeros[CHUNK_HEAD_BYTES];
    size_t done = 0;
    bool first = true;
    if (entry->failed) out->failed = true;
    do {
        size_t room = BLOCK_BYTES - (size_t)((place + (int64_t)out->length) % BLOCK_BYTES);
        if (room < CHUNK_HEAD_BYTES) {
            bn_text_add_bytes(out, zeros, room);
            room = BLOCK_BYTES;
        }
        size_t size = entry->length - done;
        bool last = size <= room - CHUNK_HEAD_BYTES;
        if (!last) size = room - CHUNK_HEAD_BYTES;
        char kind = (char)(first ? (last ? FULL : FIRST) : (last ? LAST : MIDDLE));
        add_chunk(out, entry->data ? entry->data + done : "", size, kind);
        done += size;
        first = false;
    } while (done < entry->length && !out->failed);
}
