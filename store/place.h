/* place.h - may a database live here? SQLite's write-ahead log needs shared memory and true locks,
 * which network file systems do not give: there it corrupts silently. */
#ifndef BN_STORE_PLACE_H
#define BN_STORE_PLACE_H

#include "engine/base/status.h"

/* "NFS", "Lustre", ... for the magic number of a file system that is shared over a network; NULL
 * for any other (statfs(2), linux/magic.h). */
const char *bn_place_network(long magic);

/* Checks the file system of the database at path, which need not exist; a symbolic link counts as
 * what it points to. BN_EINVAL: shared over a network, with the way out. */
BN_MUST_CHECK bn_status bn_place_check(const char *path, bn_error *err);

#endif
