/* memo.h - ids of short segments that came before: a text says the same words again and again.
 *
 * An open-addressed table of fixed size, filled first come, first kept: words that are common come
 * early. One reader and writer at a time.
 */
#ifndef BN_ENGINE_CORPUS_MEMO_H
#define BN_ENGINE_CORPUS_MEMO_H

#include <stddef.h>
#include <stdint.h>

enum {
    BN_MEMO_BYTES_MAX = 20, /* of a segment that is remembered */
    BN_MEMO_IDS_MAX = 6,
    BN_MEMO_SLOTS = 1 << 14,
};

typedef struct bn_memo_entry {
    char text[BN_MEMO_BYTES_MAX];
    uint8_t bytes; /* 0: free */
    uint8_t count;
    int32_t ids[BN_MEMO_IDS_MAX];
} bn_memo_entry;

typedef struct bn_memo {
    bn_memo_entry entries[BN_MEMO_SLOTS];
    size_t used;
} bn_memo;

/* The entry of a segment, or where it would go: bytes 0. NULL: too long, or there is no room. */
bn_memo_entry *bn_memo_find(bn_memo *memo, const char *text, size_t bytes);

/* Fills a free entry that bn_memo_find gave for this text; too many ids are not remembered. */
typedef struct bn_memo_fact {
    const char *text;
    size_t bytes;
    const int32_t *ids;
    size_t count;
} bn_memo_fact;
void bn_memo_keep(bn_memo *memo, bn_memo_entry *entry, const bn_memo_fact *fact);

#endif
