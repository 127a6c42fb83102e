#include "runner/cli/data_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/corpus/dataset.h"
#include "engine/corpus/synth.h"
#include "runner/cli/trash.h"

static const int64_t SMALL_BYTES = 1 << 20;

/* Whether opening it is worth the time: not for what we bring ourselves, nor for plenty of text. */
static bool may_be_bad(const char *paths)
{
    int64_t bytes = 0;
    if (strcmp(paths, BN_SYNTH_NAME) == 0) return false;
    for (const char *rest = paths; *rest;) {
        char path[BN_PATH_MAX];
        struct stat info;
        size_t length = strcspn(rest, ":");
        (void)snprintf(path, sizeof path, "%.*s", (int)(length < BN_PATH_MAX ? length : 0), rest);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return true;
        bytes += info.st_size;
        rest += length + (rest[length] == ':');
    }
    return bytes <= SMALL_BYTES;
}

bn_status bn_data_check(const bn_config *config, int context, bn_error *err)
{
    char cache[BN_PATH_MAX];
    bn_dataset *dataset = NULL;
    bn_error ignored = {0};
    int64_t bytes = 0;
    if (!*config->data.path) {
        return bn_fail(err, BN_EINVAL, "'data.path' must name a text file or token shards, is ''");
    }
    if (!may_be_bad(config->data.path)) return BN_OK;
    const char *place = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe) */
    if (bn_path_join(cache, place && *place ? place : "/tmp", "bnexp-XXXXXX", err) != BN_OK) {
        return err->status;
    }
    if (!mkdtemp(cache)) return BN_OK; /* the run itself will say what is wrong */
    bn_dataset_spec spec = {.path = config->data.path,
                            .tokenizer = config->data.tokenizer,
                            .cache = cache,
                            .val_fraction = config->data.val_fraction};
    bn_status status = bn_dataset_open(&dataset, &spec, context, err);
    bn_dataset_close(dataset);
    bn_status removed = bn_trash_remove(cache, &bytes, &ignored);
    return status == BN_OK && removed != BN_OK ? bn_fail(err, removed, "%s", ignored.text) : status;
}
