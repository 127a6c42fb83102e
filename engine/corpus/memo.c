#include "engine/corpus/memo.h"

#include <string.h>

bn_memo_entry *bn_memo_find(bn_memo *memo, const char *text, size_t bytes)
{
    if (bytes == 0 || bytes > BN_MEMO_BYTES_MAX) return NULL;
    uint64_t hash = 0xCBF29CE484222325U; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3U;
    size_t at = (size_t)(hash >> 32) % BN_MEMO_SLOTS;
    for (;;) {
        bn_memo_entry *entry = &memo->entries[at];
        if (entry->bytes == 0) return memo->used < BN_MEMO_SLOTS / 2 ? entry : NULL;
        if (entry->bytes == bytes && memcmp(entry->text, text, bytes) == 0) return entry;
        at = (at + 1) % BN_MEMO_SLOTS;
    }
}

void bn_memo_keep(bn_memo *memo, bn_memo_entry *entry, const bn_memo_fact *fact)
{
    if (fact->count > BN_MEMO_IDS_MAX) return;
    memcpy(entry->text, fact->text, fact->bytes);
    memcpy(entry->ids, fact->ids, fact->count * sizeof *entry->ids);
    entry->count = (uint8_t)fact->count;
    entry->bytes = (uint8_t)fact->bytes;
    memo->used++;
}
