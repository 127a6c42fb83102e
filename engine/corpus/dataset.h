/* dataset.h - text files or token shards, as batches in an order that only the seed decides.
 *
 * Text is tokenized once into shards in llm.c's .bin layout under a cache folder, named by the hash
 * of the content and of the tokenizer, and memory-mapped ever after. The held-out part is a fixed
 * share of contiguous blocks, the same for every seed, so that val/loss is comparable everywhere.
 */
#ifndef BN_ENGINE_CORPUS_DATASET_H
#define BN_ENGINE_CORPUS_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_dataset bn_dataset;

typedef struct bn_dataset_spec {
    const char *path;      /* text files or .bin shards, ':' between them */
    const char *tokenizer; /* "bytes" or a SentencePiece model; ignored for shards of known ids */
    const char *cache;     /* folder for shards made from text; made when missing */
    double val_fraction;
} bn_dataset_spec;

typedef struct bn_dataset_info {
    int vocab; /* of the tokenizer (of the shards: largest id + 1 at least) */
    int64_t train_tokens, val_tokens;
    int64_t text_bytes;         /* of the whole text; 0 when it came as shards */
    double val_bytes_per_token; /* for bits per byte; 0 when unknown */
    double entropy_floor;       /* true nats per byte where the corpus has recorded it, else NaN */
    char hash[65];              /* of content and tokenizer */
} bn_dataset_info;

/* BN_ENOENT, BN_EINVAL (empty, fewer tokens than `context` + 1 in either part), BN_EIO,
 * BN_ECORRUPT. Several processes may open the same text at once: one builds, all read. */
BN_MUST_CHECK bn_status bn_dataset_open(bn_dataset **out, const bn_dataset_spec *spec, int context,
                                        bn_error *err);
void bn_dataset_close(bn_dataset *dataset); /* NULL is fine */
const bn_dataset_info *bn_dataset_info_of(const bn_dataset *dataset);

/* Sequence number `index` (0, 1, 2, ...) of the training order of `seed`: `context` tokens and the
 * `context` tokens that follow each. Every window of an epoch comes once before any comes twice;
 * the order is a permutation by (seed, epoch). A pure function: no state, so a resumed run only
 * needs the index. */
void bn_dataset_train(const bn_dataset *dataset, uint64_t seed, int64_t index, int32_t *tokens,
                      int32_t *targets);

/* Window `index` of the validation part, in order; targets past the end are -1.
 * bn_dataset_val_windows of them cover it without overlap. */
int64_t bn_dataset_val_windows(const bn_dataset *dataset);
void bn_dataset_val(const bn_dataset *dataset, int64_t index, int32_t *tokens, int32_t *targets);

#endif
