/* machine.h - what the machine says about this process and itself: memory and energy. */
#ifndef BN_ENGINE_MACHINE_H
#define BN_ENGINE_MACHINE_H

#include <stdint.h>

typedef struct bn_memory {
    double rss_bytes, peak_rss_bytes; /* NaN where the system does not say */
} bn_memory;
bn_memory bn_memory_now(void);

/* What the machine has in all; NaN where it does not say. */
double bn_memory_installed(void);

enum { BN_RAPL_MAX = 16 };

/* Intel's and AMD's energy counters of whole CPU packages: all work of the machine counts, not
 * only ours. */
typedef struct bn_rapl {
    char path[BN_RAPL_MAX][96];
    double last_uj[BN_RAPL_MAX], range_uj[BN_RAPL_MAX];
    int count; /* 0: none can be read here, which is usual without root */
} bn_rapl;

/* root: "/sys/class/powercap". */
void bn_rapl_init(bn_rapl *rapl, const char *root);

/* Joules of all packages since the last call; a counter that wrapped once is put right.
 * NaN when there is nothing to read. */
double bn_rapl_joules(bn_rapl *rapl);

#endif
