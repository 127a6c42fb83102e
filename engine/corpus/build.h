/* build.h - text to a folder of token shards, once.
 *
 * The folder is named by the hash of text, tokenizer and fraction. It is built beside its place and
 * renamed into it, under a lock: however many processes ask for the same text, one builds, and a
 * kill at any moment leaves the whole folder or none.
 */
#ifndef BN_ENGINE_CORPUS_BUILD_H
#define BN_ENGINE_CORPUS_BUILD_H

#include "engine/base/file.h"
#include "engine/base/status.h"

typedef struct bn_build_request {
    const char *paths;     /* text files, ':' between them */
    const char *tokenizer; /* "bytes" or a SentencePiece model */
    const char *cache;     /* existing or not; made */
    double val_fraction;
} bn_build_request;

/* Makes the folder unless it is there, and gives its path. BN_EINVAL, BN_EIO,
 * BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_build(const bn_build_request *request, char folder[BN_PATH_MAX],
                                 bn_error *err);

#endif
