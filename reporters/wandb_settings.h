/* wandb_settings.h - where to send what, as wandb's users say it: flags, then WANDB_* variables,
 * then ~/.config/wandb/settings and ./wandb/settings. */
#ifndef BN_REPORTERS_WANDB_SETTINGS_H
#define BN_REPORTERS_WANDB_SETTINGS_H

#include <stdbool.h>

#include "reporters/credentials.h"

typedef enum bn_wandb_mode {
    BN_WANDB_ONLINE,
    BN_WANDB_OFFLINE,  /* files that `wandb sync` takes, no network */
    BN_WANDB_DISABLED, /* nothing at all */
} bn_wandb_mode;

typedef struct bn_wandb_settings {
    char base_url[512], app_url[512]; /* of the API, of the pages; no slash at the end */
    char entity[129], project[129];   /* entity "": the key's own */
    char tags[512], group[129], job_type[65], notes[512];
    char username[129], email[129];
    char dir[512]; /* for offline files */
    bn_wandb_mode mode;
    bool console; /* send console lines */
    bool quiet;
} bn_wandb_settings;

/* Flags that were given; NULL: not. */
typedef struct bn_wandb_flags {
    const char *entity, *project;
} bn_wandb_flags;

/* BN_EINVAL names the variable or file, and what it may be. */
BN_MUST_CHECK bn_status bn_wandb_settings_read(bn_wandb_settings *out, const bn_wandb_flags *flags,
                                               bn_environment environment, bn_error *err);

#endif
