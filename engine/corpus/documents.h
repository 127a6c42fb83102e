/* documents.h - files of documents, one passage after the other.
 *
 * A file that ends in .jsonl holds a document a line: a JSON object whose `column` is its text. Any
 * other file is one document, given in pieces (see bn_passage). A folder stands for the .jsonl and
 * .txt files in it, by name.
 */
#ifndef BN_ENGINE_CORPUS_DOCUMENTS_H
#define BN_ENGINE_CORPUS_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "engine/corpus/tokenizer.h"

enum { BN_DOCUMENTS_LINE_MAX = 64 << 20 }; /* bytes of one line of JSON */

typedef struct bn_documents bn_documents;

/* Opens files and folders in the order given. BN_EINVAL names what is missing, empty or holds no
 * document; BN_EIO. */
BN_MUST_CHECK bn_status bn_documents_open(bn_documents **out, const char *const *paths,
                                          size_t count, const char *column, bn_error *err);
void bn_documents_close(bn_documents *documents); /* NULL is fine */

int64_t bn_documents_bytes(const bn_documents *documents); /* of all files */
int64_t bn_documents_read(const bn_documents *documents);  /* of them, so far */

/* The next passage, borrowed until the next call; text NULL: there are no more. A passage that does
 * not continue begins a document. BN_EINVAL: file:line, what was expected; BN_EIO, BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_documents_next(bn_documents *documents, bn_passage *out, bn_error *err);

#endif
