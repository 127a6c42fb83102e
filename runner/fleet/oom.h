/* oom.h - whether the kernel killed somebody here for memory. */
#ifndef BN_RUNNER_FLEET_OOM_H
#define BN_RUNNER_FLEET_OOM_H

#include <stdint.h>

/* Processes killed for memory in our control group so far (cgroup v2 memory.events, v1
 * memory.oom_control), or in the whole machine where there is no such group; -1: not told. A count
 * that rose during a run that died of signal 9 is the evidence of an out-of-memory kill. */
int64_t bn_oom_kills(void);

/* The same of the system whose proc and sys lie in `root`, "" for this one. */
int64_t bn_oom_kills_in(const char *root);

#endif
