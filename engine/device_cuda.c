#include "engine/device_cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"

#define PLUGIN_VARIABLE "BNEXP_CUDA_PLUGIN"
#define DRIVER_LIBRARY  "libcuda.so.1"

/* The folder of the running program, without a slash at its end. */
static bool program_folder(char out[BN_PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", out, BN_PATH_MAX - 1);
    if (length <= 0) return false;
    out[length] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) *slash = '\0';
    return slash != NULL;
}

/* The plug-in's path; false: none of the places has it. */
static bool find_plugin(char out[BN_PATH_MAX])
{
    static const char *const beside[] = {"", "/../lib/bnexp"};
    char folder[BN_PATH_MAX];
    if (!program_folder(folder)) folder[0] = '\0';
    for (size_t i = 0; folder[0] && i < sizeof beside / sizeof beside[0]; i++) {
        int length = snprintf(out, BN_PATH_MAX, "%s%s/%s", folder, beside[i], BN_CUDA_PLUGIN_FILE);
        if (length < BN_PATH_MAX && access(out, R_OK) == 0) return true;
    }
    (void)snprintf(out, BN_PATH_MAX, "%s/%s", BN_PLUGIN_FOLDER, BN_CUDA_PLUGIN_FILE);
    return access(out, R_OK) == 0;
}

static const char *named_plugin(void)
{
    const char *named = getenv(PLUGIN_VARIABLE); /* NOLINT(concurrency-mt-unsafe): no setenv */
    return named && *named ? named : NULL;
}

/* POSIX lets a data pointer hold a function's address; C has no conversion for it. */
static bn_status entry_of(bn_cuda_plugin_function *out, const char *path, bn_error *err)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): of this thread */
        return bn_fail(err, BN_EINVAL, "%s cannot be loaded: %s", path, why ? why : "no reason");
    }
    void *symbol = dlsym(library, BN_CUDA_PLUGIN_ENTRY);
    if (!symbol) return bn_fail(err, BN_EINVAL, "%s is no plug-in of bnexp", path);
    memcpy(out, &symbol, sizeof *out);
    return BN_OK;
}

bn_status bn_device_cuda_load(const bn_cuda_plugin **out, bn_error *err)
{
    char path[BN_PATH_MAX];
    bn_cuda_plugin_function entry = NULL;
    const char *named = named_plugin();
    *out = NULL;
    if (named) {
        (void)snprintf(path, sizeof path, "%s", named);
    } else if (!find_plugin(path)) {
        return bn_fail(err, BN_EINVAL,
                       "this bnexp has no CUDA backend: %s, built where nvcc is, lies neither "
                       "beside it nor in %s",
                       BN_CUDA_PLUGIN_FILE, BN_PLUGIN_FOLDER);
    }
    if (entry_of(&entry, path, err) != BN_OK) return err->status;
    const bn_cuda_plugin *plugin = entry();
    if (plugin->abi != BN_CUDA_ABI || plugin->ops_bytes != sizeof(struct bn_ops)) {
        return bn_fail(err, BN_EINVAL, "%s belongs to another build of bnexp", path);
    }
    *out = plugin;
    return BN_OK;
}

bn_status bn_device_cuda_open(bn_backend *out, int card, bn_error *err)
{
    const bn_cuda_plugin *plugin = NULL;
    *out = (bn_backend){0};
    if (bn_device_cuda_load(&plugin, err) != BN_OK) return err->status;
    return plugin->open(out, card, err);
}

/* The CUDA libraries take a while to load, and nearly every machine without a card lacks a driver.
 */
static bool has_driver(void)
{
    void *driver = dlopen(DRIVER_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (driver) (void)dlclose(driver);
    return driver != NULL;
}

bool bn_device_cuda_is_here(void)
{
    char path[BN_PATH_MAX];
    return named_plugin() || find_plugin(path) || has_driver();
}

bn_status bn_device_cuda_try(bn_backend *out, bn_error *err)
{
    char path[BN_PATH_MAX];
    *out = (bn_backend){0};
    if (!named_plugin() && find_plugin(path) && !has_driver()) {
        return bn_fail(err, BN_EINVAL, "no NVIDIA driver");
    }
    return bn_device_cuda_open(out, 0, err);
}
