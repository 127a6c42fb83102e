#include "engine/corpus/dataset.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/base/rng.h"
#include "engine/base/sha256.h"
#include "engine/corpus/build.h"
#include "engine/corpus/cache.h"
#include "engine/corpus/manifest.h"
#include "engine/corpus/order.h"
#include "engine/corpus/shards.h"
#include "engine/corpus/synth.h"

enum { SHARDS_MAX = 4096, STRETCHES = 10 };

/* A stretch of one shard; a part is a list of them, read as one stream. */
typedef struct bn_span {
    const bn_shard *shard;
    int64_t start, count;
    int64_t place; /* of its first token in the part */
} bn_span;

typedef struct bn_part {
    bn_span *spans;
    size_t count, size;
    int64_t tokens;
} bn_part;

struct bn_dataset {
    bn_shard *shards; /* [SHARDS_MAX]; their places must not move */
    size_t shard_count;
    bn_part parts[2]; /* by bn_dataset_part */
    int context;
    bn_dataset_info info;
};

static bn_status add_span(bn_part *part, const bn_shard *shard, int64_t start, int64_t count,
                          bn_error *err)
{
    if (count <= 0) return BN_OK;
    if (part->count == part->size) {
        size_t size = part->size ? 2 * part->size : 16;
        bn_span *spans = realloc(part->spans, size * sizeof *spans);
        if (!spans) return bn_fail(err, BN_ENOMEM, "no memory for the list of shards");
        part->spans = spans;
        part->size = size;
    }
    part->spans[part->count++] = (bn_span){shard, start, count, part->tokens};
    part->tokens += count;
    return BN_OK;
}

/* A bare shard without a held-out one beside it: the rule of text, on tokens. */
static bn_status split_shard(bn_dataset *dataset, const bn_shard *shard, double val_fraction,
                             bn_error *err)
{
    for (int64_t i = 0; i < STRETCHES; i++) {
        int64_t start = shard->count / STRETCHES * i;
        int64_t end = i + 1 == STRETCHES ? shard->count : shard->count / STRETCHES * (i + 1);
        int64_t cut = end - llround((double)(end - start) * val_fraction);
        if (add_span(&dataset->parts[BN_DATASET_TRAIN], shard, start, cut - start, err) != BN_OK ||
            add_span(&dataset->parts[BN_DATASET_VAL], shard, cut, end - cut, err) != BN_OK) {
            return err->status;
        }
    }
    return BN_OK;
}

/* Maps one more shard; every id is looked at once, so that no table is ever read beyond its end. */
static bn_status map_shard(bn_dataset *dataset, const char *path, int *largest, bn_error *err)
{
    if (dataset->shard_count == SHARDS_MAX) {
        return bn_fail(err, BN_EINVAL, "%s: more than %d shards", path, SHARDS_MAX);
    }
    bn_shard *shard = &dataset->shards[dataset->shard_count];
    if (bn_shard_open(shard, path, err) != BN_OK) return err->status;
    dataset->shard_count++;
    *largest = bn_shard_max_id(shard);
    return BN_OK;
}

static bn_status map_part(bn_dataset *dataset, const char *folder, bn_dataset_part part, int count,
                          bn_error *err)
{
    for (int i = 0; i < count; i++) {
        char path[BN_PATH_MAX];
        int largest = -1;
        const char *name = part == BN_DATASET_VAL ? "val" : "train";
        if (bn_manifest_shard_path(path, folder, name, i, err) != BN_OK ||
            map_shard(dataset, path, &largest, err) != BN_OK) {
            return err->status;
        }
        if (largest >= dataset->info.vocab) {
            return bn_fail(err, BN_EINVAL, "%s holds token %d, but its vocabulary has %d", path,
                           largest, dataset->info.vocab);
        }
        const bn_shard *shard = &dataset->shards[dataset->shard_count - 1];
        if (add_span(&dataset->parts[part], shard, 0, shard->count, err) != BN_OK) {
            return err->status;
        }
    }
    return BN_OK;
}

static bn_status open_folder(bn_dataset *dataset, const char *folder, bn_error *err)
{
    bn_manifest manifest;
    bn_dataset_info *info = &dataset->info;
    bn_status status = bn_manifest_read(&manifest, folder, err);
    if (status != BN_OK) return status;
    info->vocab = manifest.vocab;
    info->text_bytes = manifest.text_bytes;
    info->entropy_floor = manifest.entropy_floor;
    (void)snprintf(info->hash, sizeof info->hash, "%s", manifest.hash);
    status = map_part(dataset, folder, BN_DATASET_TRAIN, manifest.train_shards, err);
    if (status == BN_OK) {
        status = map_part(dataset, folder, BN_DATASET_VAL, manifest.val_shards, err);
    }
    if (status != BN_OK) return status;
    int64_t train = dataset->parts[BN_DATASET_TRAIN].tokens;
    int64_t val = dataset->parts[BN_DATASET_VAL].tokens;
    if (train != manifest.train_tokens || val != manifest.val_tokens) {
        return bn_fail(err, BN_EINVAL,
                       "%s: the shards hold %lld + %lld tokens, " BN_MANIFEST_NAME
                       " says %lld + %lld",
                       folder, (long long)train, (long long)val, (long long)manifest.train_tokens,
                       (long long)manifest.val_tokens);
    }
    info->val_bytes_per_token = val ? (double)manifest.val_text_bytes / (double)val : 0;
    return BN_OK;
}

