#include "engine/corpus/shards.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shards are little-endian and are mapped as they are"
#endif

enum {
    MAGIC_16 = 20240520,
    VERSION_16 = 1,
    MAGIC_32 = 20240801,
    VERSION_32 = 7,
    HEADER_WORDS = BN_SHARD_HEADER_BYTES / 4,
    BUFFER_IDS = 1 << 14,
};

bn_status bn_shard_parse(bn_shard *out, const void *data, size_t bytes, const char *name,
                         bn_error *err)
{
    *out = (bn_shard){0};
    int32_t header[3];
    if (bytes < BN_SHARD_HEADER_BYTES) {
        return bn_fail(err, BN_EINVAL, "%s: %zu bytes, but a token shard begins with %d of header",
                       name, bytes, BN_SHARD_HEADER_BYTES);
    }
    memcpy(header, data, sizeof header);
    bool wide = header[0] == MAGIC_32;
    if (header[0] != MAGIC_16 && !wide) {
        return bn_fail(err, BN_EINVAL, "%s: no token shard: magic %d, expected %d or %d", name,
                       header[0], MAGIC_16, MAGIC_32);
    }
    int version = wide ? VERSION_32 : VERSION_16;
    if (header[1] != version) {
        return bn_fail(err, BN_EINVAL, "%s: shard version %d, expected %d", name, header[1],
                       version);
    }
    int id_bytes = wide ? 4 : 2;
    int64_t held = ((int64_t)bytes - BN_SHARD_HEADER_BYTES) / id_bytes;
    bool whole = (bytes - BN_SHARD_HEADER_BYTES) % (size_t)id_bytes == 0;
    if (header[2] < 0 || !whole || held != header[2]) {
        return bn_fail(err, BN_EINVAL,
                       "%s: header says %d tokens of %d bytes, but the file has %zu bytes (%lld%s)",
                       name, header[2], id_bytes, bytes, (long long)held,
                       whole ? "" : " and a bit");
    }
    out->tokens = (const unsigned char *)data + BN_SHARD_HEADER_BYTES;
    out->count = held;
    out->id_bytes = id_bytes;
    return BN_OK;
}

/* NULL: err says why. */
static void *map(int fd, const char *path, size_t *bytes, bn_error *err)
{
    struct stat info;
    void *data = MAP_FAILED;
    if (fstat(fd, &info) != 0) {
        (void)bn_fail_errno(err, "stat %s", path);
    } else if (!S_ISREG(info.st_mode)) {
        (void)bn_fail(err, BN_EINVAL, "%s is not a file", path);
    } else if (info.st_size == 0) {
        (void)bn_fail(err, BN_EINVAL, "%s: empty, expected a token shard", path);
    } else {
        *bytes = (size_t)info.st_size;
        data = mmap(NULL, *bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) (void)bn_fail_errno(err, "map %s", path);
    }
    return data == MAP_FAILED ? NULL : data;
}

bn_status bn_shard_open(bn_shard *out, const char *path, bn_error *err)
{
    *out = (bn_shard){0};
    size_t bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return bn_fail(err, BN_EINVAL, "%s: no such file, expected a token shard", path);
    }
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    void *data = map(fd, path, &bytes, err);
    (void)close(fd);
    if (!data) return err->status;
    bn_status status = bn_shard_parse(out, data, bytes, path, err);
    if (status != BN_OK) {
        (void)munmap(data, bytes);
        return status;
    }
    out->map = data;
    out->map_bytes = bytes;
    return BN_OK;
}

void bn_shard_release(bn_shard *shard)
{
    if (shard->map) (void)munmap(shard->map, shard->map_bytes);
    *shard = (bn_shard){0};
}

static int32_t id_at(const bn_shard *shard, int64_t index)
{
    const unsigned char *place = shard->tokens + index * shard->id_bytes;
    if (shard->id_bytes == 2) {
        uint16_t id;
        memcpy(&id, place, sizeof id);
        return id;
    }
    uint32_t id;
    memcpy(&id, place, sizeof id);
    return id > INT32_MAX ? INT32_MAX : (int32_t)id;
}

void bn_shard_read(const bn_shard *shard, int64_t start, int32_t *ids, int64_t count)
{
    assert(start >= 0 && count >= 0 && start <= shard->count - count);
    for (int64_t i = 0; i < count; i++) ids[i] = id_at(shard, start + i);
}

int32_t bn_shard_max_id(const bn_shard *shard)
{
    int32_t largest = -1;
    for (int64_t i = 0; i < shard->count; i++) {
        int32_t id = id_at(shard, i);
        if (id > largest) largest = id;
    }
    return largest;
}

