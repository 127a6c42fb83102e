#include "engine/corpus/prepare.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "engine/base/sha256.h"
#include "engine/corpus/documents.h"
#include "engine/corpus/manifest.h"
#include "engine/corpus/shards.h"
#include "engine/corpus/tokenizer.h"

#define LAYOUT "bnexp prepared 1"

enum {
    BATCH_BYTES = 16 << 20,
    BATCH_PASSAGES = 8192,
    SHARD_TOKENS = 100000000, /* llm.c's */
};

/* One passage on its way from text to ids. */
typedef struct bn_task {
    size_t start, bytes; /* in the batch's text */
    bool continues, held_out;
    bn_ids ids;
} bn_task;

typedef struct bn_part_writer {
    const char *name;
    bn_shard_writer *shard; /* NULL: none is open */
    int shards;
    int64_t tokens, text_bytes;
} bn_part_writer;

typedef struct bn_preparer {
    const bn_prepare_job *job;
    bn_documents *documents;
    bn_tokenizer *tokenizer;
    char temporary[BN_PATH_MAX];
    char *text; /* of the batch */
    size_t filled, size;
    bn_task tasks[BATCH_PASSAGES];
    size_t task_count;
    atomic_size_t next; /* task to be taken */
    bool held_out;      /* the document that is being read */
    bn_part_writer parts[2];
    bn_sha256 hash;
    bn_prepare_progress progress;
} bn_preparer;

/* By its beginning: FNV-1a, mixed by the generator. */
static bool is_held_out(bn_passage passage, double fraction)
{
    uint64_t hash = 0xCBF29CE484222325U;
    for (size_t i = 0; i < passage.bytes; i++) {
        hash = (hash ^ (unsigned char)passage.text[i]) * 0x100000001B3U;
    }
    return bn_rng_uniform(bn_rng_key(hash, "held out", 0), 0) < fraction;
}

static bn_status take_passage(bn_preparer *p, bn_passage passage, bn_error *err)
{
    if (p->filled + passage.bytes > p->size) {
        size_t size = p->filled + passage.bytes + BATCH_BYTES;
        char *text = realloc(p->text, size);
        if (!text) return bn_fail(err, BN_ENOMEM, "no memory for %zu bytes of text", size);
        p->text = text;
        p->size = size;
    }
    if (!passage.continues) {
        p->held_out = is_held_out(passage, p->job->val_fraction);
        p->progress.documents++;
        p->progress.held_out += p->held_out;
    }
    bn_task *task = &p->tasks[p->task_count++];
    task->start = p->filled;
    task->bytes = passage.bytes;
    task->continues = passage.continues;
    task->held_out = p->held_out;
    task->ids.count = 0;
    memcpy(p->text + p->filled, passage.text, passage.bytes);
    p->filled += passage.bytes;
    uint64_t head[2] = {passage.bytes, passage.continues};
    bn_sha256_add(&p->hash, head, sizeof head);
    bn_sha256_add(&p->hash, passage.text, passage.bytes);
    return BN_OK;
}

