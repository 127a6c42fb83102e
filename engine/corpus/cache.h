/* cache.h - where things made from data lie when nobody says where. */
#ifndef BN_ENGINE_CORPUS_CACHE_H
#define BN_ENGINE_CORPUS_CACHE_H

#include "engine/base/file.h"
#include "engine/base/status.h"

/* `chosen` if it is given (not NULL, not ""), else bnexp's folder in XDG_CACHE_HOME, else in
 * ~/.cache, else .bnexp-cache here. The folder need not exist. BN_EINVAL: too long. */
BN_MUST_CHECK bn_status bn_cache_folder(char out[BN_PATH_MAX], const char *chosen, bn_error *err);

#endif
