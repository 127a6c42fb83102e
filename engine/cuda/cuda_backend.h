/* cuda_backend.h - the door of the plug-in libbnexp_cuda.so: one function, one table.
 *
 * The program loads it at run time (engine/device_cuda.c), so the same binary runs with and without
 * CUDA. `abi` and `ops_bytes` are read first: a plug-in of another build is refused, not called.
 */
#ifndef BN_ENGINE_CUDA_CUDA_BACKEND_H
#define BN_ENGINE_CUDA_CUDA_BACKEND_H

#include "engine/ops.h"
#include "engine/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BN_CUDA_ABI = 4, BN_CUDA_NAME_MAX = 64, BN_CUDA_BUS_MAX = 16, BN_CUDA_CAPABILITY = 80 };

/* One card that this process may use. */
typedef struct bn_cuda_card {
    char name[BN_CUDA_NAME_MAX];
    char bus[BN_CUDA_BUS_MAX]; /* "0000:3b:00.0"; "": not told */
    int major, minor;          /* compute capability; usable from BN_CUDA_CAPABILITY / 10 on */
    int processors;            /* streaming multiprocessors */
    size_t memory_bytes, free_bytes;
} bn_cuda_card;

typedef struct bn_cuda_plugin {
    int abi;          /* BN_CUDA_ABI */
    size_t ops_bytes; /* sizeof(struct bn_ops) */

    /* Opens card `index`. BN_EINVAL: no driver or too old a one, no such card, too old a card; the
     * text names the minimum. BN_ENOMEM: no memory for the products' workspace. */
    bn_status (*open)(bn_backend *out, int index, bn_error *err);

    /* How many cards there are, and one of them. BN_EINVAL as above, but for the card's age. */
    bn_status (*count)(int *out, bn_error *err);
    bn_status (*look)(int index, bn_cuda_card *out, bn_error *err);

    /* The card that a backend of this plug-in computes on. */
    bn_cuda_card (*card)(bn_backend be);

    /* Sums over ranks, each with a card of its own: see cuda_transport.h. */
    bn_transport_open *transport;
} bn_cuda_plugin;

#define BN_CUDA_PLUGIN_FILE  "libbnexp_cuda.so"
#define BN_CUDA_PLUGIN_ENTRY "bn_cuda_plugin_entry"
typedef const bn_cuda_plugin *(*bn_cuda_plugin_function)(void);
const bn_cuda_plugin *bn_cuda_plugin_entry(void);

#ifdef __cplusplus
}
#endif
#endif
