/* scratch.h - a folder of one test's own under /tmp, and files in it. */
#ifndef BN_TESTS_SCRATCH_H
#define BN_TESTS_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "support/cmocka_all.h"

/* cmocka set-up: *state becomes the folder's path. */
static inline int scratch_open(void **state)
{
    char *folder = strdup("/tmp/bnexp-test-XXXXXX");
    if (folder && !mkdtemp(folder)) {
        free(folder);
        folder = NULL;
    }
    *state = folder;
    return folder ? 0 : 1;
}

static inline void scratch_remove(const char *path, int depth)
{
    DIR *entries = depth < 8 ? opendir(path) : NULL;
    const struct dirent *entry;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): own DIR */
    while (entries && (entry = readdir(entries))) {
        char inner[BN_PATH_MAX];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode)) {
            scratch_remove(inner, depth + 1);
        } else {
            (void)unlink(inner);
        }
    }
    if (entries) (void)closedir(entries);
    (void)rmdir(path);
}

/* cmocka tear-down. */
static inline int scratch_close(void **state)
{
    scratch_remove(*state, 0);
    free(*state);
    return 0;
}

/* "<folder>/<name>" in a buffer that lives until the fourth call after this one. */
static inline const char *scratch_path(const char *folder, const char *name)
{
    static char paths[4][BN_PATH_MAX];
    static size_t next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, BN_PATH_MAX, "%s/%s", folder, name);
    return path;
}

static inline const char *scratch_write(const char *folder, const char *name, const void *data,
                                        size_t bytes)
{
    bn_error err = {0};
    const char *path = scratch_path(folder, name);
    assert_int_equal(bn_file_write(path, data, bytes, 0666, &err), BN_OK);
    return path;
}

static inline size_t scratch_count(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): own DIR */
    while (entries && (entry = readdir(entries))) count += entry->d_name[0] != '.';
    if (entries) (void)closedir(entries);
    return count;
}

#endif
