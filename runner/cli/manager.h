/* manager.h - being the one manager of a home, and hearing signals while it works. */
#ifndef BN_RUNNER_CLI_MANAGER_H
#define BN_RUNNER_CLI_MANAGER_H

#include <stdbool.h>

#include "engine/base/file.h"
#include "engine/base/status.h"

/* Makes the home and takes <home>/manager.lock for this process's life. what: "sweep lr.toml", told
 * to who comes second. BN_EAGAIN: somebody has it, and err says who. */
BN_MUST_CHECK bn_status bn_manager_lock(const char *home, const char *what, int *fd, bn_error *err);

/* Whether somebody manages the home, and who: "pid 4711 (sweep lr.toml)". */
bool bn_manager_holder(const char *home, char out[160]);

/* From now on SIGINT, SIGTERM, SIGHUP and SIGCHLD wait until they are asked for. */
void bn_signals_hold(void);

/* Waits until a child ended or wait_s are over. Returns the signal that asks us to stop, or 0. */
int bn_signals_wait(double wait_s);

/* Cores this process may use, at least 1. */
int bn_cores(void);

#endif
