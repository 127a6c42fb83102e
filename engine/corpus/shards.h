/* shards.h - token files in llm.c's .bin layout, read by memory map and written atomically.
 *
 *   256 int32 of header: magic, version, tokens, zeros; then the tokens, little-endian
 *   ids below 65,536   magic 20240520, version 1, uint16
 *   larger ids         magic 20240801, version 7, uint32 (llm.c's llama-3 variant)
 *
 * Source: karpathy/llm.c, dev/data/data_common.py and llmc/dataloader.h.
 */
#ifndef BN_ENGINE_CORPUS_SHARDS_H
#define BN_ENGINE_CORPUS_SHARDS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum {
    BN_SHARD_HEADER_BYTES = 1024,
    BN_SHARD_TOKENS_MAX = INT32_MAX - 1, /* the header counts in int32 */
};

/* A mapped shard, or one that lies in memory of the caller's (map NULL). */
typedef struct bn_shard {
    const unsigned char *tokens; /* [count] ids of id_bytes each */
    int64_t count;
    int id_bytes; /* 2 or 4 */
    void *map;
    size_t map_bytes;
} bn_shard;

/* Maps a file. BN_EINVAL: no such file, or what of magic, version or size is wrong; BN_EIO. Release
 * with bn_shard_release. A file that is cut while it is mapped kills the reader (SIGBUS): shards
 * are only ever replaced by rename. */
BN_MUST_CHECK bn_status bn_shard_open(bn_shard *out, const char *path, bn_error *err);
void bn_shard_release(bn_shard *shard); /* {0} is fine */

/* The same check on bytes in memory, which are borrowed. name is for messages. */
BN_MUST_CHECK bn_status bn_shard_parse(bn_shard *out, const void *data, size_t bytes,
                                       const char *name, bn_error *err);

/* ids[0 ... count-1] = the tokens from `start` on; the range must lie in the shard. */
void bn_shard_read(const bn_shard *shard, int64_t start, int32_t *ids, int64_t count);

/* The largest id; -1 of an empty shard. Ids above INT32_MAX come out as INT32_MAX. */
int32_t bn_shard_max_id(const bn_shard *shard);

typedef struct bn_shard_writer bn_shard_writer;

/* Starts `path`, which appears only at bn_shard_writer_commit. vocab decides the width of an id. */
BN_MUST_CHECK bn_status bn_shard_writer_open(bn_shard_writer **out, const char *path, int64_t vocab,
                                             bn_error *err);

/* Appends ids. Errors stick and come out at the commit: an id outside 0 ... vocab - 1 (BN_EINVAL),
 * more than BN_SHARD_TOKENS_MAX, a full disk. */
void bn_shard_writer_add(bn_shard_writer *writer, const int32_t *ids, size_t count);
int64_t bn_shard_writer_count(const bn_shard_writer *writer);

/* Header, fsync, rename. After BN_OK the file is whole under its name, after anything else the name
 * is as it was. */
BN_MUST_CHECK bn_status bn_shard_writer_commit(bn_shard_writer *writer, bn_error *err);
void bn_shard_writer_close(
    bn_shard_writer *writer); /* drops what was not committed; NULL is fine */

#endif
