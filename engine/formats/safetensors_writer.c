#include "engine/formats/safetensors_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "engine/base/file.h"
#include "engine/base/text.h"

enum { PREFIX_BYTES = 8, CHUNK_BYTES = 1 << 20, CRC_DIGITS = 8 };

struct bn_st_writer {
    int fd;
    char path[BN_PATH_MAX], temporary[BN_PATH_MAX + 8];
    size_t digits_at; /* of the checksum, in the file */
    uint64_t expected, written;
    uLong crc;
    bn_error fail;
};

/* The checksum is printed first, so its place is known. */
static const char HEADER_START[] = "{\"__metadata__\":{\"crc32\":\"";

static uint64_t tensor_bytes(const bn_st_tensor *tensor)
{
    uint64_t bytes = bn_st_type_bytes(tensor->type);
    for (int i = 0; i < tensor->dims; i++) bytes *= (uint64_t)tensor->shape[i];
    return bytes;
}

static void print_meta(bn_json *json, const bn_st_plan *plan)
{
    bn_json_key(json, "__metadata__");
    bn_json_object(json);
    bn_json_key(json, "crc32");
    bn_json_string(json, "00000000");
    bn_json_key(json, "format");
    bn_json_string(json, "pt"); /* what readers of Hugging Face's ask for */
    for (size_t i = 0; i < plan->meta_count; i++) {
        bn_json_key(json, plan->meta[i].key);
        bn_json_string(json, plan->meta[i].value);
    }
    bn_json_end_object(json);
}

static void print_tensor(bn_json *json, const bn_st_tensor *tensor, uint64_t at)
{
    bn_json_key(json, tensor->name);
    bn_json_object(json);
    bn_json_key(json, "dtype");
    bn_json_string(json, bn_st_type_word(tensor->type));
    bn_json_key(json, "shape");
    bn_json_array(json);
    for (int i = 0; i < tensor->dims; i++) bn_json_int(json, tensor->shape[i]);
    bn_json_end_array(json);
    bn_json_key(json, "data_offsets");
    bn_json_array(json);
    bn_json_int(json, (int64_t)at);
    bn_json_int(json, (int64_t)(at + tensor_bytes(tensor)));
    bn_json_end_array(json);
    bn_json_end_object(json);
}

/* Prefix and header, padded so that the data begins at a multiple of 8. Returns the data's bytes.
 */
static uint64_t print_header(bn_text *text, const bn_st_plan *plan)
{
    uint64_t at = 0;
    char prefix[PREFIX_BYTES];
    bn_json json = {.text = text, .nonfinite = BN_NONFINITE_NULL};
    bn_text_add(text, "????????");
    bn_json_object(&json);
    print_meta(&json, plan);
    for (size_t i = 0; i < plan->count; i++) {
        print_tensor(&json, &plan->tensors[i], at);
        at += tensor_bytes(&plan->tensors[i]);
    }
    bn_json_end_object(&json);
    while (text->length % PREFIX_BYTES != 0 && !text->failed) bn_text_add(text, " ");
    uint64_t length = text->length - PREFIX_BYTES;
    for (int i = 0; i < PREFIX_BYTES; i++) prefix[i] = (char)(length >> (8 * i) & 0xff);
    if (!text->failed) memcpy(text->data, prefix, sizeof prefix);
    return at;
}

static void write_bytes(bn_st_writer *writer, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t wrote = write(writer->fd, from, bytes);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) {
            (void)bn_fail_errno(&writer->fail, "write %s", writer->temporary);
            return;
        }
        from += wrote;
        bytes -= (size_t)wrote;
    }
}

static bn_status start_file(bn_st_writer *writer, const bn_st_plan *plan, bn_error *err)
{
    bn_text header = {0};
    writer->expected = print_header(&header, plan);
    if (header.failed) {
        bn_text_release(&header);
        return bn_fail(err, BN_ENOMEM, "no memory for the header of %s", writer->path);
    }
    writer->digits_at = PREFIX_BYTES + sizeof HEADER_START - 1;
    writer->crc = crc32(crc32(0, NULL, 0), (unsigned char *)header.data, (uInt)header.length);
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (writer->fd < 0) {
        (void)bn_fail_errno(err, "create %s", writer->temporary);
    } else {
        write_bytes(writer, header.data, header.length);
    }
    bn_text_release(&header);
    return writer->fd < 0 ? err->status : BN_OK;
}

bn_status bn_st_create(bn_st_writer **out, const char *path, const bn_st_plan *plan, bn_error *err)
{
    *out = NULL;
    if (strlen(path) >= BN_PATH_MAX) return bn_fail(err, BN_EINVAL, "path too long: %.60s", path);
    bn_st_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return bn_fail(err, BN_ENOMEM, "no memory to write %s", path);
    writer->fd = -1;
    memcpy(writer->path, path, strlen(path) + 1);
    (void)snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp", path);
    bn_status status = start_file(writer, plan, err);
    if (status != BN_OK) {
        bn_st_abandon(writer);
        return status;
    }
    *out = writer;
    return BN_OK;
}

void bn_st_append(bn_st_writer *writer, const void *data, size_t bytes)
{
    if (writer->fail.status != BN_OK) return;
    writer->written += bytes;
    for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
        size_t part = bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES;
        writer->crc = crc32(writer->crc, (const unsigned char *)data + at, (uInt)part);
    }
    write_bytes(writer, data, bytes);
}

/* fsync before rename: after a power cut the new name must not point at half a file. */
static bn_status finish_file(bn_st_writer *writer, bn_error *err)
{
    char digits[CRC_DIGITS + 1], folder[BN_PATH_MAX];
    (void)snprintf(digits, sizeof digits, "%08lx", writer->crc & 0xffffffffUL);
    if (pwrite(writer->fd, digits, CRC_DIGITS, (off_t)writer->digits_at) != CRC_DIGITS ||
        fsync(writer->fd) != 0) {
        return bn_fail_errno(err, "write %s", writer->temporary);
    }
    if (rename(writer->temporary, writer->path) != 0) {
        return bn_fail_errno(err, "rename %s", writer->temporary);
    }
    (void)snprintf(folder, sizeof folder, "%s", writer->path);
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    return bn_dir_sync(slash ? folder : ".", err);
}

bn_status bn_st_commit(bn_st_writer *writer, bn_error *err)
{
    bn_status status = writer->fail.status;
    if (status != BN_OK) {
        (void)bn_fail(err, status, "%s", writer->fail.text);
    } else if (writer->written != writer->expected) {
        status = bn_fail(err, BN_EINVAL, "%s: %llu bytes of data were given, %llu promised",
                         writer->path, (unsigned long long)writer->written,
                         (unsigned long long)writer->expected);
    } else {
        status = finish_file(writer, err);
    }
    if (status != BN_OK) {
        bn_st_abandon(writer);
        return status;
    }
    (void)close(writer->fd);
    free(writer);
    return BN_OK;
}

void bn_st_abandon(bn_st_writer *writer)
{
    if (!writer) return;
    if (writer->fd >= 0) {
        (void)close(writer->fd);
        (void)unlink(writer->temporary);
    }
    free(writer);
}
