#include "engine/corpus/text_source.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/utf8.h"

enum { LINE_REACH_BYTES = 4096, SEARCH_BYTES = 1 << 16 };

static bn_status open_file(bn_source_file *file, bn_error *err)
{
    struct stat info;
    /* Without waiting: a pipe nobody writes to is refused below, not hung on. */
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return bn_fail(err, BN_EINVAL, "%s: no such file, expected text", file->path);
    }
    if (file->fd < 0) return bn_fail_errno(err, "open %s", file->path);
    if (fstat(file->fd, &info) != 0) return bn_fail_errno(err, "stat %s", file->path);
    if (!S_ISREG(info.st_mode)) {
        return bn_fail(err, BN_EINVAL, "%s is %s, expected a text file", file->path,
                       S_ISDIR(info.st_mode) ? "a folder among files" : "not a regular file");
    }
    if (info.st_size == 0) {
        return bn_fail(err, BN_EINVAL, "%s is empty (0 bytes), expected text", file->path);
    }
    file->bytes = info.st_size;
    return BN_OK;
}

static bn_status add_file(bn_source *source, const char *path, size_t length, bn_error *err)
{
    bn_source_file *file = &source->files[source->count++];
    file->fd = -1;
    file->start = source->bytes;
    (void)snprintf(file->path, sizeof file->path, "%.*s", (int)length, path);
    if (open_file(file, err) != BN_OK) return err->status;
    source->bytes += file->bytes;
    return BN_OK;
}

static bn_status init(bn_source *source, bn_error *err)
{
    *source = (bn_source){0};
    source->buffer = malloc(BN_SOURCE_PIECE_BYTES);
    return source->buffer ? BN_OK : bn_fail(err, BN_ENOMEM, "no memory to read text");
}

bn_status bn_source_open_one(bn_source *out, const char *path, bn_error *err)
{
    if (init(out, err) != BN_OK) return err->status;
    if (strlen(path) >= BN_PATH_MAX) return bn_fail(err, BN_EINVAL, "path too long: %.80s", path);
    return add_file(out, path, strlen(path), err);
}

bn_status bn_source_open(bn_source *out, const char *paths, bn_error *err)
{
    if (init(out, err) != BN_OK) return err->status;
    for (const char *rest = paths; *rest;) {
        size_t length = strcspn(rest, ":");
        if (length == 0 || length >= BN_PATH_MAX || out->count == BN_SOURCE_FILES_MAX) {
            return bn_fail(err, BN_EINVAL, "'%.80s': expected 1 to %d file names with ':' between",
                           paths, BN_SOURCE_FILES_MAX);
        }
        if (add_file(out, rest, length, err) != BN_OK) return err->status;
        rest += length + (rest[length] == ':');
    }
    if (out->count == 0) return bn_fail(err, BN_EINVAL, "no file is named, expected text");
    return BN_OK;
}

void bn_source_release(bn_source *source)
{
    for (size_t i = 0; i < source->count; i++) {
        if (source->files[i].fd >= 0) (void)close(source->files[i].fd);
    }
    free(source->buffer);
    *source = (bn_source){0};
}

static const bn_source_file *file_at(const bn_source *source, int64_t at)
{
    size_t i = 0;
    while (i + 1 < source->count && source->files[i + 1].start <= at) i++;
    return &source->files[i];
}

/* Fills the buffer with `count` bytes from `at` on, which lie in one file. */
static bn_status fill(bn_source *source, const bn_source_file *file, int64_t at, size_t count,
                      bn_error *err)
{
    for (size_t done = 0; done < count;) {
        off_t place = (off_t)(at - file->start) + (off_t)done;
        ssize_t got = pread(file->fd, source->buffer + done, count - done, place);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bn_fail_errno(err, "read %s", file->path);
        if (got == 0) {
            return bn_fail(err, BN_EINVAL, "%s became shorter while it was read", file->path);
        }
        done += (size_t)got;
    }
    return BN_OK;
}

/* Where a full buffer ends best: after its last newline, else before its last space that follows
 * another character, else between characters. */
