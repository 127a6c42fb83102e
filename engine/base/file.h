/* file.h - whole files in, whole files out: limited reads and writes that a crash cannot halve. */
#ifndef BN_ENGINE_BASE_FILE_H
#define BN_ENGINE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { BN_PATH_MAX = 1024 }; /* bytes of any path we build, its NUL included */

/* Reads a regular file of at most limit_bytes; *out is NUL-terminated and the caller frees it.
 * BN_ENOENT, BN_EINVAL (too large, not a file), BN_EIO, BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_file_read(const char *path, size_t limit_bytes, char **out,
                                     size_t *size_bytes, bn_error *err);

/* May a file be made under this name, or put in the place of the one there? BN_EINVAL: it is empty,
 * or a folder, a device or a pipe, which a rename would take the place of. */
BN_MUST_CHECK bn_status bn_file_check_name(const char *path, bn_error *err);

/* Replaces path with these bytes: temporary file beside it, fsync, rename, fsync of the folder.
 * After a crash path holds the old bytes or the new ones. mode as for open. BN_EINVAL, BN_EIO. */
BN_MUST_CHECK bn_status bn_file_write(const char *path, const void *data, size_t size_bytes,
                                      unsigned mode, bn_error *err);

/* Makes path and the folders above it; an existing folder is fine. BN_EIO. */
BN_MUST_CHECK bn_status bn_dir_make(const char *path, unsigned mode, bn_error *err);

/* Syncs a folder, so that names made or renamed in it survive a power cut. BN_EIO. */
BN_MUST_CHECK bn_status bn_dir_sync(const char *path, bn_error *err);

bool bn_file_exists(const char *path);

/* Joins two parts with one '/'; part alone if it is absolute. BN_EINVAL when it does not fit. */
BN_MUST_CHECK bn_status bn_path_join(char out[BN_PATH_MAX], const char *folder, const char *part,
                                     bn_error *err);

/* path made absolute against the working folder; need not exist. */
BN_MUST_CHECK bn_status bn_path_absolute(char out[BN_PATH_MAX], const char *path, bn_error *err);

#endif
