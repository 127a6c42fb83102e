/* device_cuda.h - finds the CUDA backend, a plug-in that is loaded when it is first asked for.
 *
 * libbnexp_cuda.so is looked for beside the program, in ../lib/bnexp from there, and in the
 * installation's own folder; BNEXP_CUDA_PLUGIN (environment) names one file instead. It stays
 * loaded until the process ends: its libraries do not take being unloaded.
 */
#ifndef BN_ENGINE_DEVICE_CUDA_H
#define BN_ENGINE_DEVICE_CUDA_H

#include "engine/cuda/cuda_backend.h"

/* BN_EINVAL: there is none, it cannot be loaded, or it belongs to another build; the text says
 * which. */
BN_MUST_CHECK bn_status bn_device_cuda_load(const bn_cuda_plugin **out, bn_error *err);

/* Opens a card; what stands in its way is BN_EINVAL, as the plug-in tells it. */
BN_MUST_CHECK bn_status bn_device_cuda_open(bn_backend *out, int card, bn_error *err);

/* The same where nothing but "auto" asks for a card: a machine that has no driver is left without
 * loading anything. */
BN_MUST_CHECK bn_status bn_device_cuda_try(bn_backend *out, bn_error *err);

/* Whether there is a plug-in or a driver. */
bool bn_device_cuda_is_here(void);

#endif
