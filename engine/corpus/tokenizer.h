/* tokenizer.h - text to token ids and back: bytes, or a SentencePiece model. */
#ifndef BN_ENGINE_CORPUS_TOKENIZER_H
#define BN_ENGINE_CORPUS_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_tokenizer bn_tokenizer;

/* spec: "bytes" (256 ids, id = byte), or the path of a SentencePiece .model.
 * BN_ENOENT, BN_ECORRUPT. The caller owns *out. */
BN_MUST_CHECK bn_status bn_tokenizer_open(bn_tokenizer **out, const char *spec, bn_error *err);
void bn_tokenizer_close(bn_tokenizer *tokenizer); /* NULL is fine */

int bn_tokenizer_vocab(const bn_tokenizer *tokenizer);

/* The id written between documents: SentencePiece's </s> (or <s> where there is none); byte 0. */
int bn_tokenizer_separator(const bn_tokenizer *tokenizer);

/* Ids of `bytes` bytes of text, no beginning or end marks added. *out belongs to the caller (free).
 */
BN_MUST_CHECK bn_status bn_tokenizer_encode(const bn_tokenizer *tokenizer, const char *text,
                                            size_t bytes, int32_t **out, size_t *count,
                                            bn_error *err);

/* Text of ids, NUL-terminated; *out belongs to the caller (free). BN_EINVAL: an id out of range. */
BN_MUST_CHECK bn_status bn_tokenizer_decode(const bn_tokenizer *tokenizer, const int32_t *ids,
                                            size_t count, char **out, size_t *bytes, bn_error *err);

/* Trains a BPE model with byte fallback on text files and writes `out_path`. */
BN_MUST_CHECK bn_status bn_tokenizer_train(const char *const *files, size_t count, int vocab,
                                           const char *out_path, bn_error *err);

#endif
