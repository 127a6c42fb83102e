#include "engine/checkpoint_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 16 };

#define STEP_NAME "step-%012lld.safetensors"

static int newest_first(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left > right ? -1 : left < right;
}

/* The step in a checkpoint's file name, or -1. */
static int64_t step_of_name(const char *name)
{
    char same[64];
    if (strncmp(name, "step-", 5) != 0) return -1;
    errno = 0;
    long long step = strtoll(name + 5, NULL, 10);
    (void)snprintf(same, sizeof same, STEP_NAME, step);
    return errno == 0 && step >= 0 && strcmp(same, name) == 0 ? step : -1;
}

static bn_status list_add(bn_checkpoint_list *list, int64_t step, bn_error *err)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        int64_t *steps = realloc(list->steps, room * sizeof *steps);
        if (!steps) return bn_fail(err, BN_ENOMEM, "no memory to list checkpoints");
        list->steps = steps;
        list->room = room;
    }
    list->steps[list->count++] = step;
    return BN_OK;
}

bn_status bn_checkpoint_dir_list(bn_checkpoint_list *list, const char *dir, bn_error *err)
{
    *list = (bn_checkpoint_list){0};
    DIR *folder = opendir(dir);
    if (!folder && errno == ENOENT) return BN_OK;
    if (!folder) return bn_fail_errno(err, "open %s", dir);
    bn_status status = BN_OK;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): each stream has one reader */
    for (struct dirent *entry = readdir(folder); entry && status == BN_OK;
         entry = readdir(folder)) { /* NOLINT(concurrency-mt-unsafe) */
        int64_t step = step_of_name(entry->d_name);
        if (step >= 0) status = list_add(list, step, err);
    }
    (void)closedir(folder);
    if (list->count > 1) qsort(list->steps, list->count, sizeof *list->steps, newest_first);
    return status;
}

bn_status bn_checkpoint_dir_step(char out[BN_PATH_MAX], const char *dir, int64_t step,
                                 bn_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, STEP_NAME, (long long)step);
    return bn_path_join(out, dir, name, err);
}

/* What a kill left half-written. Who cannot remove it loses disk space, nothing else. */
static void remove_unfinished(const char *dir)
{
    static const char ending[] = ".safetensors.tmp";
    char path[BN_PATH_MAX];
    DIR *folder = opendir(dir);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) { /* NOLINT(concurrency-mt-unsafe) */
        bn_error ignored = {0};
        size_t length = strlen(entry->d_name), tail = sizeof ending - 1;
        if (length < tail || strcmp(entry->d_name + length - tail, ending) != 0) continue;
        if (bn_path_join(path, dir, entry->d_name, &ignored) == BN_OK) (void)unlink(path);
    }
    if (folder) (void)closedir(folder);
}

bn_status bn_checkpoint_dir_trim(const char *dir, int64_t step, int keep, bn_error *err)
{
    bn_checkpoint_list list;
    char path[BN_PATH_MAX];
    int kept = 0;
    remove_unfinished(dir);
    bn_status status = bn_checkpoint_dir_list(&list, dir, err);
    for (size_t i = 0; i < list.count && status == BN_OK; i++) {
        if (list.steps[i] > step || kept++ < keep) continue;
        status = bn_checkpoint_dir_step(path, dir, list.steps[i], err);
        if (status == BN_OK && unlink(path) != 0) status = bn_fail_errno(err, "remove %s", path);
    }
    free(list.steps);
    return status;
}

static bn_status copy_bytes(int from, int to, const char *path, bn_error *err)
{
    char chunk[COPY_BYTES];
    for (;;) {
        ssize_t got = read(from, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bn_fail_errno(err, "read for %s", path);
        if (got == 0) break;
        for (ssize_t at = 0; at < got;) {
            ssize_t wrote = write(to, chunk + at, (size_t)(got - at));
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote < 0) return bn_fail_errno(err, "write %s", path);
            at += wrote;
        }
    }
    return fsync(to) == 0 ? BN_OK : bn_fail_errno(err, "sync %s", path);
}

static bn_status copy_file(const char *from, const char *to, bn_error *err)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool opened = source >= 0 && target >= 0;
    bn_status status = opened ? copy_bytes(source, target, to, err)
                              : bn_fail_errno(err, "copy %s to %s", from, to);
    if (source >= 0) (void)close(source);
    if (target >= 0) (void)close(target);
    if (status != BN_OK) (void)unlink(to);
    return status;
}

bn_status bn_checkpoint_dir_best(const char *dir, const char *path, bn_error *err)
{
    char best[BN_PATH_MAX], temporary[BN_PATH_MAX + 8];
    if (bn_path_join(best, dir, BN_CHECKPOINT_BEST, err) != BN_OK) return err->status;
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", best);
    (void)unlink(temporary);
    if (link(path, temporary) != 0 && copy_file(path, temporary, err) != BN_OK) {
        return err->status;
    }
    if (rename(temporary, best) != 0) return bn_fail_errno(err, "name %s", best);
    return bn_dir_sync(dir, err);
}

bn_status bn_checkpoint_dir_path(char out[BN_PATH_MAX], const char *dir, bool best, bn_error *err)
{
    bn_checkpoint_list list = {0};
    bn_status status = BN_OK;
    if (best) {
        status = bn_path_join(out, dir, BN_CHECKPOINT_BEST, err);
    } else {
        status = bn_checkpoint_dir_list(&list, dir, err);
        if (status == BN_OK && list.count > 0) {
            status = bn_checkpoint_dir_step(out, dir, list.steps[0], err);
        } else if (status == BN_OK) {
            status = bn_fail(err, BN_ENOENT, "%s: there is no checkpoint", dir);
        }
    }
    free(list.steps);
    if (status == BN_OK && !bn_file_exists(out)) {
        status = bn_fail(err, BN_ENOENT, "%s: no such file", out);
    }
    return status;
}
