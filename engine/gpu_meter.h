/* gpu_meter.h - the card that a run computes on, watched through the driver. */
#ifndef BN_ENGINE_GPU_METER_H
#define BN_ENGINE_GPU_METER_H

#include "engine/nvml.h"

typedef struct bn_gpu_meter {
    bn_nvml *nvml; /* NULL: nothing is watched */
    int card;
    double last_j; /* the card's counter at the last look; NaN: it has none */
} bn_gpu_meter;

/* Which card is meant: the one at that place of the bus, else one of those that
 * CUDA_VISIBLE_DEVICES names. */
typedef struct bn_gpu_place {
    const char *visible; /* CUDA_VISIBLE_DEVICES; NULL: not set */
    int index;           /* in CUDA's numbering */
    const char *name;    /* as CUDA tells it, like */
    const char *bus;     /* "0000:3b:00.0"; "": not known */
} bn_gpu_place;

/* BN_ENOENT, BN_EIO, BN_EINVAL: it cannot be watched, and why; *meter then reads NaN for all. A
 * card of another name is not the one: CUDA and the driver number cards of several kinds apart, and
 * a slice of a card (MIG) has no meters of its own. */
BN_MUST_CHECK bn_status bn_gpu_meter_init(bn_gpu_meter *meter, const bn_gpu_place *place,
                                          bn_error *err);
void bn_gpu_meter_release(bn_gpu_meter *meter); /* {0} is fine */

bn_nvml_reading bn_gpu_meter_read(const bn_gpu_meter *meter);

/* Joules of the card, whoever used it, since the last call or init; NaN: it has no counter. A
 * counter that was set back (a reloaded driver) counts from there. */
double bn_gpu_meter_joules(bn_gpu_meter *meter);

#endif
