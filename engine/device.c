#include "engine/device.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "engine/reference/reference_backend.h"

typedef struct device {
    const char *name;
    bn_status (*open)(bn_backend *out, int threads, bn_error *err);
} device;

static bn_status open_reference(bn_backend *out, int threads, bn_error *err)
{
    (void)threads;
    return bn_reference_open(out, err);
}

static const device devices[] = {
    {"reference", open_reference},
};
enum { DEVICE_COUNT = sizeof devices / sizeof devices[0] };

bn_status bn_device_open(bn_backend *out, const char *name, int threads, bn_error *err)
{
    *out = (bn_backend){0};
    for (size_t i = 0; i < DEVICE_COUNT; i++) {
        if (strcmp(devices[i].name, name) == 0) return devices[i].open(out, threads, err);
    }
    const char *nearest = bn_nearest(name, &devices[0].name, DEVICE_COUNT, sizeof devices[0]);
    return bn_fail(err, BN_EINVAL, "there is no device '%s'; did you mean '%s'?", name,
                   nearest ? nearest : devices[0].name);
}

const char *bn_device_describe(bn_backend be, char out[BN_DEVICE_TEXT_MAX])
{
    (void)snprintf(out, BN_DEVICE_TEXT_MAX, "%s", be.ops->name);
    return out;
}
