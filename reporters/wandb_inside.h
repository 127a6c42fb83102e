/* wandb_inside.h - what the files of the wandb reporter share: the push at hand. */
#ifndef BN_REPORTERS_WANDB_INSIDE_H
#define BN_REPORTERS_WANDB_INSIDE_H

#include "engine/base/file.h"
#include "reporters/wandb.h"
#include "reporters/wandb_memo.h"
#include "store/label.h"

typedef struct bn_wandb {
    bn_store *store;
    bn_feed *feed;
    bn_wandb_options options;
    bn_wandb_link *link;
    bn_text body; /* scratch for requests */
    /* The push at hand. */
    const bn_feed_batch *batch;
    bn_wandb_memo memo;
    bn_wandb_place place;  /* of the last run that the server knows */
    char dir[BN_PATH_MAX]; /* of the run */
    bn_sweep sweep;        /* of the run; kept, as runs of one sweep follow each other */
    bn_wandb_want want;    /* where its new runs go */
    bn_latest *latest;     /* its metrics */
    size_t latest_count;
    /* Where files go may be out of reach while the server is not: no upload before this moment. */
    double upload_ready_s;
    int upload_failures;      /* in a row */
    bn_error upload_error;    /* the last of them */
    bn_text uploaded;         /* names of files that are there but not yet told of: "a","b" */
    bn_wandb_sweep_page page; /* of the last run's sweep; kept from run to run */
} bn_wandb;

/* What people and the trainer said of a run. */
typedef struct bn_wandb_words {
    char commit[65];
    bn_text notes; /* all of them, oldest first; else that of the settings */
    bn_tag *tags;
    size_t tag_count;
    char more_tags[512]; /* of the settings, cut at their commas by bn_wandb_words_tags */
} bn_wandb_words;
BN_MUST_CHECK bn_status bn_wandb_words_read(bn_wandb_words *out, bn_store *store,
                                            const bn_wandb_settings *settings, int64_t run,
                                            bn_error *err);
void bn_wandb_words_release(bn_wandb_words *about);

/* Variant, sweep, the run's own tags, those of the settings, each once; returns how many. */
size_t bn_wandb_words_tags(bn_wandb_words *about, const bn_run *run,
                           const char *tags[BN_WANDB_TAGS_MAX]);

/* Where runs of a sweep go: the settings' word, unless the sweep's file has one. */
BN_MUST_CHECK bn_status bn_wandb_want_read(bn_wandb_want *out, bn_store *store,
                                           const bn_wandb_options *options, int64_t sweep,
                                           bn_error *err);

/* Makes the memo durable before or after a deed. */
BN_MUST_CHECK bn_status bn_wandb_note(bn_wandb *w, bn_error *err);

/* The run's configuration, as JSON or as config.yaml, and its environment. */
BN_MUST_CHECK bn_status bn_wandb_describe(bn_wandb *w, bool yaml, bn_text *out, bn_error *err);
BN_MUST_CHECK bn_status bn_wandb_environment(bn_wandb *w, bn_text *out, bn_error *err);

/* Creates the run there or brings it up to date, when that is needed. */
BN_MUST_CHECK bn_status bn_wandb_create(bn_wandb *w, bn_error *err);

/* Finds or makes the page of the run's sweep, and notes it in the memo. */
BN_MUST_CHECK bn_status bn_wandb_join_sweep(bn_wandb *w, bn_error *err);

/* Tells the page of the last run's sweep that the sweep has ended, if it has. */
BN_MUST_CHECK bn_status bn_wandb_close_sweep(bn_wandb *w, bn_error *err);

/* Uploads the files that are due; summary: the run has ended with it, NULL: not yet. BN_EAGAIN,
 * BN_EINVAL: lines and end of the run do not depend on it. */
BN_MUST_CHECK bn_status bn_wandb_upload_files(bn_wandb *w, const bn_text *summary, bn_error *err);

/* One file to the address that the server gave: granted's "uploadUrl", with these headers. */
BN_MUST_CHECK bn_status bn_wandb_put(bn_wandb *w, const json_t *granted, const json_t *headers,
                                     const void *data, size_t size_bytes, bn_error *err);

/* BN_EAGAIN: what takes the files was out of reach a moment ago; err says what happened. */
BN_MUST_CHECK bn_status bn_wandb_storage_ready(const bn_wandb *w, bn_error *err);

/* How often addresses may expire before they are filled. */
enum { BN_WANDB_EXPIRIES_MAX = 3 };

/* Sends the newest checkpoint of a finished run as an artifact, if that is asked for and was not
 * done. BN_EINVAL: the server will not have it. */
BN_MUST_CHECK bn_status bn_wandb_send_checkpoint(bn_wandb *w, bn_error *err);

/* Another attempt began: the files of the end will be due again. */
void bn_wandb_forget_files(bn_wandb *w);

#endif
