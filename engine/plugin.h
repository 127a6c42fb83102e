/* plugin.h - parts of bnexp that need a library not every machine has, loaded when asked for. */
#ifndef BN_ENGINE_PLUGIN_H
#define BN_ENGINE_PLUGIN_H

#include "engine/base/status.h"

#define BN_PLUGIN_CUDA "libbnexp_cuda.so"
#define BN_PLUGIN_MPI  "libbnexp_mpi.so"

typedef struct bn_plugin {
    void *library; /* stays loaded until the process ends */
    void *entry;   /* of the symbol asked for */
} bn_plugin;

/* Looks in the folder of BNEXP_PLUGINS; without it beside the program, then in ../lib/bnexp of it.
 * BN_ENOENT: no such file there; BN_EINVAL: it cannot be loaded, and the loader's reason. */
BN_MUST_CHECK bn_status bn_plugin_load(bn_plugin *out, const char *file, const char *symbol,
                                       bn_error *err);

#endif
