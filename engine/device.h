/* device.h - the one place that chooses a backend. */
#ifndef BN_ENGINE_DEVICE_H
#define BN_ENGINE_DEVICE_H

#include "engine/ops.h"

/* Opens "reference", "cpu", "cuda" (its first card, or "cuda:N"), or "auto": cuda where it can be
 * used, else cpu.
 *   threads  of the cpu backend; 0: one a core
 * BN_EINVAL names the devices that exist, or says why cuda cannot be used; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_device_open(bn_backend *out, const char *name, int threads,
                                       bn_error *err);

/* "cuda" or "cuda:N": a device that is there on some machines. */
bool bn_device_is_card(const char *name);

enum { BN_DEVICE_NOTE_MAX = 64 };

/* The same, and in `note` why "auto" came to the cpu, when a part of CUDA is there; else "". */
BN_MUST_CHECK bn_status bn_device_choose(bn_backend *out, const char *name, int threads,
                                         char note[BN_DEVICE_NOTE_MAX], bn_error *err);

enum { BN_DEVICE_TEXT_MAX = 192 };

/* What runs: "cpu: AMD EPYC, 4 threads, avx512-vnni-bf16", "cuda: NVIDIA H100, 80 GB, sm_90".
 * Returns out. */
const char *bn_device_describe(bn_backend be, char out[BN_DEVICE_TEXT_MAX]);

#endif
