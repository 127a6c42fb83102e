/* reference_backend.h - the op table as plain loops: slow, single-threaded, to be read beside the
 * papers. It is the oracle of every kernel test: sums run in double, operands are rounded exactly
 * where ops.h says.
 */
#ifndef BN_ENGINE_REFERENCE_REFERENCE_BACKEND_H
#define BN_ENGINE_REFERENCE_REFERENCE_BACKEND_H

#include "engine/ops.h"

/* BN_ENOMEM only. Closed by bn_backend_close. */
BN_MUST_CHECK bn_status bn_reference_open(bn_backend *out, bn_error *err);

#endif
