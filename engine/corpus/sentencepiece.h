/* sentencepiece.h - the C face of the SentencePiece library; only tokenizer.c looks at it. */
#ifndef BN_ENGINE_CORPUS_SENTENCEPIECE_H
#define BN_ENGINE_CORPUS_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bn_pieces bn_pieces;

/* Loads a model from its bytes; *why (size why_bytes) says what is wrong when the answer is NULL.
 * dummy_prefix false: text is read as the continuation of another, whatever the model says. */
bn_pieces *bn_pieces_open(const char *model, size_t bytes, bool dummy_prefix, char *why,
                          size_t why_bytes);
void bn_pieces_close(bn_pieces *pieces);

int bn_pieces_count(const bn_pieces *pieces);
int bn_pieces_end_id(const bn_pieces *pieces);   /* </s>; -1: none */
int bn_pieces_start_id(const bn_pieces *pieces); /* <s>; -1: none */

typedef enum bn_piece_kind {
    BN_PIECE_NORMAL,
    BN_PIECE_CONTROL, /* stands for no text; also what is unused */
    BN_PIECE_BYTE,    /* "<0x0A>" */
    BN_PIECE_UNKNOWN,
} bn_piece_kind;

/* The piece as the model writes it (U+2581 for a space), borrowed. */
const char *bn_pieces_text(const bn_pieces *pieces, int id, bn_piece_kind *kind);

/* The ids of valid UTF-8: fills what fits in `room` and returns how many there are, SIZE_MAX when
 * the library refused. */
size_t bn_pieces_encode(const bn_pieces *pieces, const char *text, size_t bytes, int32_t *ids,
                        size_t room);

/* The next line of text to learn from; false: there are no more. Borrowed until the next call. */
typedef bool bn_pieces_source(void *self, const char **line, size_t *bytes);

/* Trains a BPE model of `vocab` pieces as Llama's was: byte fallback, digits apart, nothing
 * normalized away. *model belongs to the caller (free). false: *why. */
bool bn_pieces_train(int vocab, bn_pieces_source *next, void *self, char **model, size_t *bytes,
                     char why[160]);

#ifdef __cplusplus
}
#endif

#endif
