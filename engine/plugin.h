/* plugin.h - parts of bnexp that need a library not every machine has, loaded when asked for. */
#ifndef BN_ENGINE_PLUGIN_H
#define BN_ENGINE_PLUGIN_H

#include "engine/base/file.h"

typedef struct bn_plugin {
    void *library; /* stays loaded until the process ends */
    void *entry;   /* of the symbol asked for */
} bn_plugin;

typedef struct bn_plugin_spec {
    const char *file;     /* "libbnexp_mpi.so": looked for beside the program, in ../lib/bnexp from
                             there, and in the installation's own folder */
    const char *variable; /* of the environment; set, it names the file instead */
    const char *symbol;
} bn_plugin_spec;

/* Where its file is, or is said to be by the environment. BN_ENOENT: nowhere. */
BN_MUST_CHECK bn_status bn_plugin_find(char path[BN_PATH_MAX], const bn_plugin_spec *spec,
                                       bn_error *err);

/* BN_ENOENT: no such file there; BN_EINVAL: it cannot be loaded, and the loader's reason. */
BN_MUST_CHECK bn_status bn_plugin_load(bn_plugin *out, const bn_plugin_spec *spec, bn_error *err);

#endif
