/* wandb.h - runs at wandb: created, followed line by line, brought to their end.
 *
 * Line n of a run's history there is its record seq n here, so saying a batch again writes the same
 * lines over themselves. The run's id there is its key here. Names that the server gives (entity,
 * project) are kept and used from then on.
 */
#ifndef BN_REPORTERS_WANDB_H
#define BN_REPORTERS_WANDB_H

#include "engine/base/file.h"
#include "reporters/reporter.h"
#include "reporters/wandb_link.h"
#include "reporters/wandb_settings.h"

/* Where new runs go; entity "": the key's own. */
typedef struct bn_wandb_want {
    char entity[129], project[129];
} bn_wandb_want;

typedef struct bn_wandb_options {
    bn_wandb_link_options link;
    const char *home; /* where the runs' folders are */
    const bn_wandb_settings *settings;
    bool sweeps; /* make a page for each sweep, too */
    /* The newest checkpoint of the run in this folder, to go along as an artifact once the run has
     * finished; BN_ENOENT: it has none. NULL: checkpoints stay here. */
    bn_status (*find_checkpoint)(char out[BN_PATH_MAX], const char *run_dir, bn_error *err);
    /* Where a sweep file wants its runs: changes what it has a word on. NULL: files have none. */
    void (*read_want)(void *self, const char *sweep_file, bn_wandb_want *want);
    void *self;
} bn_wandb_options;

/* Borrows the store, the feed and all text of options until it is closed. */
BN_MUST_CHECK bn_status bn_wandb_open(bn_reporter *out, bn_store *store, bn_feed *feed,
                                      const bn_wandb_options *options, bn_error *err);

/* Before a drain: finished runs that went there without their checkpoint are news again. */
BN_MUST_CHECK bn_status bn_wandb_remind(bn_feed *feed, bn_error *err);

/* After a drain: tells the last sweep's page that the sweep has ended, if it has. */
BN_MUST_CHECK bn_status bn_wandb_end(const bn_reporter *reporter, bn_error *err);

/* The address of the project's page that the last push went to; "" when there was none. */
void bn_wandb_page(const bn_reporter *reporter, char *out, size_t size);

#endif
