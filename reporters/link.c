#include "reporters/link.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/rng.h"

enum {
    REPLY_BYTES_MAX = 16 << 20,
    CONFLICTS_MAX = 8, /* answers 409 in a row before we believe them */
    PATIENT_TRIES = 5, /* of one request that is answered 429 */
};

bn_status bn_link_open(bn_link *out, const bn_link_options *options, bn_error *err)
{
    *out = (bn_link){.first_wait_s = options->first_wait_s, .timeout_s = options->timeout_s};
    bn_pace_init(&out->pace, bn_clock_mono_s());
    /* Another stream in every process: clients that fail together must not come back together. */
    out->chance_key = bn_rng_key((uint64_t)(bn_clock_wall_s() * 1e6), "retry", 0);
    return bn_http_open(&out->http, options->user_agent, REPLY_BYTES_MAX, err);
}

void bn_link_close(bn_link *link)
{
    bn_http_close(link->http);
    link->http = NULL;
}

double bn_link_pause_s(const bn_link *link)
{
    double pause_s = link->ready_s - bn_clock_mono_s();
    return pause_s > 0 ? pause_s : 0;
}

double bn_link_timeout_s(const bn_link *link, double usual_s)
{
    return link->timeout_s > 0 ? link->timeout_s : usual_s;
}

/* What the server says of its refusal, as one line: {"errors":[{"message"}]}, {"error":"..."},
 * {"error":{"message"}}, {"message":"..."}, or nothing that we understand. */
static const char *reason_in(const json_t *root)
{
    const json_t *error = json_array_get(json_object_get(root, "errors"), 0);
    if (!error) error = json_object_get(root, "error");
    const json_t *message = json_object_get(error, "message");
    if (!error) message = json_object_get(root, "message");
    const char *text = json_string_value(message ? message : error);
    return text ? text : "";
}

static bool tells_secret(const bn_link *link, const char *text)
{
    for (size_t i = 0; i < sizeof link->secrets / sizeof link->secrets[0]; i++) {
        if (link->secrets[i] && strstr(text, link->secrets[i])) return true;
    }
    return false;
}

bn_status bn_link_refuse(const bn_link *link, int code, const json_t *root, bn_error *err)
{
    static const struct {
        int code;
        const char *means;
    } meanings[] = {
        {301, "the server is elsewhere: check its address"},
        {302, "the server is elsewhere: check its address"},
        {303, "the server is elsewhere: check its address"},
        {307, "the server is elsewhere: check its address"},
        {308, "the server is elsewhere: check its address"},
        {401, "the server does not take this API key"},
        {403, "this key may not write there"},
        {404, "no such place"},
        {409, "somebody else writes this run"},
        {410, "the run was deleted there"},
        {413, "the request is larger than the server takes"},
    };
    const char *means = "the server refuses it";
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (meanings[i].code == code) means = meanings[i].means;
    }
    char line[120];
    const char *said = reason_in(root);
    (void)snprintf(line, sizeof line, "%.118s", tells_secret(link, said) ? "" : said);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ') *c = ' ';
    }
    const char *place = code == 403 || code == 404 ? link->where_to_look
                        : code == 401              ? link->key_place
                                                   : NULL;
    return bn_fail(err, BN_EINVAL, "%s%s%s (HTTP %d%s%s)", means, place ? ": check " : "",
                   place ? place : "", code, line[0] ? ": " : "", line);
}

static void put_off(bn_link *link, bn_retry_hint hint)
{
    link->failures++;
    double chance = bn_rng_uniform(link->chance_key, link->chances++);
    double wait_s = bn_retry_wait_s(link->first_wait_s, link->failures, hint, chance);
    link->ready_s = bn_clock_mono_s() + wait_s;
}

static void nap(double seconds)
{
    double whole_s = floor(seconds);
    struct timespec rest = {.tv_sec = (time_t)whole_s,
                            .tv_nsec = (long)((seconds - whole_s) * 1e9)};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
}

static bn_verdict exchange_once(bn_link *link, bn_request_kind kind, const bn_http_request *request,
                                bn_http_reply *reply, bn_error *err)
{
    double wait_s = bn_pace_take(&link->pace, bn_clock_mono_s());
    link->code = 0;
    if (wait_s > 0) nap(fmin(wait_s, BN_RETRY_WAIT_MAX_S));
    bn_status status = bn_http_exchange(link->http, request, reply, err);
    if (status == BN_EINVAL) return BN_VERDICT_REFUSED;
    if (status != BN_OK) {
        err->status = BN_EAGAIN;
        put_off(link, (bn_retry_hint){-1, -1, -1});
        return BN_VERDICT_AGAIN;
    }
    bn_retry_hint hint = {reply->retry_after_s, reply->ratelimit_remaining,
                          reply->ratelimit_reset_s};
    if (kind != BN_REQUEST_UPLOAD) bn_pace_learn(&link->pace, hint, bn_clock_mono_s());
    bn_verdict verdict = bn_retry_judge(kind, reply->code);
    link->code = reply->code;
    link->conflicts = reply->code == 409 ? link->conflicts + 1 : 0;
    if (link->conflicts > CONFLICTS_MAX) {
        link->conflicts = 0;
        return BN_VERDICT_REFUSED;
    }
    if (verdict == BN_VERDICT_AGAIN) {
        put_off(link, hint);
        bool elsewhere = reply->code >= 300 && reply->code <= 399;
        (void)bn_fail(err, BN_EAGAIN, "the server answers HTTP %d%s", reply->code,
                      elsewhere ? ", a redirect: check its address" : "");
    }
    return verdict;
}

/* A server that asks for slowness is waited for here, in the middle of a push: a push of more
 * requests than a quota allows at once would otherwise begin anew for ever. */
bn_verdict bn_link_exchange(bn_link *link, bn_request_kind kind, const bn_http_request *request,
                            bn_http_reply *reply, bn_error *err)
{
    bn_verdict verdict = exchange_once(link, kind, request, reply, err);
    for (int i = 0; i < PATIENT_TRIES && verdict == BN_VERDICT_AGAIN && link->code == 429; i++) {
        double pause_s = bn_link_pause_s(link);
        if (pause_s > BN_RETRY_WAIT_MAX_S) break;
        nap(pause_s);
        *err = (bn_error){0};
        verdict = exchange_once(link, kind, request, reply, err);
    }
    return verdict;
}

/* A request whose answer is JSON. A 200 that is none comes from something in between, or was cut
 * short: the same request again finds out. */
bn_status bn_link_converse(bn_link *link, bn_request_kind kind, const bn_http_request *request,
                           json_t **root, bn_error *err)
{
    bn_http_reply reply;
    *root = NULL;
    bn_verdict verdict = bn_link_exchange(link, kind, request, &reply, err);
    if (verdict == BN_VERDICT_AGAIN) return BN_EAGAIN;
    *root = json_loadb(reply.body, reply.body_bytes, JSON_ALLOW_NUL, NULL);
    if (verdict == BN_VERDICT_DONE && json_is_object(*root)) {
        link->failures = 0;
        return BN_OK;
    }
    bn_status status = BN_EAGAIN;
    if (verdict == BN_VERDICT_DONE) {
        (void)bn_fail(err, BN_EAGAIN, "the server's answer is no JSON object");
        put_off(link, (bn_retry_hint){-1, -1, -1});
    } else {
        status = bn_link_refuse(link, reply.code, *root, err);
    }
    json_decref(*root);
    *root = NULL;
    return status;
}
