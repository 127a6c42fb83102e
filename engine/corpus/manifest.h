/* manifest.h - dataset.json: what a folder of token shards holds.
 *
 * Such a folder is made from text (in the cache) or by `bnexp data prepare`; beside the manifest
 * lie train_000000.bin, ... and val_000000.bin, ...
 */
#ifndef BN_ENGINE_CORPUS_MANIFEST_H
#define BN_ENGINE_CORPUS_MANIFEST_H

#include <stdint.h>

#include "engine/base/file.h"
#include "engine/base/status.h"

#define BN_MANIFEST_NAME "dataset.json"

typedef struct bn_manifest {
    char tokenizer[BN_PATH_MAX]; /* "bytes" or the model's path, as it was given; for people */
    char tokenizer_hash[65];     /* "bytes" or the model file's SHA-256 */
    char hash[65];               /* of content, tokenizer and split */
    int vocab, separator;
    int train_shards, val_shards;
    int64_t train_tokens, val_tokens;
    int64_t text_bytes, val_text_bytes; /* of the text that was tokenized; of its held-out part */
    double entropy_floor;               /* nats per byte of text; NaN: not known */
} bn_manifest;

BN_MUST_CHECK bn_status bn_manifest_write(const bn_manifest *manifest, const char *folder,
                                          bn_error *err);

/* BN_EINVAL: the folder has no manifest, or one that is not ours. */
BN_MUST_CHECK bn_status bn_manifest_read(bn_manifest *out, const char *folder, bn_error *err);

/* "<folder>/train_000012.bin". */
BN_MUST_CHECK bn_status bn_manifest_shard_path(char out[BN_PATH_MAX], const char *folder,
                                               const char *part, int number, bn_error *err);

/* Removes a folder that holds only files, as ours do; what cannot be removed stays. */
void bn_manifest_discard(const char *folder);

#endif
