#include "engine/nvml.h"

#include <assert.h>
#include <dlfcn.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Names, numbers and layouts as NVIDIA's NVML API reference documents them for nvml.h. */
typedef int nvml_return;
typedef struct nvml_device *nvml_handle;
enum { NVML_SUCCESS = 0, NVML_TEMPERATURE_GPU = 0, NVML_CLOCK_SM = 1, NVML_CLOCK_MEMORY = 2 };
typedef struct nvml_memory {
    unsigned long long total, free, used;
} nvml_memory;
typedef struct nvml_utilization {
    unsigned gpu, memory;
} nvml_utilization;

typedef struct nvml_calls {
    nvml_return (*init)(void);
    nvml_return (*count)(unsigned *count);
    nvml_return (*handle)(unsigned index, nvml_handle *device);
    const char *(*error)(nvml_return code);
    /* From here on a driver may lack them. */
    nvml_return (*shutdown)(void);
    nvml_return (*driver)(char *version, unsigned length);
    nvml_return (*cuda)(int *version);
    nvml_return (*name)(nvml_handle device, char *name, unsigned length);
    nvml_return (*at_bus)(const char *bus, nvml_handle *device);
    nvml_return (*index)(nvml_handle device, unsigned *index);
    nvml_return (*uuid)(nvml_handle device, char *uuid, unsigned length);
    nvml_return (*capability)(nvml_handle device, int *major, int *minor);
    nvml_return (*memory)(nvml_handle device, nvml_memory *memory);
    nvml_return (*utilization)(nvml_handle device, nvml_utilization *utilization);
    nvml_return (*power)(nvml_handle device, unsigned *milliwatts);
    nvml_return (*limit)(nvml_handle device, unsigned *milliwatts);
    nvml_return (*energy)(nvml_handle device, unsigned long long *millijoules);
    nvml_return (*clock)(nvml_handle device, int type, unsigned *mhz);
    nvml_return (*temperature)(nvml_handle device, int sensor, unsigned *celsius);
} nvml_calls;

static const struct symbol {
    const char *name;
    size_t place;
} SYMBOLS[] = {
    {"nvmlInit_v2", offsetof(nvml_calls, init)},
    {"nvmlDeviceGetCount_v2", offsetof(nvml_calls, count)},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(nvml_calls, handle)},
    {"nvmlErrorString", offsetof(nvml_calls, error)},
    {"nvmlShutdown", offsetof(nvml_calls, shutdown)},
    {"nvmlSystemGetDriverVersion", offsetof(nvml_calls, driver)},
    {"nvmlSystemGetCudaDriverVersion_v2", offsetof(nvml_calls, cuda)},
    {"nvmlDeviceGetName", offsetof(nvml_calls, name)},
    {"nvmlDeviceGetHandleByPciBusId_v2", offsetof(nvml_calls, at_bus)},
    {"nvmlDeviceGetIndex", offsetof(nvml_calls, index)},
    {"nvmlDeviceGetUUID", offsetof(nvml_calls, uuid)},
    {"nvmlDeviceGetCudaComputeCapability", offsetof(nvml_calls, capability)},
    {"nvmlDeviceGetMemoryInfo", offsetof(nvml_calls, memory)},
    {"nvmlDeviceGetUtilizationRates", offsetof(nvml_calls, utilization)},
    {"nvmlDeviceGetPowerUsage", offsetof(nvml_calls, power)},
    {"nvmlDeviceGetEnforcedPowerLimit", offsetof(nvml_calls, limit)},
    {"nvmlDeviceGetTotalEnergyConsumption", offsetof(nvml_calls, energy)},
    {"nvmlDeviceGetClockInfo", offsetof(nvml_calls, clock)},
    {"nvmlDeviceGetTemperature", offsetof(nvml_calls, temperature)},
};
enum { SYMBOL_COUNT = sizeof SYMBOLS / sizeof SYMBOLS[0], NEEDED = 4 };

struct bn_nvml {
    void *library;
    nvml_calls call;
    bool started;
    int count;
    int cuda;
    char driver[BN_NVML_TEXT_MAX];
};

static bn_status load(bn_nvml *nvml, bn_error *err)
{
    const char *given = getenv("BNEXP_NVML"); /* NOLINT(concurrency-mt-unsafe): no setenv */
    const char *file = given && *given ? given : "libnvidia-ml.so.1";
    nvml->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library) {
        return bn_fail(err, BN_ENOENT, "no NVIDIA driver: %s cannot be loaded", file);
    }
    for (size_t i = 0; i < SYMBOL_COUNT; i++) {
        void *found = dlsym(nvml->library, SYMBOLS[i].name);
        if (!found && i < NEEDED) {
            return bn_fail(err, BN_EINVAL, "%s has no %s", file, SYMBOLS[i].name);
        }
        memcpy((char *)&nvml->call + SYMBOLS[i].place, &found, sizeof found);
    }
    return BN_OK;
}

static bn_status start(bn_nvml *nvml, bn_error *err)
{
    unsigned count = 0;
    assert(nvml->call.init && nvml->call.count && nvml->call.error); /* of the needed ones */
    nvml_return code = nvml->call.init();
    if (code != NVML_SUCCESS) {
        const char *why = nvml->call.error(code);
        return bn_fail(err, BN_EIO, "the NVIDIA driver does not start: %.160s", why ? why : "?");
    }
    nvml->started = true;
    code = nvml->call.count(&count);
    if (code != NVML_SUCCESS) {
        const char *why = nvml->call.error(code);
        return bn_fail(err, BN_EIO, "the NVIDIA driver counts no cards: %.160s", why ? why : "?");
    }
    nvml->count = (int)count;
    if (nvml->call.driver && nvml->call.driver(nvml->driver, BN_NVML_TEXT_MAX) != NVML_SUCCESS) {
        nvml->driver[0] = '\0';
    }
    nvml->driver[BN_NVML_TEXT_MAX - 1] = '\0';
    if (nvml->call.cuda && nvml->call.cuda(&nvml->cuda) != NVML_SUCCESS) nvml->cuda = 0;
    return BN_OK;
}

