/* site.h - the dashboard as a folder: a page and its data files, opened from file:// or any host.
 *
 * Everything in it is derived from the store, so a folder is refreshed by writing it again; each
 * file is replaced whole and the index comes last, so a page that reads meanwhile sees the old
 * state or the new one.
 */
#ifndef BN_REPORTERS_SITE_H
#define BN_REPORTERS_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

/* What the page tells of a knob; the values are the runs'. */
typedef struct bn_site_knob {
    const char *name, *unit, *help;
    bool identity; /* part of what is trained */
} bn_site_knob;

typedef struct bn_site_job {
    const char *home;
    const char *out; /* the folder, made when missing */
    const bn_site_knob *knobs;
    size_t knob_count;
    int threads; /* >= 1; each reads with a connection of its own */
    double now_s;
} bn_site_job;

typedef struct bn_site_summary {
    size_t sweeps, runs, files;
    int64_t size_bytes;
} bn_site_summary;

/* Writes the whole site. BN_ENOENT: home has no database; BN_EINVAL: out holds a page that is not
 * ours; BN_EIO, BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_site_write(const bn_site_job *job, bn_site_summary *summary,
                                      bn_error *err);

#endif
