#include "engine/corpus/build.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/corpus/manifest.h"
#include "engine/corpus/shards.h"
#include "engine/corpus/text_source.h"
#include "engine/corpus/tokenizer.h"

/* Part of the hash: raise it when the same text would give other shards. */
#define LAYOUT "bnexp dataset 1"

enum { SIDECAR_LIMIT = 1 << 20 };

typedef struct bn_builder {
    const bn_build_request *request;
    bn_source source;
    bn_tokenizer *tokenizer;
    bn_manifest manifest;
    bn_ids ids;
    char temporary[BN_PATH_MAX];
} bn_builder;

static bn_status hash_all(bn_builder *builder, char hex[BN_SHA256_HEX], bn_error *err)
{
    bn_sha256 hash;
    char head[256];
    int length = snprintf(head, sizeof head, LAYOUT " %s %.17g %.17g ",
                          bn_tokenizer_hash(builder->tokenizer), builder->request->val_fraction,
                          builder->manifest.entropy_floor);
    bn_sha256_init(&hash);
    bn_sha256_add(&hash, head, (size_t)length);
    bn_status status = bn_source_hash(&builder->source, &hash, err);
    bn_sha256_end(&hash, hex);
    return status;
}

/* What the file's sidecar `FILE.json` says; NaN: nothing. A sidecar that is something else is none
 * of our business. */
static double recorded_floor(const char *path)
{
    char sidecar[BN_PATH_MAX + 8];
    char *text = NULL;
    size_t bytes = 0;
    bn_error ignored = {0};
    (void)snprintf(sidecar, sizeof sidecar, "%s.json", path);
    if (bn_file_read(sidecar, SIDECAR_LIMIT, &text, &bytes, &ignored) != BN_OK) return (double)NAN;
    json_t *root = json_loadb(text, bytes, 0, NULL);
    const json_t *value = json_object_get(root, "entropy_nats_per_byte");
    double nats = json_is_number(value) ? json_number_value(value) : (double)NAN;
    json_decref(root);
    free(text);
    return nats;
}

/* The mean over the bytes, known only when every file's is. */
static double floor_of(const bn_source *source)
{
    double nats = 0;
    for (size_t i = 0; i < source->count; i++) {
        nats += recorded_floor(source->files[i].path) * (double)source->files[i].bytes;
    }
    return nats / (double)source->bytes;
}

/* One part of the text into the shards of its kind. */
static bn_status encode_part(bn_builder *builder, bn_shard_writer *writer, int64_t start,
                             int64_t end, bn_error *err)
{
    const int32_t separator = bn_tokenizer_separator(builder->tokenizer);
    for (int64_t at = start; at < end;) {
        bn_passage piece = {"", 0, false};
        bool opens;
        bool first = at == 0;
        bn_status status = bn_source_read(&builder->source, &at, end, &piece, &opens, err);
        if (status != BN_OK) return status;
        if (opens && !first) bn_shard_writer_add(writer, &separator, 1);
        builder->ids.count = 0;
        status = bn_tokenizer_encode(builder->tokenizer, piece, &builder->ids, err);
        if (status != BN_OK) return status;
        bn_shard_writer_add(writer, builder->ids.data, builder->ids.count);
    }
    return BN_OK;
}

static bn_status write_part(bn_builder *builder, const int64_t ends[BN_SOURCE_CUTS], bool held_out,
                            bn_error *err)
{
    char path[BN_PATH_MAX];
    const char *name = held_out ? "val" : "train";
    bn_shard_writer *writer = NULL;
    if (bn_manifest_shard_path(path, builder->temporary, name, 0, err) != BN_OK) return err->status;
    bn_status status =
        bn_shard_writer_open(&writer, path, bn_tokenizer_vocab(builder->tokenizer), err);
    for (size_t i = held_out; i < BN_SOURCE_CUTS && status == BN_OK; i += 2) {
        int64_t start = i ? ends[i - 1] : 0;
        if (held_out) builder->manifest.val_text_bytes += ends[i] - start;
        status = encode_part(builder, writer, start, ends[i], err);
    }
    if (status == BN_OK) {
        int64_t count = bn_shard_writer_count(writer);
        *(held_out ? &builder->manifest.val_tokens : &builder->manifest.train_tokens) = count;
        status = bn_shard_writer_commit(writer, err);
    }
    bn_shard_writer_close(writer);
    return status;
}

