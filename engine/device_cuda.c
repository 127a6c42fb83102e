#include "engine/device_cuda.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "engine/plugin.h"

#define DRIVER_LIBRARY "libcuda.so.1"

static const bn_plugin_spec cuda_spec = {
    .file = BN_CUDA_PLUGIN_FILE, .variable = "BNEXP_CUDA_PLUGIN", .symbol = BN_CUDA_PLUGIN_ENTRY};

bn_status bn_device_cuda_load(const bn_cuda_plugin **out, bn_error *err)
{
    bn_error why = {0};
    bn_plugin loaded;
    bn_cuda_plugin_function entry = NULL;
    *out = NULL;
    if (bn_plugin_load(&loaded, &cuda_spec, &why) != BN_OK) {
        return bn_fail(err, BN_EINVAL, "this bnexp has no CUDA backend: %s", why.text);
    }
    /* POSIX lets a data pointer hold a function's address; C has no conversion for it. */
    memcpy(&entry, &loaded.entry, sizeof entry);
    const bn_cuda_plugin *plugin = entry();
    if (plugin->abi != BN_CUDA_ABI || plugin->ops_bytes != sizeof(struct bn_ops)) {
        return bn_fail(err, BN_EINVAL, "%s belongs to another build of bnexp", cuda_spec.file);
    }
    *out = plugin;
    return BN_OK;
}

bn_status bn_device_cuda_open(bn_backend *out, int card, bn_error *err)
{
    const bn_cuda_plugin *plugin = NULL;
    *out = (bn_backend){0};
    if (bn_device_cuda_load(&plugin, err) != BN_OK) return err->status;
    assert(plugin);
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
    bn_error ignored = {0};
    return bn_plugin_find(path, &cuda_spec, &ignored) == BN_OK || has_driver();
}

bn_status bn_device_cuda_try(bn_backend *out, bn_error *err)
{
    const char *named = getenv(cuda_spec.variable); /* NOLINT(concurrency-mt-unsafe): no setenv */
    *out = (bn_backend){0};
    if (!(named && *named) && !has_driver()) return bn_fail(err, BN_EINVAL, "no NVIDIA driver");
    return bn_device_cuda_open(out, 0, err);
}
