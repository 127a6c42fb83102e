/* hub.h - rows of a Hugging Face dataset, through the dataset viewer's API, into a folder.
 *
 * One column goes into rows.jsonl, a line {"row":N,"text":"..."} a row, in order; fetch.json says
 * of which dataset. A page is appended and synced whole; a fetch that was killed goes on after the
 * last whole line, so that no row comes twice and none is missing. One fetch at a time owns a
 * folder.
 */
#ifndef BN_ENGINE_CORPUS_HUB_H
#define BN_ENGINE_CORPUS_HUB_H

#include <stdint.h>

#include "engine/base/status.h"

#define BN_HUB_URL "https://datasets-server.huggingface.co"

enum {
    BN_HUB_PAGE_ROWS = 100, /* the API's limit */
    BN_HUB_TRIES = 10,      /* of one page, before a fetch gives up */
    BN_HUB_REPLY_MAX = 256 << 20,
};

typedef struct bn_hub_progress {
    int64_t rows, wanted; /* in the file; asked for, or all there are */
    int64_t fetched;      /* of them by this call */
    int64_t text_bytes;   /* by this call */
    int64_t cut_rows;     /* whose text the server cut short */
    double waits_s;       /* > 0: about to wait so long, for: */
    const char *waits_for;
} bn_hub_progress;

typedef struct bn_hub_job {
    const char *url;   /* BN_HUB_URL, or another for tests; no '/' at its end */
    const char *token; /* sent only to a host of huggingface.co, by https; NULL: none */
    const char *dataset, *config, *split, *column; /* config, split NULL: the only one there is */
    int64_t rows;                                  /* 0: all */
    const char *out;
    void (*tell)(void *self, const bn_hub_progress *progress); /* may be NULL */
    void (*wait)(void *self, double seconds);
    void *self;
} bn_hub_job;

/* Fetches until the folder has the rows. BN_EINVAL: there is no such dataset, config, split or
 * column (says which there are), or the folder holds another dataset's rows; BN_EAGAIN: the server
 * did not give a page in BN_HUB_TRIES tries, or another fetch owns the folder: the same call goes
 * on later; BN_EIO. */
BN_MUST_CHECK bn_status bn_hub_fetch(const bn_hub_job *job, bn_hub_progress *result, bn_error *err);

#endif
