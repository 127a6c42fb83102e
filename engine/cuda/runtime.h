/* runtime.h - the few things that the backend asks of a GPU's runtime. Two files keep these
 * promises: runtime_cuda.cu with cudart, and tests/support/cuda_runtime_host.cpp with host memory.
 *
 * What can fail returns NULL, or the reason in the runtime's own words (static memory).
 */
#ifndef BN_ENGINE_CUDA_RUNTIME_H
#define BN_ENGINE_CUDA_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BN_GPU_NAME_MAX = 64, BN_GPU_BUS_MAX = 16 };

typedef struct bn_gpu_facts {
    char name[BN_GPU_NAME_MAX];
    char bus[BN_GPU_BUS_MAX]; /* "0000:3b:00.0"; "": not told */
    int major, minor;         /* compute capability */
    int processors;           /* streaming multiprocessors */
    size_t shared_bytes;      /* the most that a block may ask for */
    size_t memory_bytes, free_bytes;
} bn_gpu_facts;

/* A device and the one stream that all work goes through. */
typedef struct bn_runtime {
    int device;
    void *stream;
    bool shares;  /* memory that the host can reach too: BNEXP_CUDA_MANAGED=1, for tests */
    void *stages; /* what is on its way to the device */
} bn_runtime;

/* Devices that this process may use. The reason names the driver when that is what is missing. */
const char *bn_runtime_count(int *count);
const char *bn_runtime_facts(int device, bn_gpu_facts *out);

/* CUDA versions as 1000 * major + 10 * minor: of the driver (0: none) and of this plug-in. */
int bn_runtime_driver(void);
int bn_runtime_version(void);

const char *bn_runtime_open(bn_runtime *out, int device);
void bn_runtime_close(bn_runtime *runtime);

/* The reason of whatever fails because memory of the device is short. */
const char *bn_runtime_short(void);

/* Not zeroed, 256-byte aligned; *out NULL when it fails. */
const char *bn_runtime_alloc(bn_runtime *runtime, void **out, size_t bytes);
void bn_runtime_free(bn_runtime *runtime, void *memory); /* waits */
const char *bn_runtime_memory(bn_runtime *runtime, size_t *free_bytes, size_t *all_bytes);

/* In the stream's order. write: `from` may be reused on return, and the host waits only when a few
 * writes before it have not been done yet; read and wait: work is done. */
const char *bn_runtime_write(bn_runtime *runtime, void *to, const void *from, size_t bytes);
const char *bn_runtime_read(bn_runtime *runtime, void *to, const void *from, size_t bytes);
const char *bn_runtime_zero(bn_runtime *runtime, void *memory, size_t bytes);
const char *bn_runtime_wait(bn_runtime *runtime);

/* How the last launch of a kernel went, as far as that is known at once. */
const char *bn_runtime_launched(void);

/* A graph is the work given between begin and end, which is kept instead of done, to be done again
 * and again: same memory, same arguments. No write, read, wait, alloc or free in between. */
const char *bn_runtime_record_begin(bn_runtime *runtime);
const char *bn_runtime_record_end(bn_runtime *runtime, void **graph);
const char *bn_runtime_replay(bn_runtime *runtime, void *graph);
void bn_runtime_forget(void *graph); /* NULL is fine */

/* The moment at which all work given so far is done; *mark NULL: a new one, else it is set again.
 * Not while a graph is recorded. seconds waits for both moments. */
const char *bn_runtime_mark(bn_runtime *runtime, void **mark);
const char *bn_runtime_seconds(void *from, void *to, double *seconds);
void bn_runtime_unmark(void *mark); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
