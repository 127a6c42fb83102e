#include "engine/base/http.h"

/* Its checks of types are macros around functions that are only pointers here. */
#define CURL_DISABLE_TYPECHECK
#include <assert.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "engine/base/text.h"

/* libcurl is loaded when the first connection is made, not with the program: it brings thirty
 * libraries along, and they take most of the time that a command like `ls` needs in all. */
typedef struct curl_calls {
    __typeof__(&curl_easy_init) init;
    __typeof__(&curl_easy_cleanup) cleanup;
    __typeof__(&(curl_easy_setopt)) setopt;
    __typeof__(&curl_easy_perform) perform;
    __typeof__(&(curl_easy_getinfo)) getinfo;
    __typeof__(&curl_easy_header) header;
    __typeof__(&curl_easy_strerror) strerror;
    __typeof__(&curl_getdate) getdate;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
} curl_calls;

struct bn_http {
    curl_calls call;
    CURL *curl;
    bn_text body;
    char why[CURL_ERROR_SIZE]; /* libcurl's own words for the last failure */
    size_t reply_limit_bytes;
    bool too_large; /* the last reply went over the limit */
};

static bn_status load(curl_calls *call, bn_error *err)
{
    /* In the order of curl_calls. */
    static const char *const names[] = {
        "curl_easy_init",    "curl_easy_cleanup",  "curl_easy_setopt",   "curl_easy_perform",
        "curl_easy_getinfo", "curl_easy_header",   "curl_easy_strerror", "curl_getdate",
        "curl_slist_append", "curl_slist_free_all"};
    enum { CALLS = sizeof names / sizeof names[0] };
    static_assert(sizeof *call == CALLS * sizeof(void *), "a name for every call");
    void *found[CALLS];
    void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        (void)bn_fail(err, BN_EIO, "HTTP needs libcurl.so.4, which is not installed (libcurl4)");
        return BN_EIO;
    }
    for (size_t i = 0; i < CALLS; i++) {
        found[i] = dlsym(library, names[i]);
        if (found[i]) continue;
        (void)bn_fail(err, BN_EIO, "HTTP needs a newer libcurl: no %s", names[i]);
        return BN_EIO;
    }
    memcpy(call, found, sizeof *call); /* POSIX: a symbol's address may be a function's */
    return BN_OK;
}

bn_status bn_http_open(bn_http **out, const char *user_agent, size_t reply_limit_bytes,
                       bn_error *err)
{
    *out = NULL;
    curl_calls call;
    bn_status status = load(&call, err);
    if (status != BN_OK) return status;
    bn_http *http = calloc(1, sizeof *http);
    CURL *curl = call.init();
    if (!http || !curl) {
        free(http);
        call.cleanup(curl);
        return bn_fail(err, BN_ENOMEM, "no memory for an HTTP connection");
    }
    http->call = call;
    http->curl = curl;
    http->reply_limit_bytes = reply_limit_bytes;
    /* NOSIGNAL: a library must not take SIGALRM from its program. No netrc and no redirects: what
     * is sent where is the caller's decision alone. */
    (void)http->call.setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)http->call.setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)http->call.setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)http->call.setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)http->call.setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip");
    (void)http->call.setopt(curl, CURLOPT_ERRORBUFFER, http->why);
    /* libcurl reads the proxies' variables itself, but leaves this one to the program. */
    const char *trusted = getenv("SSL_CERT_FILE"); /* NOLINT(concurrency-mt-unsafe): none writes */
    if (trusted && *trusted) (void)http->call.setopt(curl, CURLOPT_CAINFO, trusted);
    CURLcode code = http->call.setopt(curl, CURLOPT_USERAGENT, user_agent);
    if (code == CURLE_OK) code = http->call.setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code != CURLE_OK) {
        bn_http_close(http);
        return bn_fail(err, BN_ENOMEM, "cannot set up HTTP: %s", call.strerror(code));
    }
    *out = http;
    return BN_OK;
}

void bn_http_close(bn_http *http)
{
    if (!http) return;
    http->call.cleanup(http->curl);
    bn_text_release(&http->body);
    free(http);
}

