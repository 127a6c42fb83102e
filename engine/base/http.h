/* http.h - one HTTP exchange at a time over a kept connection. The only file that knows libcurl.
 *
 * A status of 4xx or 5xx is an answer, not a failure: the call returns BN_OK and the caller reads
 * reply->code. BN_EIO is left for what got no whole answer (refused, reset, time-out, cut short).
 * Redirects are not followed and no header is ever logged: credentials stay where they were sent.
 */
#ifndef BN_ENGINE_BASE_HTTP_H
#define BN_ENGINE_BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/status.h"

enum { BN_HTTP_HEADERS_MAX = 16 };

typedef struct bn_http bn_http;

typedef struct bn_http_request {
    const char *method; /* "GET", "POST", "PUT" */
    const char *url;
    const char *headers[BN_HTTP_HEADERS_MAX]; /* "Name: value", NULL ends */
    const void *body;
    size_t body_bytes;
    double timeout_s;
    bool once; /* on a connection of its own: libcurl repeats a request when a kept one dies */
} bn_http_request;

typedef struct bn_http_reply {
    int code;
    char *body; /* NUL-terminated; belongs to the bn_http, good until its next request */
    size_t body_bytes;
    double retry_after_s;       /* Retry-After in either form; -1 when absent */
    double ratelimit_remaining; /* RateLimit-Remaining; -1 when absent */
    double ratelimit_reset_s;   /* RateLimit-Reset; -1 when absent */
    char error_code[64];        /* X-Error-Code, "" when absent */
    char location[1024];        /* Location of a redirect, "" when absent */
} bn_http_reply;

/* user_agent is sent with every request; reply_limit_bytes bounds every body. */
BN_MUST_CHECK bn_status bn_http_open(bn_http **out, const char *user_agent,
                                     size_t reply_limit_bytes, bn_error *err);
void bn_http_close(bn_http *http); /* NULL is fine */

/* BN_EIO: no whole answer came; BN_EINVAL: url is no http or https address. err says why, without
 * headers or query string. */
BN_MUST_CHECK bn_status bn_http_exchange(bn_http *http, const bn_http_request *request,
                                         bn_http_reply *reply, bn_error *err);

#endif
