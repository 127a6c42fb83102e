/* infer.h - a trained network that only reads: packed weights, cached keys and values.
 *
 * Ternary and binary weights with int8 activations are kept in 2 bits or less each and nothing else
 * (a scale a tensor); other variants in the form their products take in training. What comes out is
 * what training's forward pass computes, up to the order of float sums in attention and head. Runs
 * on the cpu backend.
 */
#ifndef BN_ENGINE_INFER_H
#define BN_ENGINE_INFER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/params.h"

enum { BN_INFER_ROWS = 256 }; /* tokens that go through the layers together, at most */

typedef struct bn_infer bn_infer;

typedef struct bn_infer_bytes {
    size_t linear;      /* of the blocks' linear layers, scales included */
    int64_t weights;    /* how many they are */
    size_t table, head; /* token table; output head where it is not the table itself */
    size_t cache;       /* keys and values of model.context positions */
    size_t activations;
} bn_infer_bytes;

typedef enum bn_infer_head {
    BN_INFER_HEAD_TRAINED, /* as training multiplies: bf16 or fp32 */
    BN_INFER_HEAD_INT8,    /* int8 weights, a unit a row, times int8 inputs: half the bytes */
} bn_infer_head;

typedef struct bn_infer_options {
    int threads; /* 0: one a core */
    bn_infer_head head;
} bn_infer_options;

/* "trained" or "int8". BN_EINVAL names both. */
BN_MUST_CHECK bn_status bn_infer_head_parse(bn_infer_head *out, const char *word, bn_error *err);

/* Where the weights come from: fills out with tensor->count floats. */
typedef struct bn_infer_source {
    bn_status (*read)(void *self, const bn_tensor *tensor, float *out, bn_error *err);
    void *self;
} bn_infer_source;

/* config: resolved, model.vocab known. The caller owns *out. BN_ENOMEM, what the source says. */
BN_MUST_CHECK bn_status bn_infer_open(bn_infer **out, const bn_config *config,
                                      bn_infer_source source, const bn_infer_options *options,
                                      bn_error *err);

/* From a checkpoint's file. BN_ENOENT, BN_ECORRUPT (its checksum is read first). */
BN_MUST_CHECK bn_status bn_infer_open_file(bn_infer **out, const char *path,
                                           const bn_infer_options *options, bn_error *err);
void bn_infer_close(bn_infer *infer); /* NULL is fine */

const bn_config *bn_infer_config(const bn_infer *infer);
bn_infer_bytes bn_infer_measure(const bn_infer *infer);

int bn_infer_position(const bn_infer *infer); /* tokens read since the last reset */
void bn_infer_reset(bn_infer *infer);

/* Reads `count` more tokens of one sequence; *logits (borrowed until the next call) are those that
 * follow the last of them [vocab], or with `all` those that follow each [count, vocab] (count at
 * most BN_INFER_ROWS; the first such call makes room). BN_EINVAL: beyond model.context, or a token
 * outside the vocabulary. */
BN_MUST_CHECK bn_status bn_infer_read(bn_infer *infer, const int32_t *tokens, int count, bool all,
                                      const float **logits, bn_error *err);

#endif
