/* serve.h - the dashboard from a process of its own: the same page, live.
 *
 * Reads the home's database and never writes it, so it cannot hold up a sweep. Data files are made
 * when asked for; /events tells by server-sent events that there is news. Whom it answers and what
 * may be asked is decided by serve_policy.h. */
#ifndef BN_REPORTERS_SERVE_H
#define BN_REPORTERS_SERVE_H

#include "reporters/serve_policy.h"
#include "reporters/site.h"

typedef struct bn_serve bn_serve;

typedef struct bn_serve_job {
    const char *home; /* borrowed until close, as the knobs */
    const bn_site_knob *knobs;
    size_t knob_count;
    bn_serve_place place;
} bn_serve_job;

/* Starts serving on threads of its own. Beyond loopback a token is made, and nobody gets anything
 * without it. BN_ENOENT: the home has no database; BN_EIO: the address cannot be had. */
BN_MUST_CHECK bn_status bn_serve_open(bn_serve **out, const bn_serve_job *job, bn_error *err);

/* Stops; connections end. NULL is fine. */
void bn_serve_close(bn_serve *serve);

/* Where it is, the token included: "http://127.0.0.1:40123/". */
const char *bn_serve_url(const bn_serve *serve);

#endif
