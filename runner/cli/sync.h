/* sync.h - what the files of `bnexp sync` share: one delivery, and the table of places to deliver
 * to.
 */
#ifndef BN_RUNNER_CLI_SYNC_H
#define BN_RUNNER_CLI_SYNC_H

#include "engine/base/file.h"
#include "reporters/claim.h"
#include "reporters/mlflow.h"
#include "reporters/wandb.h"
#include "runner/cli/options.h"

typedef struct bn_sync_target bn_sync_target;

typedef struct bn_sync {
    /* What was asked for. */
    const char *home_option, *project, *entity, *out;
    bool all, artifacts, status, retry, again, watch, quiet, json;
    int64_t parent;
    double patience_s, first_wait_s, timeout_s;
    bn_option_list names; /* the target, then sweeps */
    /* What came of it. */
    const bn_sync_target *target;
    const char *home;
    char folder[BN_PATH_MAX]; /* absolute; for targets that are folders */
    bn_store *store;
    bn_feed *feed;
    bn_claim claim;
    bn_wandb_settings settings;
    bn_mlflow_options mlflow;
    bn_secret key;
    bn_reporter reporter;
    int64_t sweeps[BN_OPTION_LIST_MAX];
} bn_sync;

struct bn_sync_target {
    const char *name;
    bool folder;                                     /* needs --out */
    bn_status (*prepare)(bn_sync *s, bn_error *err); /* settings; before anything is opened */
    bn_status (*open)(bn_sync *s, bn_error *err);    /* fills s->reporter */
    void (*end)(bn_sync *s, char *where,
                size_t size); /* after a drain; where it went, for people */
};

/* BN_EINVAL names the nearest. */
BN_MUST_CHECK bn_status bn_sync_find_target(const bn_sync_target **out, const char *name,
                                            bn_error *err);

BN_MUST_CHECK bn_status bn_sync_print_status(bn_sync *s, bn_error *err);

const char *bn_sync_variable(const char *name); /* of the environment */

#endif
