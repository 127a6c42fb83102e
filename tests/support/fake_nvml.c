/* A libnvidia-ml.so.1 of two cards. FAKE_NVML says how it is: "" well; "silent" tells nothing but
 * names; "broken" does not start; "lost" has lost its second card; "two-kinds" differs by card.
 * Built with FAKE_NVML_OLD it lacks what old drivers lack, with FAKE_NVML_FOREIGN nearly all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINE = 0, NOT_SUPPORTED = 3, LOST = 15, BROKEN = 9 };

typedef struct card {
    int index;
    unsigned long long millijoules;
} card;

static card CARDS[2] = {{0, 5000000}, {1, 9000000}};

static int is(const char *how)
{
    const char *said = getenv("FAKE_NVML");
    return said && strcmp(said, how) == 0;
}

int nvmlInit_v2(void);
int nvmlInit_v2(void)
{
    return is("broken") ? BROKEN : FINE;
}

#ifndef FAKE_NVML_FOREIGN
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, card **device);
const char *nvmlErrorString(int code);
int nvmlDeviceGetName(const card *device, char *name, unsigned length);
int nvmlDeviceGetMemoryInfo(const card *device, unsigned long long memory[3]);
int nvmlDeviceGetPowerUsage(const card *device, unsigned *milliwatts);

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 2;
    return FINE;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, card **device)
{
    if (index > 1 || (is("lost") && index == 1)) return LOST;
    *device = &CARDS[index];
    return FINE;
}

const char *nvmlErrorString(int code)
{
    return code == BROKEN ? "Driver Not Loaded" : code == LOST ? "GPU is lost" : "Not Supported";
}

int nvmlDeviceGetName(const card *device, char *name, unsigned length)
{
    const char *words = is("two-kinds") && device->index == 1 ? "Fake A100" : "Fake H100 80GB HBM3";
    (void)snprintf(name, length, "%s", words);
    return FINE;
}

int nvmlDeviceGetMemoryInfo(const card *device, unsigned long long memory[3])
{
    if (is("silent")) return NOT_SUPPORTED;
    memory[0] = 80000000000;
    memory[2] = 1000000000 * (unsigned long long)(device->index + 1);
    memory[1] = memory[0] - memory[2];
    return FINE;
}

int nvmlDeviceGetPowerUsage(const card *device, unsigned *milliwatts)
{
    *milliwatts = 350000 + 1000 * (unsigned)device->index;
    return is("silent") ? NOT_SUPPORTED : FINE;
}

#ifndef FAKE_NVML_OLD
int nvmlShutdown(void);
int nvmlSystemGetDriverVersion(char *version, unsigned length);
int nvmlSystemGetCudaDriverVersion_v2(int *version);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, card **device);
int nvmlDeviceGetIndex(const card *device, unsigned *index);
int nvmlDeviceGetUUID(const card *device, char *uuid, unsigned length);
int nvmlDeviceGetCudaComputeCapability(const card *device, int *major, int *minor);
int nvmlDeviceGetUtilizationRates(const card *device, unsigned rates[2]);
int nvmlDeviceGetEnforcedPowerLimit(const card *device, unsigned *milliwatts);
int nvmlDeviceGetTotalEnergyConsumption(card *device, unsigned long long *millijoules);
int nvmlDeviceGetClockInfo(const card *device, int type, unsigned *mhz);
int nvmlDeviceGetTemperature(const card *device, int sensor, unsigned *celsius);

int nvmlShutdown(void)
{
    return FINE;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    (void)snprintf(version, length, "580.65.06");
    return FINE;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    *version = is("old-driver") ? 11040 : 13000;
    return FINE;
}

/* They sit at 0000:0A:00.0 and 0000:0B:00.0. */
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, card **device)
{
    int first = strcmp(bus, "0000:0A:00.0") == 0, second = strcmp(bus, "0000:0B:00.0") == 0;
    *device = &CARDS[second];
    return first || second ? FINE : NOT_SUPPORTED;
}

int nvmlDeviceGetIndex(const card *device, unsigned *index)
{
    *index = (unsigned)device->index;
    return FINE;
}

int nvmlDeviceGetUUID(const card *device, char *uuid, unsigned length)
{
    (void)snprintf(uuid, length, "GPU-%d2345678-0000-0000-0000-000000000000", device->index);
    return FINE;
}

int nvmlDeviceGetCudaComputeCapability(const card *device, int *major, int *minor)
{
    (void)device;
    *major = is("old-card") ? 7 : 9;
    *minor = 0;
    return FINE;
}

int nvmlDeviceGetUtilizationRates(const card *device, unsigned rates[2])
{
    (void)device;
    rates[0] = 97;
    rates[1] = 41;
    return is("silent") ? NOT_SUPPORTED : FINE;
}

int nvmlDeviceGetEnforcedPowerLimit(const card *device, unsigned *milliwatts)
{
    (void)device;
    *milliwatts = 700000;
    return is("silent") ? NOT_SUPPORTED : FINE;
}

/* A joule more each time that somebody looks. */
int nvmlDeviceGetTotalEnergyConsumption(card *device, unsigned long long *millijoules)
{
    device->millijoules = is("reset") ? 250 : device->millijoules + 1000;
    *millijoules = device->millijoules;
    return is("silent") ? NOT_SUPPORTED : FINE;
}

int nvmlDeviceGetClockInfo(const card *device, int type, unsigned *mhz)
{
    (void)device;
    *mhz = type == 1 ? 1755 : 2619;
    return is("silent") ? NOT_SUPPORTED : FINE;
}

int nvmlDeviceGetTemperature(const card *device, int sensor, unsigned *celsius)
{
    (void)device;
    *celsius = sensor == 0 ? 61 : 0;
    return is("silent") ? NOT_SUPPORTED : FINE;
}
#endif
#endif
