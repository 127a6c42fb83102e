#include "engine/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"

/* The folder that the running program lies in. */
static bn_status program_folder(char out[BN_PATH_MAX], bn_error *err)
{
    ssize_t length = readlink("/proc/self/exe", out, BN_PATH_MAX - 1);
    if (length <= 0) return bn_fail_errno(err, "read /proc/self/exe");
    out[length] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) slash[slash == out] = '\0';
    return BN_OK;
}

static bn_status find(char path[BN_PATH_MAX], const char *file, bn_error *err)
{
    char folder[BN_PATH_MAX], library[BN_PATH_MAX];
    const char *given = getenv("BNEXP_PLUGINS"); /* NOLINT(concurrency-mt-unsafe) */
    if (given && *given) {
        if (bn_path_join(path, given, file, err) != BN_OK) return err->status;
        if (bn_file_exists(path)) return BN_OK;
        return bn_fail(err, BN_ENOENT, "there is no %s in %s (BNEXP_PLUGINS)", file, given);
    }
    if (program_folder(folder, err) != BN_OK) return err->status;
    if (bn_path_join(path, folder, file, err) != BN_OK) return err->status;
    if (bn_file_exists(path)) return BN_OK;
    if (bn_path_join(library, folder, "../lib/bnexp", err) != BN_OK) return err->status;
    if (bn_path_join(path, library, file, err) != BN_OK) return err->status;
    if (bn_file_exists(path)) return BN_OK;
    return bn_fail(err, BN_ENOENT, "there is no %s beside the program in %s", file, folder);
}

bn_status bn_plugin_load(bn_plugin *out, const char *file, const char *symbol, bn_error *err)
{
    char path[BN_PATH_MAX];
    *out = (bn_plugin){NULL, NULL};
    if (find(path, file, err) != BN_OK) return err->status;
    /* Global: Open MPI's own plug-ins look for its symbols among those of the whole process. */
    out->library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (out->library) out->entry = dlsym(out->library, symbol);
    if (out->entry) return BN_OK;
    const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): loaded by one thread */
    return bn_fail(err, BN_EINVAL, "%s", why ? why : path);
}
