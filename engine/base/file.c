#include "engine/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads until the end or the limit; files under /proc and growing files have no true size. */
static bn_status read_all(int fd, const char *path, char *data, size_t size, size_t *got,
                          bn_error *err)
{
    *got = 0;
    while (*got < size) {
        ssize_t count = read(fd, data + *got, size - *got);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return bn_fail_errno(err, "read %s", path);
        if (count == 0) break;
        *got += (size_t)count;
    }
    return BN_OK;
}

bn_status bn_file_read(const char *path, size_t limit_bytes, char **out, size_t *size_bytes,
                       bn_error *err)
{
    *out = NULL;
    *size_bytes = 0;
    char *data = NULL;
    bn_status status = BN_OK;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return bn_fail(err, BN_ENOENT, "%s: no such file", path);
    }
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    if (fstat(fd, &info) != 0) {
        status = bn_fail_errno(err, "stat %s", path);
        goto done;
    }
    if (S_ISDIR(info.st_mode)) {
        status = bn_fail(err, BN_EINVAL, "%s is a folder, expected a file", path);
        goto done;
    }
    size_t room = (size_t)info.st_size < limit_bytes ? (size_t)info.st_size + 4096 : limit_bytes;
    data = malloc(room + 2);
    if (!data) {
        status = bn_fail(err, BN_ENOMEM, "no memory to read %s (%zu bytes)", path, room);
        goto done;
    }
    status = read_all(fd, path, data, room + 1, size_bytes, err);
    if (status == BN_OK && *size_bytes > limit_bytes) {
        status = bn_fail(err, BN_EINVAL, "%s is larger than %zu bytes", path, limit_bytes);
    }
    if (status != BN_OK) goto done;
    data[*size_bytes] = '\0';
    *out = data;
    data = NULL;
done:
    free(data);
    (void)close(fd);
    return status;
}

static bn_status write_all(int fd, const char *path, const char *data, size_t size, bn_error *err)
{
    while (size > 0) {
        ssize_t count = write(fd, data, size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return bn_fail_errno(err, "write %s", path);
        data += count;
        size -= (size_t)count;
    }
    if (fsync(fd) != 0) return bn_fail_errno(err, "fsync %s", path);
    return BN_OK;
}

/* The folder that path is in: "." for a bare name. */
static void parent_of(char out[BN_PATH_MAX], const char *path)
{
    (void)snprintf(out, BN_PATH_MAX, "%s", path);
    char *slash = strrchr(out, '/');
    if (!slash) {
        (void)snprintf(out, BN_PATH_MAX, ".");
    } else if (slash == out) {
        out[1] = '\0';
    } else {
        *slash = '\0';
    }
}

bn_status bn_file_check_name(const char *path, bn_error *err)
{
    struct stat info;
    if (*path == '\0') return bn_fail(err, BN_EINVAL, "'' is no file's name");
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode)) return BN_OK;
    return bn_fail(err, BN_EINVAL, "%s is %s, expected a file to make or to replace", path,
                   S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
}

bn_status bn_file_write(const char *path, const void *data, size_t size_bytes, unsigned mode,
                        bn_error *err)
{
    char temporary[BN_PATH_MAX + 32];
    char folder[BN_PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return bn_fail(err, BN_EINVAL, "path too long: %.80s...", path);
    }
    if (bn_file_check_name(path, err) != BN_OK) return err->status;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (fd < 0) return bn_fail_errno(err, "create %s", temporary);
    bn_status status = write_all(fd, temporary, data, size_bytes, err);
    if (close(fd) != 0 && status == BN_OK) status = bn_fail_errno(err, "close %s", temporary);
    /* fsync came before rename: after a power cut the new name must not point at an empty file. */
    if (status == BN_OK && rename(temporary, path) != 0) {
        status = bn_fail_errno(err, "rename %s to %s", temporary, path);
    }
    if (status != BN_OK) {
        (void)unlink(temporary);
        return status;
    }
    parent_of(folder, path);
    return bn_dir_sync(folder, err);
}

bn_status bn_dir_sync(const char *path, bn_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return bn_fail_errno(err, "open folder %s", path);
    /* Some file systems cannot sync a folder; they say EINVAL, and there is nothing to do. */
    bool bad = fsync(fd) != 0 && errno != EINVAL;
    if (bad) (void)bn_fail_errno(err, "fsync folder %s", path);
    (void)close(fd);
    return bad ? err->status : BN_OK;
}

bn_status bn_dir_make(const char *path, unsigned mode, bn_error *err)
{
    char part[BN_PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        return bn_fail(err, BN_EINVAL, "bad folder name '%.80s'", path);
    }
    memcpy(part, path, length + 1);
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != '\0') continue;
        char kept = *c;
        *c = '\0';
        if (mkdir(part, (mode_t)mode) != 0 && errno != EEXIST) {
            return bn_fail_errno(err, "make folder %s", part);
        }
        *c = kept;
        if (kept == '\0') break;
    }
    struct stat info;
    if (stat(path, &info) != 0) return bn_fail_errno(err, "stat %s", path);
    if (!S_ISDIR(info.st_mode)) return bn_fail(err, BN_EIO, "%s is not a folder", path);
    return BN_OK;
}

bool bn_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bn_status bn_path_join(char out[BN_PATH_MAX], const char *folder, const char *part, bn_error *err)
{
    size_t end = strlen(folder);
    const char *slash = part[0] == '/' || end == 0 || folder[end - 1] == '/' ? "" : "/";
    int length = snprintf(out, BN_PATH_MAX, "%s%s%s", part[0] == '/' ? "" : folder, slash, part);
    if (length >= 0 && length < BN_PATH_MAX) return BN_OK;
    return bn_fail(err, BN_EINVAL, "path too long: %.60s.../%.60s", folder, part);
}

bn_status bn_path_absolute(char out[BN_PATH_MAX], const char *path, bn_error *err)
{
    char here[BN_PATH_MAX];
    if (path[0] == '/') return bn_path_join(out, "", path, err);
    if (!getcwd(here, sizeof here)) return bn_fail_errno(err, "find the working folder");
    while (path[0] == '.' && path[1] == '/') path += 2;
    return bn_path_join(out, here, path, err);
}
