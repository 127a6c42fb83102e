/* cuda_twin.h - what the CUDA plug-in's host twin was asked to do, for tests that count. */
#ifndef BN_TESTS_SUPPORT_CUDA_TWIN_H
#define BN_TESTS_SUPPORT_CUDA_TWIN_H

#ifdef __cplusplus
extern "C" {
#endif

/* Since the plug-in was loaded, but for what is said to be there now. */
typedef struct cuda_twin_counts {
    long reads, waits;     /* each makes the host wait for the device */
    long launches;         /* of kernels, by themselves */
    long records, replays; /* of graphs */
    long graphs, marks;    /* that are there now */
} cuda_twin_counts;

typedef const cuda_twin_counts *cuda_twin_counts_function(void);
#define CUDA_TWIN_COUNTS "cuda_twin_counts_now"

/* The counts of the plug-in that BNEXP_CUDA_PLUGIN names; skips the test where it is no twin. */
cuda_twin_counts cuda_twin_look(void);

#ifdef __cplusplus
}
#endif
#endif
