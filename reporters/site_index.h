/* site_index.h - data/index.js: all sweeps and runs with their knobs and metrics, as columns. */
#ifndef BN_REPORTERS_SITE_INDEX_H
#define BN_REPORTERS_SITE_INDEX_H

#include "engine/base/text.h"
#include "reporters/site.h"
#include "reporters/site_table.h"

/* What the index says of the page rather than of the runs. */
typedef struct bn_site_about {
    const bn_site_knob *knobs; /* units and help by name */
    size_t knob_count;
    double now_s;
    bool live;         /* served: /events tells of news, /files leads to a run's folder */
    const char *files; /* of a folder: the way from the page to the home, "" for none */
} bn_site_about;

/* Adds the script to out. Reads nothing but the sweep files' text from the store. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_site_index_text(bn_store *store, const bn_site_table *table,
                                           const bn_site_about *about, bn_text *out, bn_error *err);

#endif
