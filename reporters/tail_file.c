#include "reporters/tail_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"

static bn_status make_folder(const char *path, bn_error *err)
{
    char folder[BN_PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder) return BN_OK;
    *slash = '\0';
    return bn_dir_make(folder, 0755, err);
}

static bn_status write_at(int fd, const char *path, int64_t place, const bn_text *text,
                          bn_error *err)
{
    for (size_t done = 0; done < text->length;) {
        ssize_t count =
            pwrite(fd, text->data + done, text->length - done, (off_t)place + (off_t)done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return bn_fail_errno(err, "write %s", path);
        done += (size_t)count;
    }
    return fsync(fd) == 0 ? BN_OK : bn_fail_errno(err, "fsync %s", path);
}

bn_status bn_tail_file_add(const char *path, int64_t mark_bytes, const bn_text *text, bn_error *err)
{
    struct stat info;
    if (text->failed) return bn_fail(err, BN_ENOMEM, "no memory for %s", path);
    if (make_folder(path, err) != BN_OK) return err->status;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    bn_status status = BN_OK;
    if (fstat(fd, &info) != 0) {
        status = bn_fail_errno(err, "stat %s", path);
    } else if (info.st_size < mark_bytes) {
        status = bn_fail(err, BN_ESTALE,
                         "%s is shorter than what was written to it; remove its folder to have all "
                         "written again",
                         path);
    } else if (ftruncate(fd, (off_t)mark_bytes) != 0) {
        status = bn_fail_errno(err, "cut %s", path);
    }
    if (status == BN_OK) status = write_at(fd, path, mark_bytes, text, err);
    if (close(fd) != 0 && status == BN_OK) status = bn_fail_errno(err, "close %s", path);
    return status;
}