/* The name of a path's `length` bytes says that the shard is held out. */
static bool names_val(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strstr(slash ? slash + 1 : path, "val") != NULL;
}

static bn_status add_bare(bn_dataset *dataset, const char *path, bn_sha256 *hash, bn_error *err)
{
    int largest = -1;
    if (map_shard(dataset, path, &largest, err) != BN_OK) return err->status;
    const bn_shard *shard = &dataset->shards[dataset->shard_count - 1];
    if (largest == INT32_MAX) return bn_fail(err, BN_EINVAL, "%s holds ids beyond 2^31", path);
    if (largest >= dataset->info.vocab) dataset->info.vocab = largest + 1;
    int64_t limit = shard->id_bytes == 2 ? INT64_C(1) << 16 : INT64_C(1) << 31;
    int64_t *least = &dataset->info.id_limit;
    if (*least == 0 || limit < *least) *least = limit;
    bn_sha256_add(hash, shard->map, shard->map_bytes);
    bn_dataset_part part = names_val(path) ? BN_DATASET_VAL : BN_DATASET_TRAIN;
    return add_span(&dataset->parts[part], shard, 0, shard->count, err);
}

static bn_status open_bare(bn_dataset *dataset, const bn_dataset_spec *spec, bn_error *err)
{
    bn_sha256 hash;
    bn_sha256_init(&hash);
    for (const char *rest = spec->path; *rest;) {
        char path[BN_PATH_MAX];
        size_t length = strcspn(rest, ":");
        if (length == 0 || length >= sizeof path) {
            return bn_fail(err, BN_EINVAL, "data.path '%.80s': bad file name", spec->path);
        }
        (void)snprintf(path, sizeof path, "%.*s", (int)length, rest);
        if (add_bare(dataset, path, &hash, err) != BN_OK) return bn_fail_in(err, "data.path");
        rest += length + (rest[length] == ':');
    }
    bn_sha256_end(&hash, dataset->info.hash);
    if (dataset->parts[BN_DATASET_VAL].count > 0) return BN_OK;
    dataset->parts[BN_DATASET_TRAIN].count = 0;
    dataset->parts[BN_DATASET_TRAIN].tokens = 0;
    for (size_t i = 0; i < dataset->shard_count; i++) {
        if (split_shard(dataset, &dataset->shards[i], spec->val_fraction, err) != BN_OK) {
            return err->status;
        }
    }
    return BN_OK;
}

/* Of a list, how many are named as shards are, and how many as text is. */
static void count_kinds(const char *paths, size_t *shards, size_t *texts)
{
    *shards = *texts = 0;
    for (const char *rest = paths; *rest;) {
        size_t length = strcspn(rest, ":");
        bool shard = length >= 4 && strncmp(rest + length - 4, ".bin", 4) == 0;
        ++*(shard ? shards : texts);
        rest += length + (rest[length] == ':');
    }
}

static bn_status check_sizes(const bn_dataset *dataset, const char *path, bn_error *err)
{
    static const char *const names[] = {"training", "validation"};
    for (size_t i = 0; i < 2; i++) {
        int64_t tokens = dataset->parts[i].tokens;
        if (tokens > dataset->context) continue;
        return bn_fail(err, BN_EINVAL,
                       "data.path %.100s: its %s part has %lld tokens, model.context = %d needs at "
                       "least %d",
                       path, names[i], (long long)tokens, dataset->context, dataset->context + 1);
    }
    return BN_OK;
}

static bool is_builtin(const char *path)
{
    return *path == '\0' || strcmp(path, BN_SYNTH_NAME) == 0;
}

static bn_status open_text(bn_dataset *dataset, const bn_dataset_spec *spec, bn_error *err)
{
    char cache[BN_PATH_MAX];
    char folder[BN_PATH_MAX];
    char synth[BN_PATH_MAX] = "";
    bool builtin = is_builtin(spec->path);
    bn_status status = bn_cache_folder(cache, spec->cache, err);
    if (status == BN_OK && builtin) status = bn_synth_builtin(cache, synth, err);
    if (status != BN_OK) return status;
    const bn_build_request request = {builtin ? synth : spec->path, spec->tokenizer, cache,
                                      spec->val_fraction};
    status = bn_build(&request, folder, err);
    return status == BN_OK ? open_folder(dataset, folder, err) : status;
}

