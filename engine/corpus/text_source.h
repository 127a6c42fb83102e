/* text_source.h - text files as one text, read in pieces, cut into a training and a held-out part.
 *
 * The rule of the cut: the text is divided into BN_SOURCE_STRETCHES equal stretches and the last
 * `val_fraction` of each is held out, so that both parts see the beginning, the middle and the end.
 * A cut that would fall into a line moves on to the line's end when that is near (within 4 KiB and
 * within half of the shorter part of a stretch). The cut depends on nothing but text and fraction.
 */
#ifndef BN_ENGINE_CORPUS_TEXT_SOURCE_H
#define BN_ENGINE_CORPUS_TEXT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/corpus/tokenizer.h"

enum {
    BN_SOURCE_FILES_MAX = 64,
    BN_SOURCE_STRETCHES = 10,
    BN_SOURCE_CUTS = 2 * BN_SOURCE_STRETCHES, /* train, val, train, val, ... */
    BN_SOURCE_PIECE_BYTES = 1 << 20,
};

typedef struct bn_source_file {
    char path[BN_PATH_MAX];
    int fd;
    int64_t start, bytes; /* its place in the whole text */
} bn_source_file;

typedef struct bn_source {
    bn_source_file files[BN_SOURCE_FILES_MAX];
    size_t count;
    int64_t bytes; /* of the whole text */
    char *buffer;  /* [BN_SOURCE_PIECE_BYTES] */
} bn_source;

/* Opens the files of `paths`, ':' between them. BN_EINVAL names the file that is missing, empty or
 * none; BN_EIO. Release with bn_source_release, also after a failure. */
BN_MUST_CHECK bn_status bn_source_open(bn_source *out, const char *paths, bn_error *err);

/* One file, whatever its name. */
BN_MUST_CHECK bn_status bn_source_open_one(bn_source *out, const char *path, bn_error *err);
void bn_source_release(bn_source *source); /* {0} is fine */

/* The next piece of the text from *at on, not beyond `end`; moves *at. Borrowed until the next
 * call. A piece ends after a newline or before a space where there is one, never inside a
 * character, and at the end of a file. opens: it is the first of a file. BN_EINVAL: the file became
 * shorter. */
BN_MUST_CHECK bn_status bn_source_read(bn_source *source, int64_t *at, int64_t end,
                                       bn_passage *piece, bool *opens, bn_error *err);

/* ends[i]: where part i ends; even parts are for training, odd ones held out. */
BN_MUST_CHECK bn_status bn_source_cut(bn_source *source, double val_fraction,
                                      int64_t ends[BN_SOURCE_CUTS], bn_error *err);

/* Adds every file's size and content to hash. */
BN_MUST_CHECK bn_status bn_source_hash(bn_source *source, bn_sha256 *hash, bn_error *err);

#endif