static size_t take_body(char *data, size_t size, size_t count, void *self)
{
    bn_http *http = self;
    size_t bytes = size * count;
    if (bytes > http->reply_limit_bytes - http->body.length) {
        http->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    bn_text_add_bytes(&http->body, data, bytes);
    return http->body.failed ? CURL_WRITEFUNC_ERROR : bytes;
}

/* scheme://host/path without user, password or query: what may stand in an error text. */
static void public_part(char *out, size_t size, const char *url)
{
    const char *rest = strstr(url, "://");
    size_t scheme = rest ? (size_t)(rest - url) + 3 : 0;
    rest = url + scheme;
    size_t host = strcspn(rest, "/?#");
    const char *at = memchr(rest, '@', host);
    while (at) {
        host -= (size_t)(at + 1 - rest);
        rest = at + 1;
        at = memchr(rest, '@', host);
    }
    (void)snprintf(out, size, "%.*s%.*s", (int)scheme, url, (int)strcspn(rest, "?#"), rest);
}

static const char *header(const bn_http *http, const char *name)
{
    struct curl_header *found = NULL;
    CURLHcode code = http->call.header(http->curl, name, 0, CURLH_HEADER, -1, &found);
    return code == CURLHE_OK ? found->value : NULL;
}

/* A number of seconds or a count; -1 when absent or no such number. */
static double header_number(const bn_http *http, const char *name)
{
    const char *text = header(http, name);
    if (!text || text[0] < '0' || text[0] > '9') return -1;
    double number = strtod(text, NULL);
    return isfinite(number) ? number : -1;
}

/* Retry-After is a number of seconds or a date (RFC 9110, 10.2.3). */
static double retry_after_s(const bn_http *http)
{
    const char *text = header(http, "Retry-After");
    if (!text) return -1;
    double seconds = header_number(http, "Retry-After");
    if (seconds >= 0) return seconds;
    time_t date = http->call.getdate(text, NULL);
    if (date < 0) return -1;
    double wait_s = difftime(date, time(NULL));
    return wait_s > 0 ? wait_s : 0;
}

static void fill_reply(bn_http *http, bn_http_reply *reply)
{
    long code = 0;
    (void)http->call.getinfo(http->curl, CURLINFO_RESPONSE_CODE, &code);
    reply->code = (int)code;
    reply->body = http->body.data;
    reply->body_bytes = http->body.length;
    reply->retry_after_s = retry_after_s(http);
    reply->ratelimit_remaining = header_number(http, "RateLimit-Remaining");
    reply->ratelimit_reset_s = header_number(http, "RateLimit-Reset");
    const char *text = header(http, "X-Error-Code");
    (void)snprintf(reply->error_code, sizeof reply->error_code, "%s", text ? text : "");
    text = header(http, "Location");
    (void)snprintf(reply->location, sizeof reply->location, "%s", text ? text : "");
}

/* The caller's headers, and two of curl's own taken back: "Expect", which costs a round trip, and
 * a made-up "Content-Type", which would break the signature of an upload address. */
static struct curl_slist *make_headers(const bn_http *http, const bn_http_request *request)
{
    struct curl_slist *list = http->call.slist_append(NULL, "Expect:");
    bool typed = false;
    for (size_t i = 0; list && i < BN_HTTP_HEADERS_MAX && request->headers[i]; i++) {
        struct curl_slist *longer = http->call.slist_append(list, request->headers[i]);
        if (!longer) http->call.slist_free_all(list);
        list = longer;
        if (strncasecmp(request->headers[i], "Content-Type:", 13) == 0) typed = true;
    }
    if (list && !typed) {
        struct curl_slist *longer = http->call.slist_append(list, "Content-Type:");
        if (!longer) http->call.slist_free_all(list);
        list = longer;
    }
    return list;
}

static void set_method(const bn_http *http, const bn_http_request *request)
{
    CURL *curl = http->curl;
    if (strcmp(request->method, "GET") == 0) {
        (void)http->call.setopt(curl, CURLOPT_HTTPGET, 1L);
        (void)http->call.setopt(curl, CURLOPT_CUSTOMREQUEST, NULL);
        return;
    }
    /* POSTFIELDS with another verb: the bytes are sent from where they lie, with their length, for
     * PUT too. */
    (void)http->call.setopt(curl, CURLOPT_POST, 1L);
    (void)http->call.setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)http->call.setopt(curl, CURLOPT_POSTFIELDS, request->body_bytes ? request->body : "");
    (void)http->call.setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
}

bn_status bn_http_exchange(bn_http *http, const bn_http_request *request, bn_http_reply *reply,
                           bn_error *err)
{
    *reply =
        (bn_http_reply){.retry_after_s = -1, .ratelimit_remaining = -1, .ratelimit_reset_s = -1};
    CURL *curl = http->curl;
    bn_text_clear(&http->body);
    bn_text_add(&http->body, ""); /* so that an empty body is a text too */
    http->too_large = false;
    struct curl_slist *headers = make_headers(http, request);
    if (!headers) return bn_fail(err, BN_ENOMEM, "no memory for HTTP headers");
    set_method(http, request);
    (void)http->call.setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)http->call.setopt(curl, CURLOPT_WRITEDATA, http);
    (void)http->call.setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)http->call.setopt(curl, CURLOPT_FRESH_CONNECT, request->once ? 1L : 0L);
    long timeout_ms = (long)ceil(request->timeout_s * 1e3);
    (void)http->call.setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    (void)http->call.setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                            timeout_ms < 30000 ? timeout_ms : 30000);
    CURLcode code = http->call.setopt(curl, CURLOPT_URL, request->url);
    if (code == CURLE_OK) code = http->call.perform(curl);
    if (code == CURLE_OK) fill_reply(http, reply);
    (void)http->call.setopt(curl, CURLOPT_HTTPHEADER, NULL);
    http->call.slist_free_all(headers);
    if (code == CURLE_OK) return BN_OK;
    char where[160];
    public_part(where, sizeof where, request->url);
    if (http->too_large) {
        return bn_fail(err, BN_EIO, "%s %s: the reply is larger than %zu bytes", request->method,
                       where, http->reply_limit_bytes);
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        return bn_fail(err, BN_EIO, "%s %s: %.90s; SSL_CERT_FILE may name the authorities to trust",
                       request->method, where, http->why);
    }
    if (code == CURLE_SSL_CONNECT_ERROR &&
        http->why[0]) { /* "wrong version number": no TLS there */
        return bn_fail(err, BN_EIO, "%s %s: %.120s", request->method, where, http->why);
    }
    bool no_address = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
    return bn_fail(err, no_address ? BN_EINVAL : BN_EIO, "%s %s: %s", request->method, where,
                   http->call.strerror(code));
}
