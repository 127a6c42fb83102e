/* prepare.h - documents to a folder of token shards, in parallel, some documents held out.
 *
 * Every document is written with the tokenizer's separator in front, as llm.c does. A document is
 * held out by a hash of its beginning, so the split does not depend on the order of the files, what
 * is added later moves nothing, and copies of a document never stand on both sides. The shards do
 * not depend on the number of threads.
 */
#ifndef BN_ENGINE_CORPUS_PREPARE_H
#define BN_ENGINE_CORPUS_PREPARE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { BN_PREPARE_THREADS_MAX = 256 };

typedef struct bn_prepare_progress {
    int64_t bytes_read, bytes_total; /* of the files */
    int64_t documents, held_out, text_bytes;
    int64_t train_tokens, val_tokens;
} bn_prepare_progress;

typedef struct bn_prepare_job {
    const char *const *paths; /* as documents.h */
    size_t path_count;
    const char *column, *tokenizer, *out;
    double val_fraction;
    int threads;          /* 1 ... BN_PREPARE_THREADS_MAX */
    int64_t shard_tokens; /* a shard begins anew after so many; 0: 10^8 */
    void (*tell)(void *self, const bn_prepare_progress *progress); /* now and then; may be NULL */
    void *self;
} bn_prepare_job;

/* Makes the folder job->out, which must not exist: it is built beside its place and renamed.
 * BN_EINVAL: bad input, no tokenizer, no document or none held out; BN_EIO, BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_prepare(const bn_prepare_job *job, bn_prepare_progress *result,
                                   bn_error *err);

#endif
