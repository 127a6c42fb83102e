#include "engine/machine.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"

enum { SMALL_FILE = 1 << 16 };

/* The number behind "name:" in /proc/self/status, in bytes. */
static double status_bytes(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    if (!at) return NAN;
    return strtod(at + strlen(name), NULL) * 1024;
}

bn_memory bn_memory_now(void)
{
    bn_memory memory = {NAN, NAN};
    bn_error ignored = {0}; /* not every system has /proc; then nothing is known */
    char *status = NULL;
    size_t size = 0;
    if (bn_file_read("/proc/self/status", SMALL_FILE, &status, &size, &ignored) != BN_OK) {
        return memory;
    }
    memory.rss_bytes = status_bytes(status, "VmRSS:");
    memory.peak_rss_bytes = status_bytes(status, "VmHWM:");
    free(status);
    return memory;
}

/* A file that holds one number; false where it cannot be read. */
static bool read_number(const char *path, double *out)
{
    bn_error ignored = {0};
    char *text = NULL, *end = NULL;
    size_t size = 0;
    if (bn_file_read(path, SMALL_FILE, &text, &size, &ignored) != BN_OK) return false;
    *out = strtod(text, &end);
    bool whole = end != text;
    free(text);
    return whole;
}

double bn_memory_installed(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) return NAN;
    return (double)pages * (double)page_bytes;
}

void bn_rapl_init(bn_rapl *rapl, const char *root)
{
    char path[128];
    memset(rapl, 0, sizeof *rapl);
    for (int package = 0; package < BN_RAPL_MAX; package++) {
        int n = rapl->count;
        (void)snprintf(path, sizeof path, "%.60s/intel-rapl:%d/max_energy_range_uj", root, package);
        (void)snprintf(rapl->path[n], sizeof rapl->path[n], "%.60s/intel-rapl:%d/energy_uj", root,
                       package);
        if (!read_number(rapl->path[n], &rapl->last_uj[n])) continue;
        if (!read_number(path, &rapl->range_uj[n])) continue;
        rapl->count++;
    }
}

double bn_rapl_joules(bn_rapl *rapl)
{
    double sum_uj = 0, now_uj = 0;
    if (rapl->count == 0) return NAN;
    for (int i = 0; i < rapl->count; i++) {
        if (!read_number(rapl->path[i], &now_uj)) return NAN;
        double spent_uj = now_uj - rapl->last_uj[i];
        sum_uj += spent_uj < 0 ? spent_uj + rapl->range_uj[i] : spent_uj;
        rapl->last_uj[i] = now_uj;
    }
    return sum_uj * 1e-6;
}
