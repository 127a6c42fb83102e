/* detach.h - going on in the background, once it is sure that the work has begun. */
#ifndef BN_RUNNER_CLI_DETACH_H
#define BN_RUNNER_CLI_DETACH_H

#include <stdbool.h>

#include "engine/base/status.h"

/* Forks. In the parent *parent is true, and the call returns when the child has begun (*code 0) or
 * ended before (its exit code). In the child *parent is false and *begun is for bn_detach_begun. */
BN_MUST_CHECK bn_status bn_detach(bool *parent, int *code, int *begun, bn_error *err);

/* In the child: all is well so far. From now on it speaks into the file at log, not to the
 * terminal.
 */
BN_MUST_CHECK bn_status bn_detach_begun(int begun, const char *log, bn_error *err);

#endif
