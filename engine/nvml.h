/* nvml.h - what NVIDIA's driver says of its cards: memory, load, power, energy, clocks,
 * temperature.
 *
 * libnvidia-ml.so.1 comes with the driver and is loaded when asked for; its few functions are
 * declared here by hand, so neither its header nor its stub is needed to build. A machine without
 * it, an older one without some functions, and a card that does not tell a value are all usual:
 * what is not known is NaN or "", never made up.
 */
#ifndef BN_ENGINE_NVML_H
#define BN_ENGINE_NVML_H

#include <stdbool.h>

#include "engine/base/status.h"

enum { BN_NVML_TEXT_MAX = 96 };

typedef struct bn_nvml bn_nvml;

/* BNEXP_NVML (environment) names another file than libnvidia-ml.so.1. BN_ENOENT: there is no such
 * library; BN_EINVAL: it is not NVML; BN_EIO: it would not start, in its own words. */
BN_MUST_CHECK bn_status bn_nvml_open(bn_nvml **out, bn_error *err);
void bn_nvml_close(bn_nvml *nvml); /* NULL is fine */

/* The driver's version, "" when it is not told, and the newest CUDA it runs: 1000 * major + 10 *
 * minor, 0 when it is not told. */
const char *bn_nvml_driver(const bn_nvml *nvml);
int bn_nvml_cuda(const bn_nvml *nvml);

int bn_nvml_count(const bn_nvml *nvml);

/* Who a card is. */
typedef struct bn_nvml_card {
    char name[BN_NVML_TEXT_MAX]; /* "NVIDIA H100 80GB HBM3" */
    char uuid[BN_NVML_TEXT_MAX]; /* "GPU-5e1f..." */
    int major, minor;            /* compute capability; 0.0: not told */
} bn_nvml_card;

/* BN_EIO: it cannot be asked at all, e.g. it fell off the bus. */
BN_MUST_CHECK bn_status bn_nvml_card_at(const bn_nvml *nvml, int index, bn_nvml_card *out,
                                        bn_error *err);

/* The card with this UUID, or that CUDA_VISIBLE_DEVICES means by it: a number is the number-th card
 * in the order of the bus. -1: there is none. */
int bn_nvml_find(const bn_nvml *nvml, const char *id);

/* The card at this place of the bus, "0000:3b:00.0"; -1: there is none, or the driver does not
 * tell. */
int bn_nvml_at_bus(const bn_nvml *nvml, const char *bus);

/* How a card is now; NaN: it does not say. */
typedef struct bn_nvml_reading {
    double memory_bytes, memory_total_bytes;  /* used by all processes, and what there is */
    double busy_percent, memory_busy_percent; /* share of the last moment with work, with traffic */
    double power_w, power_limit_w;
    double energy_j; /* since the driver was loaded */
    double sm_clock_mhz, memory_clock_mhz;
    double temperature_c;
} bn_nvml_reading;
bn_nvml_reading bn_nvml_read(const bn_nvml *nvml, int index);

#endif
