/* device.h - the one place that chooses a backend. */
#ifndef BN_ENGINE_DEVICE_H
#define BN_ENGINE_DEVICE_H

#include "engine/ops.h"

/* Opens "reference", "cpu" or "auto" (the fastest there is: cpu).
 *   threads  of the cpu backend; 0: one a core
 * BN_EINVAL names the devices that exist. */
BN_MUST_CHECK bn_status bn_device_open(bn_backend *out, const char *name, int threads,
                                       bn_error *err);

enum { BN_DEVICE_TEXT_MAX = 128 };

/* What runs: "cpu: AMD EPYC, 4 threads, avx512-vnni-bf16". Returns out. */
const char *bn_device_describe(bn_backend be, char out[BN_DEVICE_TEXT_MAX]);

#endif
