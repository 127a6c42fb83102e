#include "runner/cli/trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"

enum { DEPTH_MAX = 32 }; /* a run's folder has two levels; external programs may make more */

static bn_status move_folder(const bn_store *store, const char *from, const char *to, bn_error *err)
{
    char old[BN_PATH_MAX], fresh[BN_PATH_MAX], trash[BN_PATH_MAX];
    const char *home = bn_store_home(store);
    if (bn_path_join(old, home, from, err) != BN_OK) return err->status;
    if (bn_path_join(fresh, home, to, err) != BN_OK) return err->status;
    if (bn_path_join(trash, home, ".trash", err) != BN_OK) return err->status;
    if (bn_dir_make(trash, 0700, err) != BN_OK) return err->status;
    if (rename(old, fresh) != 0) {
        return errno == ENOENT ? BN_OK : bn_fail_errno(err, "move %s to %s", old, fresh);
    }
    *strrchr(old, '/') = '\0';
    (void)rmdir(old); /* the sweep's folder, when this was its last run */
    return BN_OK;
}

bn_status bn_trash_put(bn_store *store, const bn_run *run, bn_error *err)
{
    char dir[64];
    if (run->state == BN_RUN_RUNNING) {
        return bn_fail(err, BN_ESTALE, "run %s (%s) is running; stop it first", run->key,
                       run->name);
    }
    (void)snprintf(dir, sizeof dir, ".trash/%s", run->key);
    bn_status status = move_folder(store, run->dir, dir, err);
    if (status != BN_OK) return status;
    status = bn_run_trash(store, run->id, dir, err);
    if (status != BN_OK) {
        bn_error back = {0}; /* it was started in between: its folder must be where it looks */
        bn_status moved = move_folder(store, dir, run->dir, &back);
        if (moved != BN_OK) status = bn_fail_in(err, "%s", back.text);
    }
    return status;
}

typedef struct walk {
    DIR *open[DEPTH_MAX];
    char names[DEPTH_MAX][256]; /* of the folder one level down that is being walked */
    int depth;
    bool removes;
    int64_t bytes;
} walk;

static bool descend(walk *at, int parent, const char *name)
{
    if (at->depth == DEPTH_MAX) {
        errno = ELOOP;
        return false;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0) (void)close(fd);
        return false;
    }
    (void)snprintf(at->names[at->depth], sizeof at->names[0], "%s", name);
    at->open[at->depth++] = dir;
    return true;
}

/* One entry of the deepest open folder. */
static bool visit(walk *at, const char *name)
{
    struct stat info;
    int fd = dirfd(at->open[at->depth - 1]);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return true;
    if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT;
    if (S_ISDIR(info.st_mode)) return descend(at, fd, name);
    at->bytes += (int64_t)info.st_blocks * 512;
    return !at->removes || unlinkat(fd, name, 0) == 0 || errno == ENOENT;
}

/* The deepest folder has been read to its end. */
static bool ascend(walk *at)
{
    at->depth--;
    (void)closedir(at->open[at->depth]);
    if (!at->removes) return true;
    if (at->depth == 0) return true; /* the caller knows its path */
    return unlinkat(dirfd(at->open[at->depth - 1]), at->names[at->depth], AT_REMOVEDIR) == 0;
}

static bn_status walk_all(walk *at, const char *path, bn_error *err)
{
    bool fine = descend(at, AT_FDCWD, path);
    if (!fine && errno == ENOENT) return BN_OK;
    while (fine && at->depth > 0) {
        errno = 0;
        const struct dirent *entry = readdir(at->open[at->depth - 1]); /* NOLINT: one thread */
        fine = entry ? visit(at, entry->d_name) : errno == 0 && ascend(at);
    }
    int code = errno;
    while (at->depth > 0) (void)closedir(at->open[--at->depth]);
    errno = code;
    return fine ? BN_OK : bn_fail_errno(err, "%s %s", at->removes ? "remove" : "read", path);
}

bn_status bn_trash_remove(const char *path, int64_t *bytes, bn_error *err)
{
    walk at = {.removes = true};
    bn_status status = walk_all(&at, path, err);
    *bytes = at.bytes;
    if (status != BN_OK || rmdir(path) == 0 || errno == ENOENT) return status;
    return bn_fail_errno(err, "remove %s", path);
}

bn_status bn_trash_size(const char *path, int64_t *bytes, bn_error *err)
{
    walk at = {0};
    bn_status status = walk_all(&at, path, err);
    *bytes = at.bytes;
    return status;
}