/* Shards and manifest into the temporary folder. */
static bn_status write_all(bn_builder *builder, bn_error *err)
{
    bn_manifest *manifest = &builder->manifest;
    int64_t ends[BN_SOURCE_CUTS];
    char again[BN_SHA256_HEX];
    (void)snprintf(manifest->tokenizer, sizeof manifest->tokenizer, "%s",
                   builder->request->tokenizer);
    (void)snprintf(manifest->tokenizer_hash, sizeof manifest->tokenizer_hash, "%s",
                   bn_tokenizer_hash(builder->tokenizer));
    manifest->vocab = bn_tokenizer_vocab(builder->tokenizer);
    manifest->separator = bn_tokenizer_separator(builder->tokenizer);
    manifest->train_shards = manifest->val_shards = 1;
    manifest->text_bytes = builder->source.bytes;
    bn_status status = bn_source_cut(&builder->source, builder->request->val_fraction, ends, err);
    if (status == BN_OK) status = write_part(builder, ends, false, err);
    if (status == BN_OK) status = write_part(builder, ends, true, err);
    if (status == BN_OK) status = hash_all(builder, again, err);
    if (status == BN_OK && strcmp(again, manifest->hash) != 0) {
        status = bn_fail(err, BN_EINVAL, "data.path %s changed while it was read",
                         builder->request->paths);
    }
    if (status == BN_OK) status = bn_manifest_write(manifest, builder->temporary, err);
    return status;
}

static bool is_built(const char *folder)
{
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    return bn_path_join(path, folder, BN_MANIFEST_NAME, &ignored) == BN_OK && bn_file_exists(path);
}

/* Builds in a folder beside, whose name no other holder of the lock can be using. */
static bn_status build_locked(bn_builder *builder, const char *folder, bn_error *err)
{
    if (is_built(folder)) return BN_OK;
    int length = snprintf(builder->temporary, sizeof builder->temporary, "%s.tmp", folder);
    if (length < 0 || (size_t)length >= sizeof builder->temporary) {
        return bn_fail(err, BN_EINVAL, "data.cache: path too long: %.80s...", folder);
    }
    bn_manifest_discard(builder->temporary); /* of a builder that was killed */
    bn_status status = bn_dir_make(builder->temporary, 0777, err);
    if (status == BN_OK) status = write_all(builder, err);
    if (status == BN_OK && rename(builder->temporary, folder) != 0) {
        status = bn_fail_errno(err, "rename %s to %s", builder->temporary, folder);
    }
    if (status == BN_OK) return bn_dir_sync(builder->request->cache, err);
    bn_manifest_discard(builder->temporary);
    return status;
}

static bn_status build_once(bn_builder *builder, const char *folder, bn_error *err)
{
    char lock_path[BN_PATH_MAX + 8];
    (void)snprintf(lock_path, sizeof lock_path, "%s.lock", folder);
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0) return bn_fail_errno(err, "data.cache: create %s", lock_path);
    int locked;
    do {
        locked = flock(lock, LOCK_EX);
    } while (locked != 0 && errno == EINTR);
    bn_status status = locked == 0 ? build_locked(builder, folder, err)
                                   : bn_fail_errno(err, "data.cache: lock %s", lock_path);
    (void)close(lock);
    return status;
}

bn_status bn_build(const bn_build_request *request, char folder[BN_PATH_MAX], bn_error *err)
{
    bn_builder *builder = calloc(1, sizeof *builder);
    if (!builder) return bn_fail(err, BN_ENOMEM, "no memory to read %s", request->paths);
    builder->request = request;
    bn_status status = bn_tokenizer_open(&builder->tokenizer, request->tokenizer, err);
    if (status == BN_OK && bn_source_open(&builder->source, request->paths, err) != BN_OK) {
        status = bn_fail_in(err, "data.path");
    }
    if (status == BN_OK) {
        builder->manifest.entropy_floor = floor_of(&builder->source);
        status = hash_all(builder, builder->manifest.hash, err);
    }
    if (status == BN_OK) status = bn_path_join(folder, request->cache, builder->manifest.hash, err);
    if (status == BN_OK && !is_built(folder)) {
        if (bn_dir_make(request->cache, 0777, err) != BN_OK) {
            status = bn_fail_in(err, "data.cache");
        } else {
            status = build_once(builder, folder, err);
        }
    }
    bn_source_release(&builder->source);
    bn_tokenizer_close(builder->tokenizer);
    free(builder->ids.data);
    free(builder);
    return status;
}