/* Reads passages until the batch is full; *more is false at the end of the documents. */
static bn_status read_batch(bn_preparer *p, bool *more, bn_error *err)
{
    p->filled = p->task_count = 0;
    while (p->filled < BATCH_BYTES && p->task_count < BATCH_PASSAGES) {
        bn_passage passage = {0};
        bn_status status = bn_documents_next(p->documents, &passage, err);
        if (status != BN_OK) return status;
        *more = passage.text != NULL;
        if (!passage.text) return BN_OK;
        if (passage.bytes == 0) continue;
        status = take_passage(p, passage, err);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

typedef struct bn_worker {
    pthread_t thread;
    bn_preparer *preparer;
    bn_error err;
} bn_worker;

static void *encode_tasks(void *self)
{
    bn_worker *worker = self;
    bn_preparer *p = worker->preparer;
    for (;;) {
        size_t index = atomic_fetch_add(&p->next, 1);
        if (index >= p->task_count) return NULL;
        bn_task *task = &p->tasks[index];
        bn_passage passage = {p->text + task->start, task->bytes, task->continues};
        bn_status status = bn_tokenizer_encode(p->tokenizer, passage, &task->ids, &worker->err);
        if (status != BN_OK) return NULL;
    }
}

/* The calling thread works too, so a refused thread costs only time. */
static bn_status encode_batch(bn_preparer *p, bn_error *err)
{
    bn_worker workers[BN_PREPARE_THREADS_MAX] = {0};
    int started = 0;
    atomic_store(&p->next, 0);
    for (size_t i = 0; i < BN_PREPARE_THREADS_MAX; i++) workers[i].preparer = p;
    while (started + 1 < p->job->threads) {
        bn_worker *worker = &workers[started];
        if (pthread_create(&worker->thread, NULL, encode_tasks, worker) != 0) break;
        started++;
    }
    (void)encode_tasks(&workers[started]);
    for (int i = 0; i < started; i++) (void)pthread_join(workers[i].thread, NULL);
    for (int i = 0; i <= started; i++) {
        if (workers[i].err.status == BN_OK) continue;
        return bn_fail(err, workers[i].err.status, "%s", workers[i].err.text);
    }
    return BN_OK;
}

static bn_status finish_shard(bn_part_writer *part, bn_error *err)
{
    if (!part->shard) return BN_OK;
    bn_status status = bn_shard_writer_commit(part->shard, err);
    bn_shard_writer_close(part->shard);
    part->shard = NULL;
    return status;
}

static bn_status next_shard(bn_preparer *p, bn_part_writer *part, bn_error *err)
{
    char path[BN_PATH_MAX];
    if (finish_shard(part, err) != BN_OK) return err->status;
    if (bn_manifest_shard_path(path, p->temporary, part->name, part->shards, err) != BN_OK) {
        return err->status;
    }
    part->shards++;
    return bn_shard_writer_open(&part->shard, path, bn_tokenizer_vocab(p->tokenizer), err);
}

static bn_status write_task(bn_preparer *p, const bn_task *task, bn_error *err)
{
    bn_part_writer *part = &p->parts[task->held_out];
    int64_t limit = p->job->shard_tokens > 0 ? p->job->shard_tokens : SHARD_TOKENS;
    bool full = part->shard && !task->continues && bn_shard_writer_count(part->shard) >= limit;
    if ((!part->shard || full) && next_shard(p, part, err) != BN_OK) return err->status;
    if (!task->continues) {
        bn_shard_writer_add(part->shard, &(int32_t){bn_tokenizer_separator(p->tokenizer)}, 1);
        part->tokens++;
    }
    bn_shard_writer_add(part->shard, task->ids.data, task->ids.count);
    part->tokens += (int64_t)task->ids.count;
    part->text_bytes += (int64_t)task->bytes;
    return BN_OK;
}

static void tell(bn_preparer *p)
{
    p->progress.bytes_read = bn_documents_read(p->documents);
    p->progress.bytes_total = bn_documents_bytes(p->documents);
    p->progress.text_bytes = p->parts[0].text_bytes + p->parts[1].text_bytes;
    p->progress.train_tokens = p->parts[0].tokens;
    p->progress.val_tokens = p->parts[1].tokens;
    if (p->job->tell) p->job->tell(p->job->self, &p->progress);
}

static bn_status write_shards(bn_preparer *p, bn_error *err)
{
    bool more = true;
    while (more) {
        bn_status status = read_batch(p, &more, err);
        if (status == BN_OK) status = encode_batch(p, err);
        for (size_t i = 0; i < p->task_count && status == BN_OK; i++) {
            status = write_task(p, &p->tasks[i], err);
        }
        if (status != BN_OK) return status;
        tell(p);
    }
    bn_status status = finish_shard(&p->parts[0], err);
    return status == BN_OK ? finish_shard(&p->parts[1], err) : status;
}

static bn_status check_split(const bn_preparer *p, bn_error *err)
{
    long long documents = p->progress.documents;
    long long held_out = p->progress.held_out;
    if (held_out > 0 && held_out < documents) return BN_OK;
    return bn_fail(err, BN_EINVAL,
                   "%lld of %lld documents would be held out; a share of %g needs more documents "
                   "(a single text can be given to data.path as it is)",
                   held_out, documents, p->job->val_fraction);
}

static bn_status write_manifest(bn_preparer *p, bn_error *err)
{
    bn_manifest manifest = {
        .vocab = bn_tokenizer_vocab(p->tokenizer),
        .separator = bn_tokenizer_separator(p->tokenizer),
        .train_shards = p->parts[0].shards,
        .val_shards = p->parts[1].shards,
        .train_tokens = p->parts[0].tokens,
        .val_tokens = p->parts[1].tokens,
        .text_bytes = p->parts[0].text_bytes + p->parts[1].text_bytes,
        .val_text_bytes = p->parts[1].text_bytes,
        .entropy_floor = (double)NAN,
    };
    (void)snprintf(manifest.tokenizer, sizeof manifest.tokenizer, "%s", p->job->tokenizer);
    (void)snprintf(manifest.tokenizer_hash, sizeof manifest.tokenizer_hash, "%s",
                   bn_tokenizer_hash(p->tokenizer));
    bn_sha256_end(&p->hash, manifest.hash);
    return bn_manifest_write(&manifest, p->temporary, err);
}

static bn_status prepare_folder(bn_preparer *p, bn_error *err)
{
    const char *out = p->job->out;
    int length = snprintf(p->temporary, sizeof p->temporary, "%s.tmp", out);
    if (length < 0 || (size_t)length >= sizeof p->temporary) {
        return bn_fail(err, BN_EINVAL, "path too long: %.80s...", out);
    }
    bn_manifest_discard(p->temporary); /* of one that was killed */
    bn_status status = bn_dir_make(p->temporary, 0777, err);
    if (status == BN_OK) status = write_shards(p, err);
    if (status == BN_OK) status = check_split(p, err);
    if (status == BN_OK) status = write_manifest(p, err);
    if (status == BN_OK && rename(p->temporary, out) != 0) {
        status = bn_fail_errno(err, "rename %s to %s", p->temporary, out);
    }
    if (status != BN_OK) bn_manifest_discard(p->temporary);
    return status;
}

static bn_status start(bn_preparer *p, bn_error *err)
{
    const bn_prepare_job *job = p->job;
    char head[256];
    if (bn_file_exists(job->out)) {
        return bn_fail(err, BN_EINVAL, "%s exists already; name a folder that does not", job->out);
    }
    bn_status status = bn_tokenizer_open(&p->tokenizer, job->tokenizer, err);
    if (status == BN_OK) {
        status = bn_documents_open(&p->documents, job->paths, job->path_count, job->column, err);
    }
    if (status != BN_OK) return status;
    int length = snprintf(head, sizeof head, LAYOUT " %s %.17g ", bn_tokenizer_hash(p->tokenizer),
                          job->val_fraction);
    bn_sha256_init(&p->hash);
    bn_sha256_add(&p->hash, head, (size_t)length);
    return BN_OK;
}

bn_status bn_prepare(const bn_prepare_job *job, bn_prepare_progress *result, bn_error *err)
{
    assert(job->threads >= 1 && job->threads <= BN_PREPARE_THREADS_MAX);
    bn_preparer *p = calloc(1, sizeof *p);
    if (!p) return bn_fail(err, BN_ENOMEM, "no memory to prepare %s", job->out);
    p->job = job;
    p->parts[0].name = "train";
    p->parts[1].name = "val";
    bn_status status = start(p, err);
    if (status == BN_OK) status = prepare_folder(p, err);
    *result = p->progress;
    for (size_t i = 0; i < 2; i++) bn_shard_writer_close(p->parts[i].shard);
    for (size_t i = 0; i < BATCH_PASSAGES; i++) free(p->tasks[i].ids.data);
    bn_documents_close(p->documents);
    bn_tokenizer_close(p->tokenizer);
    free(p->text);
    free(p);
    return status;
}
