#include "engine/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

bn_status bn_plugin_find(char path[BN_PATH_MAX], const bn_plugin_spec *spec, bn_error *err)
{
    static const char *const places[] = {"", "/../lib/bnexp"};
    char folder[BN_PATH_MAX];
    const char *given = getenv(spec->variable); /* NOLINT(concurrency-mt-unsafe): no setenv */
    if (given && *given) {
        (void)snprintf(path, BN_PATH_MAX, "%s", given);
        return BN_OK;
    }
    if (program_folder(folder, err) != BN_OK) return err->status;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int length = snprintf(path, BN_PATH_MAX, "%s%s/%s", folder, places[i], spec->file);
        if (length < BN_PATH_MAX && bn_file_exists(path)) return BN_OK;
    }
    (void)snprintf(path, BN_PATH_MAX, "%s/%s", BN_PLUGIN_FOLDER, spec->file);
    if (bn_file_exists(path)) return BN_OK;
    return bn_fail(err, BN_ENOENT, "there is no %s beside the program or in %s", spec->file,
                   BN_PLUGIN_FOLDER);
}

bn_status bn_plugin_load(bn_plugin *out, const bn_plugin_spec *spec, bn_error *err)
{
    char path[BN_PATH_MAX];
    *out = (bn_plugin){NULL, NULL};
    if (bn_plugin_find(path, spec, err) != BN_OK) return err->status;
    /* Global: Open MPI's own plug-ins look for its symbols among those of the whole process. */
    out->library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (out->library) out->entry = dlsym(out->library, spec->symbol);
    if (out->entry) return BN_OK;
    const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): loaded by one thread */
    return bn_fail(err, BN_EINVAL, "%s", why ? why : path);
}