bn_status bn_nvml_open(bn_nvml **out, bn_error *err)
{
    *out = NULL;
    bn_nvml *nvml = calloc(1, sizeof *nvml);
    if (!nvml) return bn_fail(err, BN_ENOMEM, "no memory for NVML");
    bn_status status = load(nvml, err);
    if (status == BN_OK) status = start(nvml, err);
    if (status != BN_OK) {
        bn_nvml_close(nvml);
        return status;
    }
    *out = nvml;
    return BN_OK;
}

void bn_nvml_close(bn_nvml *nvml)
{
    if (!nvml) return;
    if (nvml->started && nvml->call.shutdown) (void)nvml->call.shutdown();
    if (nvml->library) (void)dlclose(nvml->library);
    free(nvml);
}

const char *bn_nvml_driver(const bn_nvml *nvml)
{
    return nvml->driver;
}

int bn_nvml_cuda(const bn_nvml *nvml)
{
    return nvml->cuda;
}

int bn_nvml_count(const bn_nvml *nvml)
{
    return nvml->count;
}

static nvml_return handle_of(const bn_nvml *nvml, int index, nvml_handle *out)
{
    return nvml->call.handle((unsigned)index, out);
}

bn_status bn_nvml_card_at(const bn_nvml *nvml, int index, bn_nvml_card *out, bn_error *err)
{
    nvml_handle device = NULL;
    *out = (bn_nvml_card){.major = 0};
    nvml_return code = handle_of(nvml, index, &device);
    if (code != NVML_SUCCESS) {
        const char *why = nvml->call.error(code);
        return bn_fail(err, BN_EIO, "card %d: %.160s", index, why ? why : "?");
    }
    const nvml_calls *call = &nvml->call;
    if (!call->name || call->name(device, out->name, BN_NVML_TEXT_MAX) != NVML_SUCCESS) {
        out->name[0] = '\0';
    }
    if (!call->uuid || call->uuid(device, out->uuid, BN_NVML_TEXT_MAX) != NVML_SUCCESS) {
        out->uuid[0] = '\0';
    }
    if (!call->capability || call->capability(device, &out->major, &out->minor) != NVML_SUCCESS) {
        out->major = out->minor = 0;
    }
    out->name[BN_NVML_TEXT_MAX - 1] = out->uuid[BN_NVML_TEXT_MAX - 1] = '\0';
    return BN_OK;
}

int bn_nvml_find(const bn_nvml *nvml, const char *id)
{
    char *end = NULL;
    long index = strtol(id, &end, 10);
    if (end != id && *end == '\0') return index >= 0 && index < nvml->count ? (int)index : -1;
    for (int i = 0; i < nvml->count && *id; i++) {
        bn_nvml_card card;
        bn_error ignored = {0}; /* a card that cannot be asked is not the one */
        if (bn_nvml_card_at(nvml, i, &card, &ignored) != BN_OK) continue;
        /* CUDA takes the beginning of a UUID for the whole, if no other card begins so. */
        if (strncmp(card.uuid, id, strlen(id)) == 0) return i;
    }
    return -1;
}

int bn_nvml_at_bus(const bn_nvml *nvml, const char *bus)
{
    const nvml_calls *call = &nvml->call;
    nvml_handle device = NULL;
    unsigned index = 0;
    if (!*bus || !call->at_bus || !call->index) return -1;
    if (call->at_bus(bus, &device) != NVML_SUCCESS) return -1;
    return call->index(device, &index) == NVML_SUCCESS ? (int)index : -1;
}

typedef nvml_return (*ask_unsigned)(nvml_handle device, unsigned *value);

static double ask(ask_unsigned call, nvml_handle device, double unit)
{
    unsigned value = 0;
    return call && call(device, &value) == NVML_SUCCESS ? value * unit : (double)NAN;
}

static double ask_kind(nvml_return (*call)(nvml_handle, int, unsigned *), nvml_handle device,
                       int kind)
{
    unsigned value = 0;
    return call && call(device, kind, &value) == NVML_SUCCESS ? value : (double)NAN;
}

bn_nvml_reading bn_nvml_read(const bn_nvml *nvml, int index)
{
    const nvml_calls *call = &nvml->call;
    bn_nvml_reading now = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    nvml_handle device = NULL;
    nvml_memory memory = {0};
    nvml_utilization busy = {0};
    unsigned long long millijoules = 0;
    if (index < 0 || handle_of(nvml, index, &device) != NVML_SUCCESS) return now;
    if (call->memory && call->memory(device, &memory) == NVML_SUCCESS) {
        now.memory_bytes = (double)memory.used;
        now.memory_total_bytes = (double)memory.total;
    }
    if (call->utilization && call->utilization(device, &busy) == NVML_SUCCESS) {
        now.busy_percent = busy.gpu;
        now.memory_busy_percent = busy.memory;
    }
    if (call->energy && call->energy(device, &millijoules) == NVML_SUCCESS) {
        now.energy_j = (double)millijoules * 1e-3;
    }
    now.power_w = ask(call->power, device, 1e-3);
    now.power_limit_w = ask(call->limit, device, 1e-3);
    now.sm_clock_mhz = ask_kind(call->clock, device, NVML_CLOCK_SM);
    now.memory_clock_mhz = ask_kind(call->clock, device, NVML_CLOCK_MEMORY);
    now.temperature_c = ask_kind(call->temperature, device, NVML_TEMPERATURE_GPU);
    return now;
}
