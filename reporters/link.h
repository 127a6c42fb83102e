/* link.h - one conversation with one server: what its answers mean, when to speak again, and what
 * of them may be repeated to a person. */
#ifndef BN_REPORTERS_LINK_H
#define BN_REPORTERS_LINK_H

#include <jansson.h>
#include <stdint.h>

#include "engine/base/http.h"
#include "reporters/retry.h"

typedef struct bn_link {
    bn_http *http;
    double first_wait_s, timeout_s; /* timeout_s 0: each request's usual one */
    const char *secrets[2];         /* never quoted from an answer; borrowed, NULL none */
    const char *where_to_look;      /* "--entity and --project": for 403 and 404 */
    const char *key_place;          /* "WANDB_API_KEY": for 401 */
    bn_pace pace;
    int code;                     /* HTTP status of the last answer; 0: none came */
    int failures, conflicts;      /* in a row */
    double ready_s;               /* no request before this moment of the steady clock */
    uint64_t chance_key, chances; /* the stream of chances, and how many were taken */
} bn_link;

typedef struct bn_link_options {
    const char *user_agent;
    double first_wait_s, timeout_s;
} bn_link_options;

BN_MUST_CHECK bn_status bn_link_open(bn_link *out, const bn_link_options *options, bn_error *err);
void bn_link_close(bn_link *link); /* zeroed is fine */

/* One request, after the server's quota allows it. BN_VERDICT_AGAIN: it is put off, err says why;
 * BN_VERDICT_REFUSED: see bn_link_refuse. */
bn_verdict bn_link_exchange(bn_link *link, bn_request_kind kind, const bn_http_request *request,
                            bn_http_reply *reply, bn_error *err);

/* One request whose answer is a JSON object; the caller decrefs *root.
 * BN_EAGAIN: say it again in bn_link_pause_s; BN_EINVAL: never. */
BN_MUST_CHECK bn_status bn_link_converse(bn_link *link, bn_request_kind kind,
                                         const bn_http_request *request, json_t **root,
                                         bn_error *err);

/* BN_EINVAL, with what the code means, what to do, and the server's own words. root may be NULL. */
bn_status bn_link_refuse(const bn_link *link, int code, const json_t *root, bn_error *err);

/* Seconds until it makes sense to speak again; 0: now. */
double bn_link_pause_s(const bn_link *link);

/* The time for a request that usually takes at most usual_s. */
double bn_link_timeout_s(const bn_link *link, double usual_s);

#endif
