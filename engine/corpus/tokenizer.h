/* tokenizer.h - text to token ids and back: bytes, or a SentencePiece model.
 *
 * An open tokenizer is read-only: threads may share it.
 */
#ifndef BN_ENGINE_CORPUS_TOKENIZER_H
#define BN_ENGINE_CORPUS_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { BN_TOKENIZER_MODEL_MAX = 64 << 20 }; /* bytes of a model file */

typedef struct bn_tokenizer bn_tokenizer;

/* Ids that grow on the heap. {0} is valid and empty; the caller frees data. */
typedef struct bn_ids {
    int32_t *data;
    size_t count, size;
} bn_ids;

/* A piece of text. continues: other pieces of the same text came before, so that no mark of a
 * beginning is put in front ('Hello' after 'Hello' is not ' Hello'). Cut a text after a newline or
 * before a space that follows another character and its pieces give the ids of the whole. */
typedef struct bn_passage {
    const char *text; /* any bytes; need not end in NUL */
    size_t bytes;
    bool continues;
} bn_passage;

/* spec: "bytes" (256 ids, id = byte), or the path of a SentencePiece .model.
 * BN_EINVAL (no such file, no such model). The caller owns *out. */
BN_MUST_CHECK bn_status bn_tokenizer_open(bn_tokenizer **out, const char *spec, bn_error *err);
void bn_tokenizer_close(bn_tokenizer *tokenizer); /* NULL is fine */

int bn_tokenizer_vocab(const bn_tokenizer *tokenizer);

/* "bytes", or the SHA-256 of the model file: what the ids mean. */
const char *bn_tokenizer_hash(const bn_tokenizer *tokenizer);

/* The id written between documents: SentencePiece's </s> (or <s> where there is none); byte 0. */
int bn_tokenizer_separator(const bn_tokenizer *tokenizer);

/* Appends the ids of a passage, no control marks added. Bytes always come back as they were; a
 * SentencePiece model gives back all valid UTF-8 that its own normalizer does not change (Llama's
 * and ours change nothing), and other bytes where it has byte pieces. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_tokenizer_encode(const bn_tokenizer *tokenizer, bn_passage passage,
                                            bn_ids *ids, bn_error *err);

/* Room for `more` further ids. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_ids_reserve(bn_ids *ids, size_t more, bn_error *err);

/* The bytes that one id stands for, borrowed; "" for control marks. continues as in bn_passage: the
 * first id of a text loses the space that stands for its beginning. BN_EINVAL: out of range. */
BN_MUST_CHECK bn_status bn_tokenizer_piece(const bn_tokenizer *tokenizer, int32_t id,
                                           bn_passage *out, bool continues, bn_error *err);

/* Text of ids, NUL-terminated; *out belongs to the caller (free). BN_EINVAL: an id out of range. */
BN_MUST_CHECK bn_status bn_tokenizer_decode(const bn_tokenizer *tokenizer, const int32_t *ids,
                                            size_t count, char **out, size_t *bytes, bn_error *err);

enum { BN_TOKENIZER_TRAIN_BYTES = 64 << 20 }; /* of text that training looks at */

/* Trains a BPE model with byte fallback on text (files, folders, .jsonl with the text in `column`)
 * and writes out_path. Of more than BN_TOKENIZER_TRAIN_BYTES it takes an evenly spread share. The
 * same text gives the same model. BN_EINVAL: bad input, or SentencePiece's reason (a vocabulary too
 * large for so little text, ...). */
typedef struct bn_tokenizer_training {
    const char *const *paths;
    size_t path_count;
    const char *column, *out_path;
    int vocab;
} bn_tokenizer_training;
BN_MUST_CHECK bn_status bn_tokenizer_train(const bn_tokenizer_training *training, bn_error *err);

#endif
