/* launcher.h - where a run runs: this machine, or a cluster. */
#ifndef BN_RUNNER_FLEET_LAUNCHER_H
#define BN_RUNNER_FLEET_LAUNCHER_H

#include <stdbool.h>

#include "engine/base/status.h"

/* What a launcher needs to find its run again after a restart, e.g. pid, start time and boot id.
 * Kept with the run's row, opaque to all others. */
typedef struct bn_token {
    char text[96];
} bn_token;

typedef struct bn_launch {
    const char *dir;         /* the run's folder, absolute */
    const char *const *argv; /* NULL ends */
    const char *const
        *env; /* what is added to the allow-listed environment, "NAME=value", NULL ends */
    int slot; /* 0 ... slots - 1 */
} bn_launch;

/* What is known of a run that is no longer there. */
typedef struct bn_exit {
    bool known; /* false: it was not our child; the run's folder must tell */
    int code;   /* exit code, or -1 */
    int signal; /* that ended it, or 0 */
    bool oom;   /* killed for memory */
} bn_exit;

struct bn_launcher_ops {
    const char *name;
    bn_status (*start)(void *self, const bn_launch *launch, bn_token *out, bn_error *err);
    /* *alive false: it is gone, and *how says what is known. Identity is checked: a recycled pid is
     * not our run. */
    bn_status (*poll)(void *self, const bn_token *token, bool *alive, bn_exit *how, bn_error *err);
    bn_status (*stop)(void *self, const bn_token *token, bool force, bn_error *err);
    void (*close)(void *self);
};

typedef struct bn_launcher {
    const struct bn_launcher_ops *ops;
    void *self;
} bn_launcher;

#endif
