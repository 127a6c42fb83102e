/* dataset.h - text files or token shards, as batches in an order that only the seed decides.
 *
 * Text is tokenized once into shards in llm.c's .bin layout under a cache folder, named by the hash
 * of the content and of the tokenizer, and memory-mapped ever after. The held-out part is a fixed
 * share of contiguous blocks, the same for every seed, so that val/loss is comparable everywhere:
 * text and bare shards are cut into ten equal stretches, and the last val_fraction of each stretch
 * is held out (text_source.h has the rule to the byte); a folder made by `bnexp data prepare`
 * brings its own held-out documents.
 *
 * Limits: one text of at most 2^31 tokens and 64 files; for more, prepare a folder.
 */
#ifndef BN_ENGINE_CORPUS_DATASET_H
#define BN_ENGINE_CORPUS_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_dataset bn_dataset;

typedef struct bn_dataset_spec {
    const char *path;      /* text files, or .bin shards, ':' between them (a shard whose name holds
                              "val" is held out); or one prepared folder; "" or "synth": the built-in
                              corpus of synth.h, made in the cache on demand */
    const char *tokenizer; /* "bytes" or a SentencePiece model; ignored for shards */
    const char *cache;     /* folder for what is made from text; NULL or "": bnexp's folder in
                              XDG_CACHE_HOME, else in ~/.cache, else .bnexp-cache here */
    double val_fraction;
} bn_dataset_spec;

typedef struct bn_dataset_info {
    int vocab;        /* of the tokenizer; of bare shards: the largest id + 1 */
    int64_t id_limit; /* of bare shards: one more than their ids can say; else 0 */
    int64_t train_tokens, val_tokens;
    int64_t text_bytes;         /* of the whole text; 0 when it came as bare shards */
    double val_bytes_per_token; /* for bits per byte; 0 when unknown */
    double entropy_floor;       /* true nats per byte where the corpus has recorded it, else NaN */
    char hash[65];              /* of content and tokenizer */
} bn_dataset_info;

/* BN_EINVAL (no such file, empty, no shard, fewer tokens than `context` + 1 in either part),
 * BN_EIO. Several processes may open the same text at once: one builds, all read. */
BN_MUST_CHECK bn_status bn_dataset_open(bn_dataset **out, const bn_dataset_spec *spec, int context,
                                        bn_error *err);
void bn_dataset_close(bn_dataset *dataset); /* NULL is fine */
const bn_dataset_info *bn_dataset_info_of(const bn_dataset *dataset);

/* Sequence number `index` (0, 1, 2, ...) of the training order of `seed`: `context` tokens and the
 * `context` tokens that follow each. Every window of an epoch comes once before any comes twice;
 * the order is a permutation by (seed, epoch), and the grid of windows begins at an offset drawn by
 * (seed, epoch), so that a later epoch cuts the text elsewhere. A pure function: no state, so a
 * resumed run only needs the index. */
void bn_dataset_train(const bn_dataset *dataset, uint64_t seed, int64_t index, int32_t *tokens,
                      int32_t *targets);

/* Windows in an epoch. */
int64_t bn_dataset_train_windows(const bn_dataset *dataset);

/* Window `index` of the validation part, in order; targets past the end are -1 (their tokens 0).
 * bn_dataset_val_windows of them cover it without overlap. */
int64_t bn_dataset_val_windows(const bn_dataset *dataset);
void bn_dataset_val(const bn_dataset *dataset, int64_t index, int32_t *tokens, int32_t *targets);

typedef enum bn_dataset_part { BN_DATASET_TRAIN, BN_DATASET_VAL } bn_dataset_part;

/* ids[0 ... count-1] = the part's tokens from `start` on, as one stream. */
void bn_dataset_read(const bn_dataset *dataset, bn_dataset_part part, int64_t start, int32_t *ids,
                     int64_t count);

#endif