static size_t good_end(const char *text, size_t bytes)
{
    for (size_t i = bytes - 1; i > bytes - SEARCH_BYTES; i--) {
        if (text[i - 1] == '\n' && text[i] != '\n') return i;
    }
    for (size_t i = bytes - 1; i > bytes - SEARCH_BYTES; i--) {
        if (text[i] == ' ' && text[i - 1] != ' ') return i;
    }
    for (size_t i = bytes - 1; i > bytes - 4; i--) {
        if (((unsigned char)text[i] & 0xC0) != 0x80) return i;
    }
    return bytes;
}

bn_status bn_source_read(bn_source *source, int64_t *at, int64_t end, bn_passage *piece,
                         bool *opens, bn_error *err)
{
    const bn_source_file *file = file_at(source, *at);
    int64_t file_end = file->start + file->bytes;
    int64_t limit = end < file_end ? end : file_end;
    bool whole = limit - *at <= BN_SOURCE_PIECE_BYTES;
    size_t count = whole ? (size_t)(limit - *at) : BN_SOURCE_PIECE_BYTES;
    if (fill(source, file, *at, count, err) != BN_OK) return err->status;
    if (!whole) count = good_end(source->buffer, count);
    *opens = *at == file->start;
    *piece = (bn_passage){source->buffer, count, !*opens};
    *at += (int64_t)count;
    return BN_OK;
}

/* The cut at `at`, moved on to the end of its line when that is within reach, or of its character.
 */
static bn_status settle(bn_source *source, int64_t *at, int64_t reach, bn_error *err)
{
    if (*at <= 0 || *at >= source->bytes) return BN_OK;
    const bn_source_file *file = file_at(source, *at);
    if (*at == file->start) return BN_OK;
    int64_t left = file->start + file->bytes - *at;
    size_t count = (size_t)(left < reach ? left : reach);
    if (fill(source, file, *at - 1, count + 1, err) != BN_OK) return err->status;
    const char *newline = memchr(source->buffer, '\n', count + 1);
    if (newline) {
        *at += newline - source->buffer;
        return BN_OK;
    }
    size_t inside = 1;
    while (inside <= count && inside < 4 &&
           ((unsigned char)source->buffer[inside] & 0xC0) == 0x80) {
        inside++;
    }
    *at += (int64_t)inside - 1;
    return BN_OK;
}

bn_status bn_source_cut(bn_source *source, double val_fraction, int64_t ends[BN_SOURCE_CUTS],
                        bn_error *err)
{
    int64_t before = 0;
    for (int64_t i = 0; i < BN_SOURCE_STRETCHES; i++) {
        int64_t start = source->bytes / BN_SOURCE_STRETCHES * i;
        bool last = i + 1 == BN_SOURCE_STRETCHES;
        int64_t end = last ? source->bytes : source->bytes / BN_SOURCE_STRETCHES * (i + 1);
        int64_t held = llround((double)(end - start) * val_fraction);
        int64_t cut = end - held;
        int64_t shorter = held < cut - start ? held : cut - start;
        int64_t reach = shorter / 2 < LINE_REACH_BYTES ? shorter / 2 : LINE_REACH_BYTES;
        if (reach < 4) reach = 4; /* a character's end is always worth it */
        if (settle(source, &cut, reach, err) != BN_OK) return err->status;
        if (settle(source, &end, reach, err) != BN_OK) return err->status;
        ends[2 * i] = cut > before ? cut : before;
        ends[2 * i + 1] = end > ends[2 * i] ? end : ends[2 * i];
        before = ends[2 * i + 1];
    }
    return BN_OK;
}

bn_status bn_source_hash(bn_source *source, bn_sha256 *hash, bn_error *err)
{
    for (size_t i = 0; i < source->count; i++) {
        bn_sha256_add(hash, &source->files[i].bytes, sizeof source->files[i].bytes);
    }
    for (int64_t at = 0; at < source->bytes;) {
        bn_passage piece = {"", 0, false};
        bool opens;
        if (bn_source_read(source, &at, source->bytes, &piece, &opens, err) != BN_OK) {
            return err->status;
        }
        bn_sha256_add(hash, piece.text, piece.bytes);
    }
    return BN_OK;
}