struct bn_shard_writer {
    char path[BN_PATH_MAX];
    char temporary[BN_PATH_MAX + 32];
    int fd;
    int id_bytes;
    int64_t vocab, count;
    bn_error failure; /* the first; BN_OK: none */
    size_t filled;    /* ids that wait in the buffer */
    uint32_t wide[BUFFER_IDS];
    uint16_t narrow[BUFFER_IDS];
};

bn_status bn_shard_writer_open(bn_shard_writer **out, const char *path, int64_t vocab,
                               bn_error *err)
{
    assert(vocab > 0);
    *out = NULL;
    bn_shard_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return bn_fail(err, BN_ENOMEM, "no memory to write %s", path);
    writer->vocab = vocab;
    writer->id_bytes = vocab <= 65536 ? 2 : 4;
    writer->fd = -1;
    int length = snprintf(writer->path, sizeof writer->path, "%s", path);
    if (length < 0 || (size_t)length >= sizeof writer->path) {
        free(writer);
        return bn_fail(err, BN_EINVAL, "path too long: %.80s...", path);
    }
    (void)snprintf(writer->temporary, sizeof writer->temporary, "%s.%ld.tmp", path, (long)getpid());
    static const char header[BN_SHARD_HEADER_BYTES];
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool opened = writer->fd >= 0;
    if (!opened || write(writer->fd, header, sizeof header) != (ssize_t)sizeof header) {
        (void)bn_fail_errno(err, "%s %s", opened ? "write" : "create", writer->temporary);
        bn_shard_writer_close(writer);
        return err->status;
    }
    *out = writer;
    return BN_OK;
}

static void flush(bn_shard_writer *writer)
{
    const char *bytes = (const char *)writer->wide;
    size_t left = writer->filled * 4;
    if (writer->id_bytes == 2) {
        for (size_t i = 0; i < writer->filled; i++) writer->narrow[i] = (uint16_t)writer->wide[i];
        bytes = (const char *)writer->narrow;
        left = writer->filled * 2;
    }
    writer->filled = 0;
    while (left > 0 && writer->failure.status == BN_OK) {
        ssize_t done = write(writer->fd, bytes, left);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            (void)bn_fail_errno(&writer->failure, "write %s", writer->temporary);
            return;
        }
        bytes += done;
        left -= (size_t)done;
    }
}

void bn_shard_writer_add(bn_shard_writer *writer, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count && writer->failure.status == BN_OK; i++) {
        if (ids[i] < 0 || ids[i] >= writer->vocab) {
            (void)bn_fail(&writer->failure, BN_EINVAL,
                          "%s: id %d is outside the vocabulary of %lld", writer->path, ids[i],
                          (long long)writer->vocab);
        } else if (writer->count == BN_SHARD_TOKENS_MAX) {
            (void)bn_fail(&writer->failure, BN_EINVAL, "%s: more than %d tokens", writer->path,
                          BN_SHARD_TOKENS_MAX);
        } else {
            writer->wide[writer->filled++] = (uint32_t)ids[i];
            writer->count++;
            if (writer->filled == BUFFER_IDS) flush(writer);
        }
    }
}

int64_t bn_shard_writer_count(const bn_shard_writer *writer)
{
    return writer->count;
}

static void finish(bn_shard_writer *writer)
{
    int32_t header[HEADER_WORDS] = {writer->id_bytes == 2 ? MAGIC_16 : MAGIC_32,
                                    writer->id_bytes == 2 ? VERSION_16 : VERSION_32,
                                    (int32_t)writer->count};
    if (pwrite(writer->fd, header, sizeof header, 0) != (ssize_t)sizeof header ||
        fsync(writer->fd) != 0) {
        (void)bn_fail_errno(&writer->failure, "write %s", writer->temporary);
        return;
    }
    if (rename(writer->temporary, writer->path) != 0) {
        (void)bn_fail_errno(&writer->failure, "rename %s to %s", writer->temporary, writer->path);
        return;
    }
    (void)close(writer->fd);
    writer->fd = -1;
}

bn_status bn_shard_writer_commit(bn_shard_writer *writer, bn_error *err)
{
    assert(writer->fd >= 0);
    flush(writer);
    if (writer->failure.status == BN_OK) finish(writer);
    if (writer->failure.status == BN_OK) return BN_OK;
    return bn_fail(err, writer->failure.status, "%s", writer->failure.text);
}

void bn_shard_writer_close(bn_shard_writer *writer)
{
    if (!writer) return;
    if (writer->fd >= 0) {
        (void)close(writer->fd);
        (void)unlink(writer->temporary);
    }
    free(writer);
}
