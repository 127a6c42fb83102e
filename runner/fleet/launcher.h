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
    const char *cwd;         /* where the program starts, absolute; NULL: dir */
    const char *program;     /* what is executed; NULL: argv[0], looked for in PATH */
    const char *const *argv; /* NULL ends */
    const char *const
        *env;      /* what is added to the allow-listed environment, "NAME=value", NULL ends */
    int attempt;   /* of the run: 1, 2, ... */
    int slot;      /* 0 ... slots - 1 */
    bool external; /* not bnexp's own engine */
} bn_launch;

/* What is known of a run that is no longer there. */
typedef struct bn_exit {
    bool known; /* false: nobody saw it end; the run's folder must tell */
    int code;   /* exit code, or -1 */
    int signal; /* that ended it, or 0 */
    bool oom;   /* killed for memory */
} bn_exit;

struct bn_launcher_ops {
    const char *name;
    /* BN_EAGAIN: the folder's run is running already. */
    bn_status (*start)(void *self, const bn_launch *launch, bn_token *out, bn_error *err);
    /* The token of an attempt whose manager died between the start and the record of it. *found
     * false: that attempt was never started. */
    bn_status (*find)(void *self, const char *dir, int attempt, bn_token *out, bool *found,
                      bn_error *err);
    /* *alive false: it is gone, and *how says what is known. Identity is checked: a recycled pid is
     * not our run. */
    bn_status (*poll)(void *self, const char *dir, const bn_token *token, bool *alive, bn_exit *how,
                      bn_error *err);
    /* Asks it to stop (SIGTERM), or with force ends it now. A run that is gone is no error. */
    bn_status (*stop)(void *self, const char *dir, const bn_token *token, bool force,
                      bn_error *err);
    void (*close)(void *self);
};

typedef struct bn_launcher {
    const struct bn_launcher_ops *ops;
    void *self;
} bn_launcher;

#endif
