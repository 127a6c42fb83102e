/* gpus.h - which GPUs runs may be given. */
#ifndef BN_RUNNER_CLI_GPUS_H
#define BN_RUNNER_CLI_GPUS_H

enum { BN_GPUS_MAX = 64 };

typedef struct bn_gpus {
    char text[BN_GPUS_MAX][64]; /* "GPU-5e1f..." (a UUID), or what CUDA_VISIBLE_DEVICES said */
    const char *ids[BN_GPUS_MAX];
    int count;
} bn_gpus;

/* Those that CUDA_VISIBLE_DEVICES names, else all that the driver knows, by UUID, which no restart
 * renumbers. */
void bn_gpus_find(bn_gpus *gpus);

#endif
