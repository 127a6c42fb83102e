/* site_run.h - what one run measured, as the page's data files. Pure but for reading the store.
 *
 *   run-<key>.js              the coarsest level of every metric, and what is told of its attempts
 *   run-<key>-<level>-<n>.js  chunk n of a finer level, down to level 0: every record
 *
 * A file is one classic script, `bnexp.put({...})`, because a page opened from a folder may load
 * nothing else. docs/dashboard.md describes the object. */
#ifndef BN_REPORTERS_SITE_RUN_H
#define BN_REPORTERS_SITE_RUN_H

#include "engine/base/text.h"
#include "store/history.h"
#include "store/run.h"

/* Bumped when the data files change shape; the page refuses others. */
enum { BN_SITE_VERSION = 2 };

/* The history of one run, read at once: every series is as long as it is. */
typedef struct bn_site_history {
    const bn_run *run; /* borrowed */
    bn_latest *metrics;
    bn_series *series; /* of metrics[i] */
    size_t count;
    int64_t records;
    int64_t *step; /* [records] by seq */
    double *wall_s;
    size_t *picks; /* room for the longest series */
} bn_site_history;

/* Reads all metrics of a run; release with bn_site_history_release. */
BN_MUST_CHECK bn_status bn_site_history_read(bn_store *store, const bn_run *run,
                                             bn_site_history *out, bn_error *err);
void bn_site_history_release(bn_site_history *history); /* {0} is fine */

/* Which file: the top level, or a chunk of a finer one. */
typedef struct bn_site_part {
    int level;
    int64_t chunk;
} bn_site_part;

/* What is told of a run beside its records. */
typedef struct bn_site_folder {
    bn_text attempts; /* JSON array of the begin and end lines of events.jsonl, as strings */
    bn_text logs;     /* JSON array of {"name","bytes","tail"}: stderr.log, stdout.log if there */
    bn_text notes;    /* JSON array of {"at_s","text"} */
    bn_text tags;     /* JSON array of strings */
} bn_site_folder;

enum { BN_SITE_LOG_TAIL = 8192, BN_SITE_ATTEMPT_LINES = 64 };

/* Reads it from <home>/<run->dir>, where files that are not there say nothing, and from the store.
 * Release with bn_site_folder_release. */
BN_MUST_CHECK bn_status bn_site_folder_read(bn_store *store, const char *home, const bn_run *run,
                                            bn_site_folder *out, bn_error *err);
void bn_site_folder_release(bn_site_folder *folder); /* {0} is fine */

/* Adds the script to out. folder: NULL, or for the top level what the folder says. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_site_run_text(const bn_site_history *history, bn_site_part part,
                                         const bn_site_folder *folder, bn_text *out, bn_error *err);

/* A time in whole milliseconds; 0 when it is no time. */
int64_t bn_site_milliseconds(double wall_s);

#endif
