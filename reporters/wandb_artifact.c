/* A finished run's newest checkpoint as an artifact of type "model". Every step may be repeated:
 * the server knows the artifact by what is in it, and answers COMMITTED when it has it already. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/md5.h"
#include "engine/base/sha256.h"
#include "reporters/wandb_inside.h"

/* What one PUT may carry where wandb keeps its files. */
static const int64_t UPLOAD_BYTES_MAX = (int64_t)5 << 30;

typedef struct artifact {
    bn_wandb_artifact words;
    char collection[96], digest_hex[BN_MD5_HEX], file_md5[BN_MD5_BASE64];
    char manifest_md5[BN_MD5_BASE64], client_id[2 * BN_SHA256_HEX];
    char id[257], manifest_id[257];
    void *data; /* the file, mapped: a checkpoint may be larger than memory */
    size_t size_bytes;
    bool there; /* the server has all of it */
} artifact;

/* Checkpoints are never written to under their name, so the map holds still; one that is removed
 * meanwhile stays readable. */
static bn_status map_file(artifact *a, const char *path, bn_error *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    void *data = MAP_FAILED;
    bn_status status = BN_OK;
    if (fstat(fd, &info) != 0) {
        status = bn_fail_errno(err, "stat %s", path);
    } else if (info.st_size == 0 || info.st_size > UPLOAD_BYTES_MAX) {
        status =
            bn_fail(err, BN_EINVAL, "%s: an artifact's file has 1 byte to 5 GiB, this has %lld",
                    path, (long long)info.st_size);
    } else {
        data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) status = bn_fail_errno(err, "map %s", path);
    }
    (void)close(fd);
    if (status != BN_OK) return status;
    a->data = data;
    a->size_bytes = (size_t)info.st_size;
    return BN_OK;
}

/* wandb's client hashes the list of files in a form of its own, and calls artifacts by 128
 * characters of chance; ours follow from what is in it, so that a repetition is the same request.
 */
static void name_parts(artifact *a, const bn_wandb *w, const char *path)
{
    bn_md5 md5;
    bn_sha256 sha;
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    bn_md5_init(&md5);
    bn_md5_add(&md5, a->data, a->size_bytes);
    bn_md5_base64(&md5, a->file_md5);
    char list[512];
    int length =
        snprintf(list, sizeof list, "wandb-artifact-manifest-v1\n%s:%s\n", file, a->file_md5);
    bn_md5_init(&md5);
    bn_md5_add(&md5, list, (size_t)length < sizeof list ? (size_t)length : sizeof list - 1);
    bn_md5_hex(&md5, a->digest_hex);
    for (size_t half = 0; half < 2; half++) {
        bn_sha256_init(&sha);
        bn_sha256_add(&sha, half ? "1" : "0", 1);
        bn_sha256_add(&sha, w->batch->run.key, strlen(w->batch->run.key));
        bn_sha256_add(&sha, a->digest_hex, strlen(a->digest_hex));
        bn_sha256_end(&sha, a->client_id + half * (BN_SHA256_HEX - 1));
    }
    (void)snprintf(a->collection, sizeof a->collection, "checkpoint-%s", w->memo.place.run);
    a->words = (bn_wandb_artifact){.place = &w->memo.place,
                                   .collection = a->collection,
                                   .file = file,
                                   .client_id = a->client_id,
                                   .digest_hex = a->digest_hex,
                                   .file_md5 = a->file_md5,
                                   .manifest_md5 = a->manifest_md5,
                                   .id = a->id,
                                   .manifest_id = a->manifest_id};
}

typedef void body_writer(bn_text *out, const bn_wandb_artifact *artifact);

static bn_status ask(bn_wandb *w, body_writer *write, const artifact *a, json_t **data,
                     bn_error *err)
{
    bn_text_clear(&w->body);
    write(&w->body, &a->words);
    return bn_wandb_link_query(w->link, BN_REQUEST_QUERY, &w->body, data, err);
}

static bn_status take_id(char *out, size_t size, const json_t *node, bn_error *err)
{
    const char *id = json_string_value(json_object_get(node, "id"));
    (void)snprintf(out, size, "%s", id ? id : "");
    return id ? BN_OK : bn_fail(err, BN_EINVAL, "the server's answer names no artifact");
}

static bn_status create(bn_wandb *w, artifact *a, bn_error *err)
{
    json_t *data = NULL;
    bn_status status = ask(w, bn_wandb_artifact_body, a, &data, err);
    const json_t *made = json_object_get(json_object_get(data, "createArtifact"), "artifact");
    const char *state = json_string_value(json_object_get(made, "state"));
    if (status == BN_OK) status = take_id(a->id, sizeof a->id, made, err);
    a->there = state && strcmp(state, "COMMITTED") == 0;
    json_decref(data);
    return status;
}

static const json_t *manifest_in(const json_t *data)
{
    return json_object_get(json_object_get(data, "createArtifactManifest"), "artifactManifest");
}

static bn_status announce_manifest(bn_wandb *w, artifact *a, bn_error *err)
{
    json_t *data = NULL;
    a->manifest_md5[0] = '\0';
    bn_status status = ask(w, bn_wandb_manifest_body, a, &data, err);
    if (status == BN_OK) {
        status = take_id(a->manifest_id, sizeof a->manifest_id, manifest_in(data), err);
    }
    json_decref(data);
    return status;
}

