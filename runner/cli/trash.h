/* trash.h - run folders on their way out: <home>/<sweep>/<run> -> <home>/.trash/<key> -> gone. */
#ifndef BN_RUNNER_CLI_TRASH_H
#define BN_RUNNER_CLI_TRASH_H

#include <stdint.h>

#include "store/label.h"

/* Puts a run in the trash: its folder first, then its row; repeating it after a crash in between
 * finishes the work. BN_ESTALE: it is running. */
BN_MUST_CHECK bn_status bn_trash_put(bn_store *store, const bn_run *run, bn_error *err);

/* Removes a folder and all that is in it, following no link; counts its bytes. A folder that is
 * not there is fine. BN_EIO. */
BN_MUST_CHECK bn_status bn_trash_remove(const char *path, int64_t *bytes, bn_error *err);

/* Bytes of a folder and all that is in it, following no link. */
BN_MUST_CHECK bn_status bn_trash_size(const char *path, int64_t *bytes, bn_error *err);

#endif
