#include "engine/corpus/manifest.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/text.h"

enum { FILE_LIMIT = 1 << 16, SCHEMA_VERSION = 1 };

bn_status bn_manifest_shard_path(char out[BN_PATH_MAX], const char *folder, const char *part,
                                 int number, bn_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s_%06d.bin", part, number);
    return bn_path_join(out, folder, name, err);
}

/* One row a member that is a whole number, so that writing and reading cannot disagree. */
typedef struct bn_member {
    const char *name;
    int64_t value;
} bn_member;

enum { MEMBER_COUNT = 8 };

static void members_of(const bn_manifest *m, bn_member out[MEMBER_COUNT])
{
    const bn_member rows[MEMBER_COUNT] = {
        {"vocab", m->vocab},
        {"separator", m->separator},
        {"train_shards", m->train_shards},
        {"val_shards", m->val_shards},
        {"train_tokens", m->train_tokens},
        {"val_tokens", m->val_tokens},
        {"text_bytes", m->text_bytes},
        {"val_text_bytes", m->val_text_bytes},
    };
    memcpy(out, rows, sizeof rows);
}

bn_status bn_manifest_write(const bn_manifest *manifest, const char *folder, bn_error *err)
{
    char path[BN_PATH_MAX];
    bn_member members[MEMBER_COUNT];
    if (bn_path_join(path, folder, BN_MANIFEST_NAME, err) != BN_OK) return err->status;
    members_of(manifest, members);
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, SCHEMA_VERSION);
    bn_json_key(&json, "tokenizer");
    bn_json_string(&json, manifest->tokenizer);
    bn_json_key(&json, "tokenizer_hash");
    bn_json_string(&json, manifest->tokenizer_hash);
    bn_json_key(&json, "hash");
    bn_json_string(&json, manifest->hash);
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        bn_json_key(&json, members[i].name);
        bn_json_int(&json, members[i].value);
    }
    bn_json_key(&json, "entropy_floor");
    bn_json_real(&json, manifest->entropy_floor);
    bn_json_end_object(&json);
    bn_text_add(&text, "\n");
    bn_status status = text.failed ? bn_fail(err, BN_ENOMEM, "no memory for %s", path)
                                   : bn_file_write(path, text.data, text.length, 0666, err);
    bn_text_release(&text);
    return status;
}

static bool read_word(const json_t *root, const char *name, char *out, size_t size)
{
    const char *word = json_string_value(json_object_get(root, name));
    if (!word || strlen(word) >= size) return false;
    (void)snprintf(out, size, "%s", word);
    return true;
}

/* What is wrong, or NULL. */
static const char *fill(bn_manifest *out, const json_t *root)
{
    bn_member members[MEMBER_COUNT];
    members_of(out, members);
    if (json_integer_value(json_object_get(root, "schema_version")) != SCHEMA_VERSION) {
        return "schema_version is not 1";
    }
    if (!read_word(root, "tokenizer", out->tokenizer, sizeof out->tokenizer)) return "tokenizer";
    if (!read_word(root, "tokenizer_hash", out->tokenizer_hash, sizeof out->tokenizer_hash)) {
        return "tokenizer_hash";
    }
    if (!read_word(root, "hash", out->hash, sizeof out->hash)) return "hash";
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        const json_t *value = json_object_get(root, members[i].name);
        if (!json_is_integer(value) || json_integer_value(value) < 0) return members[i].name;
        members[i].value = json_integer_value(value);
    }
    const int64_t most = INT32_MAX;
    if (members[0].value < 1 || members[0].value > most) return members[0].name;
    for (size_t i = 1; i < 4; i++) {
        if (members[i].value > (i < 2 ? members[0].value - 1 : 999999)) return members[i].name;
    }
    out->vocab = (int)members[0].value;
    out->separator = (int)members[1].value;
    out->train_shards = (int)members[2].value;
    out->val_shards = (int)members[3].value;
    out->train_tokens = members[4].value;
    out->val_tokens = members[5].value;
    out->text_bytes = members[6].value;
    out->val_text_bytes = members[7].value;
    const json_t *floor_value = json_object_get(root, "entropy_floor");
    out->entropy_floor = json_is_number(floor_value) ? json_number_value(floor_value) : (double)NAN;
    return NULL;
}

bn_status bn_manifest_read(bn_manifest *out, const char *folder, bn_error *err)
{
    *out = (bn_manifest){0};
    char path[BN_PATH_MAX];
    char *text = NULL;
    size_t bytes = 0;
    if (bn_path_join(path, folder, BN_MANIFEST_NAME, err) != BN_OK) return err->status;
    if (!bn_file_exists(path)) {
        return bn_fail(err, BN_EINVAL,
                       "folder %s has no " BN_MANIFEST_NAME
                       "; 'bnexp data prepare' makes a folder of token shards",
                       folder);
    }
    if (bn_file_read(path, FILE_LIMIT, &text, &bytes, err) != BN_OK) return err->status;
    json_error_t where;
    json_t *root = json_loadb(text, bytes, 0, &where);
    const char *wrong = json_is_object(root) ? fill(out, root) : "not a JSON object";
    bn_status status = wrong ? bn_fail(err, BN_EINVAL, "%s is damaged: %s", path, wrong) : BN_OK;
    json_decref(root);
    free(text);
    return status;
}

void bn_manifest_discard(const char *folder)
{
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    DIR *entries = opendir(folder);
    if (!entries) return;
    for (;;) {
        const struct dirent *entry = readdir(entries); /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (!entry) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (bn_path_join(path, folder, entry->d_name, &ignored) == BN_OK) (void)unlink(path);
    }
    (void)closedir(entries);
    (void)rmdir(folder);
}
