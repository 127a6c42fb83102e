#include "engine/device.h"

#include <stdio.h>
#include <string.h>

#include "engine/cpu/cpu_backend.h"
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

static bn_status open_cpu(bn_backend *out, int threads, bn_error *err)
{
    return bn_cpu_open(out, threads, err);
}

static const device devices[] = {
    {"auto", open_cpu},
    {"cpu", open_cpu},
    {"reference", open_reference},
};
enum { DEVICE_COUNT = sizeof devices / sizeof devices[0] };

bn_status bn_device_open(bn_backend *out, const char *name, int threads, bn_error *err)
{
    *out = (bn_backend){0};
    for (size_t i = 0; i < DEVICE_COUNT; i++) {
        if (strcmp(devices[i].name, name) == 0) return devices[i].open(out, threads, err);
    }
    bool cuda = strcmp(name, "cuda") == 0;
    return bn_fail(err, BN_EINVAL, "'train.device' must be auto, cpu or reference, is '%s'%s", name,
                   cuda ? ": this program has no CUDA backend yet" : "");
}

/* The processor's name as the system tells it, or "". */
static void processor_name(char *out, size_t size)
{
    char line[256];
    out[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) return;
    while (!out[0] && fgets(line, sizeof line, file)) {
        const char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (colon) (void)snprintf(out, size, "%s", colon + 2);
    }
    out[strcspn(out, "\n")] = '\0';
    (void)fclose(file);
}

const char *bn_device_describe(bn_backend be, char out[BN_DEVICE_TEXT_MAX])
{
    (void)snprintf(out, BN_DEVICE_TEXT_MAX, "%s", be.ops->name);
    if (strcmp(be.ops->name, "cpu") != 0) return out;
    char processor[64];
    processor_name(processor, sizeof processor);
    int threads = bn_cpu_threads(be);
    (void)snprintf(out, BN_DEVICE_TEXT_MAX, "cpu: %s%s%d thread%s, %s", processor,
                   processor[0] ? ", " : "", threads, threads == 1 ? "" : "s", bn_cpu_isa_name(be));
    return out;
}
