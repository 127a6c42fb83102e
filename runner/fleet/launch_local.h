/* launch_local.h - runs as processes of this machine. */
#ifndef BN_RUNNER_FLEET_LAUNCH_LOCAL_H
#define BN_RUNNER_FLEET_LAUNCH_LOCAL_H

#include "runner/fleet/launcher.h"

/* It keeps no list: what runs is told by the folders, so a restarted manager finds what an earlier
 * one started. */
bn_launcher bn_launch_local(void);

/* The same for a manager of many runs: a nursery starts them (nursery.h). Call it while little is
 * in memory. Where there can be none the runs are started from this process. */
bn_launcher bn_launch_local_many(void);

#endif
