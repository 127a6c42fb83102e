/* limits.h - how much shared memory a block may have. Tables of technical specifications by compute
 * capability, CUDA C++ Programming Guide. */
#ifndef BN_ENGINE_CUDA_LIMITS_H
#define BN_ENGINE_CUDA_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    BN_CUDA_SHARED_PLAIN_BYTES = 48 << 10, /* a launch gets this unasked, arrays and all */
    BN_CUDA_SHARED_ARRAYS_BYTES = 8 << 10, /* no kernel's own arrays are larger */
    BN_CUDA_SHARED_A100_BYTES = 163 << 10, /* capability 8.0; 9.0: 227 KB, 8.6 and 8.9: 99 KB */
};

/* Whether a launch with so much dynamic shared memory must ask for it before. */
static inline bool bn_cuda_shared_is_large(size_t bytes)
{
    return bytes > BN_CUDA_SHARED_PLAIN_BYTES - BN_CUDA_SHARED_ARRAYS_BYTES;
}

#endif