static bn_status open_any(bn_dataset *dataset, const bn_dataset_spec *spec, bn_error *err)
{
    struct stat info;
    if (is_builtin(spec->path)) return open_text(dataset, spec, err);
    if (stat(spec->path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return open_folder(dataset, spec->path, err);
    }
    size_t shards, texts;
    count_kinds(spec->path, &shards, &texts);
    if (shards > 0 && texts > 0) { /* ids read as text would be noise, and nobody would know */
        return bn_fail(err, BN_EINVAL,
                       "data.path %.100s: expected text or token shards (.bin), not some of each",
                       spec->path);
    }
    return shards > 0 ? open_bare(dataset, spec, err) : open_text(dataset, spec, err);
}

bn_status bn_dataset_open(bn_dataset **out, const bn_dataset_spec *spec, int context, bn_error *err)
{
    assert(context >= 1);
    *out = NULL;
    bn_dataset *dataset = calloc(1, sizeof *dataset);
    bn_shard *shards = calloc(SHARDS_MAX, sizeof *shards);
    if (!dataset || !shards) {
        free(dataset);
        free(shards);
        return bn_fail(err, BN_ENOMEM, "no memory to open %s", spec->path);
    }
    dataset->shards = shards;
    dataset->context = context;
    dataset->info.entropy_floor = (double)NAN;
    bn_status status = open_any(dataset, spec, err);
    if (status == BN_OK) status = check_sizes(dataset, spec->path, err);
    if (status != BN_OK) {
        bn_dataset_close(dataset);
        return status;
    }
    dataset->info.train_tokens = dataset->parts[BN_DATASET_TRAIN].tokens;
    dataset->info.val_tokens = dataset->parts[BN_DATASET_VAL].tokens;
    *out = dataset;
    return BN_OK;
}

void bn_dataset_close(bn_dataset *dataset)
{
    if (!dataset) return;
    for (size_t i = 0; i < dataset->shard_count; i++) bn_shard_release(&dataset->shards[i]);
    free(dataset->parts[BN_DATASET_TRAIN].spans);
    free(dataset->parts[BN_DATASET_VAL].spans);
    free(dataset->shards);
    free(dataset);
}

const bn_dataset_info *bn_dataset_info_of(const bn_dataset *dataset)
{
    return &dataset->info;
}

/* The span that holds token `place`, by halving. */
static size_t span_at(const bn_part *part, int64_t place)
{
    size_t low = 0;
    size_t high = part->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (part->spans[middle].place <= place) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void bn_dataset_read(const bn_dataset *dataset, bn_dataset_part part, int64_t start, int32_t *ids,
                     int64_t count)
{
    const bn_part *list = &dataset->parts[part];
    assert(start >= 0 && count >= 0 && start <= list->tokens - count);
    for (size_t i = span_at(list, start); count > 0; i++) {
        const bn_span *span = &list->spans[i];
        int64_t inside = start - span->place;
        int64_t here = span->count - inside < count ? span->count - inside : count;
        bn_shard_read(span->shard, span->start + inside, ids, here);
        ids += here;
        start += here;
        count -= here;
    }
}

/* One window less than fits where there are two or more, so that the grid has room to move. */
int64_t bn_dataset_train_windows(const bn_dataset *dataset)
{
    int64_t fit = (dataset->info.train_tokens - 1) / dataset->context;
    return fit > 1 ? fit - 1 : fit;
}

void bn_dataset_train(const bn_dataset *dataset, uint64_t seed, int64_t index, int32_t *tokens,
                      int32_t *targets)
{
    assert(index >= 0);
    int64_t windows = bn_dataset_train_windows(dataset);
    int64_t context = dataset->context;
    uint64_t key = bn_rng_key(seed, "data", (uint64_t)(index / windows));
    int64_t spare = dataset->info.train_tokens - 1 - windows * context;
    int64_t offset = (int64_t)bn_rng_below(key, UINT64_MAX, (uint64_t)spare + 1);
    int64_t window = (int64_t)bn_order_at(key, (uint64_t)windows, (uint64_t)(index % windows));
    int64_t start = offset + window * context;
    bn_dataset_read(dataset, BN_DATASET_TRAIN, start, tokens, context);
    memcpy(targets, tokens + 1, (size_t)(context - 1) * sizeof *targets);
    bn_dataset_read(dataset, BN_DATASET_TRAIN, start + context, targets + context - 1, 1);
}

int64_t bn_dataset_val_windows(const bn_dataset *dataset)
{
    return (dataset->info.val_tokens - 1 + dataset->context - 1) / dataset->context;
}

void bn_dataset_val(const bn_dataset *dataset, int64_t index, int32_t *tokens, int32_t *targets)
{
    assert(index >= 0 && index < bn_dataset_val_windows(dataset));
    int64_t context = dataset->context;
    int64_t start = index * context;
    int64_t left = dataset->info.val_tokens - 1 - start; /* targets that there are */
    int64_t count = left < context ? left : context;
    bn_dataset_read(dataset, BN_DATASET_VAL, start, tokens, count);
    bn_dataset_read(dataset, BN_DATASET_VAL, start + 1, targets, count);
    for (int64_t i = count; i < context; i++) {
        tokens[i] = 0;
        targets[i] = -1;
    }
}
