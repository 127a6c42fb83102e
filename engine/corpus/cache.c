#include "engine/corpus/cache.h"

#include <stdlib.h>

bn_status bn_cache_folder(char out[BN_PATH_MAX], const char *chosen, bn_error *err)
{
    if (chosen && *chosen) return bn_path_join(out, "", chosen, err);
    const char *base = getenv("XDG_CACHE_HOME"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    if (base && *base == '/') return bn_path_join(out, base, "bnexp", err);
    const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    if (home && *home == '/') return bn_path_join(out, home, ".cache/bnexp", err);
    return bn_path_join(out, "", ".bnexp-cache", err);
}