static bn_status send_file(bn_wandb *w, const artifact *a, bn_error *err)
{
    json_t *data = NULL;
    bn_status status = ask(w, bn_wandb_artifact_files_body, a, &data, err);
    const json_t *files = json_object_get(json_object_get(data, "createArtifactFiles"), "files");
    const json_t *edge = json_array_get(json_object_get(files, "edges"), 0);
    const json_t *node = json_object_get(edge, "node");
    if (status == BN_OK && !json_is_object(node)) {
        status = bn_fail(err, BN_EINVAL, "the server gives no upload address");
    }
    /* No address: it has these bytes from another artifact. */
    if (status == BN_OK && json_is_string(json_object_get(node, "uploadUrl"))) {
        status = bn_wandb_put(w, node, json_object_get(node, "uploadHeaders"), a->data,
                              a->size_bytes, err);
    }
    json_decref(data);
    return status;
}

static void write_manifest(bn_text *out, const artifact *a)
{
    bn_json json = {.text = out};
    bn_json_object(&json);
    bn_json_key(&json, "version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "storagePolicy");
    bn_json_string(&json, "wandb-storage-policy-v1");
    bn_json_key(&json, "storagePolicyConfig");
    bn_json_raw(&json, "{\"storageLayout\":\"V2\"}");
    bn_json_key(&json, "contents");
    bn_json_object(&json);
    bn_json_key(&json, a->words.file);
    bn_json_object(&json);
    bn_json_key(&json, "digest");
    bn_json_string(&json, a->file_md5);
    bn_json_key(&json, "size");
    bn_json_int(&json, (int64_t)a->size_bytes);
    bn_json_key(&json, "birthArtifactID");
    bn_json_string(&json, a->id);
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    bn_json_end_object(&json);
}

static bn_status send_manifest(bn_wandb *w, artifact *a, bn_error *err)
{
    bn_md5 md5;
    bn_text text = {0};
    json_t *data = NULL;
    write_manifest(&text, a);
    bn_md5_init(&md5);
    bn_md5_add(&md5, text.data, text.length);
    bn_md5_base64(&md5, a->manifest_md5);
    bn_status status = text.failed ? bn_fail(err, BN_ENOMEM, "no memory for a manifest") : BN_OK;
    if (status == BN_OK) status = ask(w, bn_wandb_manifest_body, a, &data, err);
    const json_t *file = json_object_get(manifest_in(data), "file");
    if (status == BN_OK) {
        status = bn_wandb_put(w, file, json_object_get(file, "uploadHeaders"), text.data,
                              text.length, err);
    }
    json_decref(data);
    bn_text_release(&text);
    return status;
}

static bn_status commit(bn_wandb *w, const artifact *a, bn_error *err)
{
    json_t *data = NULL;
    bn_status status = ask(w, bn_wandb_commit_body, a, &data, err);
    json_decref(data);
    return status;
}

static bn_status send_all(bn_wandb *w, artifact *a, bn_error *err)
{
    bn_status status = create(w, a, err);
    if (status != BN_OK || a->there) return status;
    status = announce_manifest(w, a, err);
    if (status == BN_OK) status = send_file(w, a, err);
    if (status == BN_OK) status = send_manifest(w, a, err);
    return status == BN_OK ? commit(w, a, err) : status;
}

bn_status bn_wandb_send_checkpoint(bn_wandb *w, bn_error *err)
{
    artifact a = {0};
    char path[BN_PATH_MAX];
    if (!w->options.find_checkpoint || w->batch->run.state != BN_RUN_FINISHED ||
        w->memo.files & BN_WANDB_CHECKPOINT_SENT) {
        return BN_OK;
    }
    if (bn_wandb_storage_ready(w, err) != BN_OK) return err->status;
    bn_status status = w->options.find_checkpoint(path, w->dir, err);
    if (status == BN_ENOENT) {
        *err = (bn_error){0};
        w->memo.files |= BN_WANDB_CHECKPOINT_SENT;
        return BN_OK;
    }
    if (status == BN_OK) status = map_file(&a, path, err);
    if (status != BN_OK) { /* one run's trouble, not that of all */
        err->status = BN_EINVAL;
        return BN_EINVAL;
    }
    name_parts(&a, w, path);
    status = send_all(w, &a, err);
    for (int tries = 0; status == BN_ESTALE && tries < BN_WANDB_EXPIRIES_MAX; tries++) {
        *err = (bn_error){0};
        status = send_all(w, &a, err);
    }
    if (status == BN_ESTALE) err->status = status = BN_EINVAL;
    if (status == BN_OK) w->memo.files |= BN_WANDB_CHECKPOINT_SENT;
    if (status != BN_OK) (void)bn_fail_in(err, "checkpoint");
    (void)munmap(a.data, a.size_bytes);
    return status;
}

bn_status bn_wandb_remind(bn_feed *feed, bn_error *err)
{
    bn_feed_mark *marks = NULL;
    size_t count = 0;
    bn_status status = bn_feed_marks(feed, &marks, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        char *text = NULL;
        bn_wandb_memo memo;
        if (marks[i].state != BN_RUN_FINISHED || marks[i].behind) continue;
        status = bn_feed_memo(feed, marks[i].run, &text, err);
        if (status != BN_OK) break;
        bn_wandb_memo_read(&memo, text);
        free(text);
        if (memo.files & BN_WANDB_CHECKPOINT_SENT) continue;
        status = bn_feed_remind(feed, marks[i].run, err);
    }
    free(marks);
    return status;
}
