#include "reporters/wandb_link.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "engine/base/clock.h"
#include "engine/base/http.h"
#include "engine/base/rng.h"
#include "reporters/wandb_body.h"

enum {
    REPLY_BYTES_MAX = 16 << 20,
    GZIP_BYTES_MIN = 1024, /* below, a request fits a packet anyway */
    CONFLICTS_MAX = 8,     /* answers 409 in a row before we believe them */
    HEADER_MAX = 320,
};

static const double QUERY_TIMEOUT_S = 30, STREAM_TIMEOUT_S = 180, UPLOAD_TIMEOUT_S = 600;

struct bn_wandb_link {
    bn_http *http;
    char base_url[512];
    bn_secret key;
    char authorization[BN_AUTHORIZATION_MAX];
    char username[HEADER_MAX], email[HEADER_MAX];
    double first_wait_s, timeout_s;
    bool greeted, gzip, structured;
    int code; /* of the last answer */
    bn_pace pace;
    int failures, conflicts;      /* in a row */
    double ready_s;               /* no request before this moment of the steady clock */
    uint64_t chance_key, chances; /* the stream of chances, and how many were taken */
    bn_text packed;
};

bn_status bn_wandb_link_open(bn_wandb_link **out, const bn_wandb_link_options *options,
                             bn_error *err)
{
    *out = NULL;
    bn_wandb_link *link = calloc(1, sizeof *link);
    if (!link) return bn_fail(err, BN_ENOMEM, "no memory for a wandb connection");
    if (bn_http_open(&link->http, options->user_agent, REPLY_BYTES_MAX, err) != BN_OK) {
        free(link);
        return err->status;
    }
    (void)snprintf(link->base_url, sizeof link->base_url, "%s", options->base_url);
    (void)snprintf(link->username, sizeof link->username, "X-WANDB-USERNAME: %s",
                   options->username);
    (void)snprintf(link->email, sizeof link->email, "X-WANDB-USER-EMAIL: %s", options->email);
    link->key = *options->key;
    bn_credentials_header(link->authorization, options->key);
    link->first_wait_s = options->first_wait_s;
    link->timeout_s = options->timeout_s;
    bn_pace_init(&link->pace, bn_clock_mono_s());
    /* Another stream in every process: clients that fail together must not come back together. */
    link->chance_key = bn_rng_key((uint64_t)(bn_clock_wall_s() * 1e6), "wandb retry", 0);
    *out = link;
    return BN_OK;
}

void bn_wandb_link_close(bn_wandb_link *link)
{
    if (!link) return;
    bn_http_close(link->http);
    bn_text_release(&link->packed);
    bn_secret_forget(&link->key);
    memset(link->authorization, 0, sizeof link->authorization);
    free(link);
}

double bn_wandb_link_pause_s(const bn_wandb_link *link)
{
    double pause_s = link->ready_s - bn_clock_mono_s();
    return pause_s > 0 ? pause_s : 0;
}

int bn_wandb_link_code(const bn_wandb_link *link)
{
    return link->code;
}

bool bn_wandb_link_structured(const bn_wandb_link *link)
{
    return link->structured;
}

/* What the server says of its refusal, as one line: {"errors":[{"message"}]}, {"error":"..."},
 * {"error":{"message"}}, or nothing that we understand. */
static const char *reason_in(const json_t *root)
{
    const json_t *error = json_array_get(json_object_get(root, "errors"), 0);
    if (!error) error = json_object_get(root, "error");
    const json_t *message = json_object_get(error, "message");
    const char *text = json_string_value(message ? message : error);
    return text ? text : "";
}

static bool tells_key(const bn_wandb_link *link, const char *text)
{
    const char *token = strrchr(link->authorization, ' ') + 1;
    return strstr(text, link->key.text) || strstr(text, token);
}

static bn_status refuse(const bn_wandb_link *link, int code, const json_t *root, bn_error *err)
{
    static const struct {
        int code;
        const char *means;
    } meanings[] = {
        {301, "the server is elsewhere: check WANDB_BASE_URL"},
        {302, "the server is elsewhere: check WANDB_BASE_URL"},
        {307, "the server is elsewhere: check WANDB_BASE_URL"},
        {308, "the server is elsewhere: check WANDB_BASE_URL"},
        {401, "the server does not take this API key"},
        {403, "this API key may not write there: check --entity and --project"},
        {404, "no such entity, project or run: check --entity and --project"},
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
    (void)snprintf(line, sizeof line, "%.118s", tells_key(link, said) ? "" : said);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ') *c = ' ';
    }
    return bn_fail(err, BN_EINVAL, "%s (HTTP %d%s%s)", means, code, line[0] ? ": " : "", line);
}

static void put_off(bn_wandb_link *link, bn_retry_hint hint)
{
    link->failures++;
    double chance = bn_rng_uniform(link->chance_key, link->chances++);
    double wait_s = bn_retry_wait_s(link->first_wait_s, link->failures, hint, chance);
    link->ready_s = bn_clock_mono_s() + wait_s;
}

/* One request, and what its answer means. BN_VERDICT_AGAIN: it is put off. */
static bn_verdict exchange(bn_wandb_link *link, bn_request_kind kind,
                           const bn_http_request *request, bn_http_reply *reply, bn_error *err)
{
    double wait_s = bn_pace_take(&link->pace, bn_clock_mono_s());
    link->code = 0;
    if (wait_s > 0) {
        link->ready_s = bn_clock_mono_s() + wait_s;
        (void)bn_fail(err, BN_EAGAIN, "the server's rate limit is reached");
        return BN_VERDICT_AGAIN;
    }
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
        (void)bn_fail(err, BN_EAGAIN, "the server answers HTTP %d", reply->code);
    }
    return verdict;
}

/* A request whose answer is JSON. A 200 that is none comes from something in between, or was cut
 * short: the same request again finds out. */
static bn_status converse(bn_wandb_link *link, bn_request_kind kind, const bn_http_request *request,
                          json_t **root, bn_error *err)
{
    bn_http_reply reply;
    *root = NULL;
    bn_verdict verdict = exchange(link, kind, request, &reply, err);
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
        status = refuse(link, reply.code, *root, err);
    }
    json_decref(*root);
    *root = NULL;
    return status;
}

static double timeout_of(const bn_wandb_link *link, double usual_s)
{
    return link->timeout_s > 0 ? link->timeout_s : usual_s;
}

bn_status bn_wandb_link_query(bn_wandb_link *link, bn_request_kind kind, const bn_text *body,
                              json_t **data, bn_error *err)
{
    char url[640];
    (void)snprintf(url, sizeof url, "%s/graphql", link->base_url);
    bn_http_request request = {
        .method = "POST",
        .url = url,
        .headers = {"Content-Type: application/json", link->authorization, link->username,
                    link->email},
        .body = body->data,
        .body_bytes = body->length,
        .timeout_s = timeout_of(link, QUERY_TIMEOUT_S),
        .once = kind == BN_REQUEST_CREATE,
    };
    *data = NULL;
    if (body->failed) return bn_fail(err, BN_ENOMEM, "no memory for a request");
    json_t *root = NULL;
    bn_status status = converse(link, kind, &request, &root, err);
    if (status != BN_OK) return status;
    json_t *found = json_object_get(root, "data");
    if (json_is_object(found) && !json_object_get(root, "errors")) {
        *data = json_incref(found);
    } else {
        status = refuse(link, 200, root, err);
    }
    json_decref(root);
    return status;
}

/* body as gzip into link->packed. */
static bn_status pack(bn_wandb_link *link, const bn_text *body, bn_error *err)
{
    enum { FAST = 1, GZIP_WINDOW = 15 + 16, MEMORY = 8 };
    z_stream stream = {0};
    if (deflateInit2(&stream, FAST, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        return bn_fail(err, BN_ENOMEM, "no memory to compress a request");
    }
    size_t bound = deflateBound(&stream, body->length);
    bn_text_clear(&link->packed);
    if (link->packed.size < bound) {
        char *data = realloc(link->packed.data, bound);
        if (data) {
            link->packed.data = data;
            link->packed.size = bound;
        }
    }
    stream.next_in = (Bytef *)body->data;
    stream.avail_in = (uInt)body->length;
    stream.next_out = (Bytef *)link->packed.data;
    stream.avail_out = (uInt)link->packed.size;
    int code = deflate(&stream, Z_FINISH);
    link->packed.length = stream.total_out;
    (void)deflateEnd(&stream);
    return code == Z_STREAM_END ? BN_OK
                                : bn_fail(err, BN_ENOMEM, "no memory to compress a request");
}

bn_status bn_wandb_link_stream(bn_wandb_link *link, const char *path, const bn_text *body,
                               bool *stopped, bn_error *err)
{
    char url[1536];
    (void)snprintf(url, sizeof url, "%s%s", link->base_url, path);
    bool packed = link->gzip && body->length >= GZIP_BYTES_MIN;
    *stopped = false;
    if (body->failed) return bn_fail(err, BN_ENOMEM, "no memory for a request");
    if (packed && pack(link, body, err) != BN_OK) return err->status;
    const bn_text *sent = packed ? &link->packed : body;
    bn_http_request request = {
        .method = "POST",
        .url = url,
        .headers = {"Content-Type: application/json", link->authorization,
                    packed ? "Content-Encoding: gzip" : NULL},
        .body = sent->data,
        .body_bytes = sent->length,
        .timeout_s = timeout_of(link, STREAM_TIMEOUT_S),
    };
    json_t *root = NULL;
    bn_status status = converse(link, BN_REQUEST_STREAM, &request, &root, err);
    *stopped = json_is_true(json_object_get(root, "stopped"));
    json_decref(root);
    return status;
}

bn_status bn_wandb_link_upload(bn_wandb_link *link, const bn_wandb_upload *upload, bn_error *err)
{
    bn_http_reply reply;
    bn_http_request request = {
        .method = "PUT",
        .url = upload->url,
        .body = upload->data,
        .body_bytes = upload->size_bytes,
        .timeout_s = timeout_of(link, UPLOAD_TIMEOUT_S),
    };
    memcpy(request.headers, upload->headers, sizeof upload->headers);
    bn_verdict verdict = exchange(link, BN_REQUEST_UPLOAD, &request, &reply, err);
    switch (verdict) {
    case BN_VERDICT_DONE:
        link->failures = 0;
        return BN_OK;
    case BN_VERDICT_AGAIN:
        return BN_EAGAIN;
    case BN_VERDICT_EXPIRED:
        return bn_fail(err, BN_ESTALE, "the upload address has expired");
    case BN_VERDICT_REFUSED:
        return refuse(link, reply.code, NULL, err);
    }
    return BN_EINVAL;
}

static void learn_features(bn_wandb_link *link, const json_t *data)
{
    const json_t *features = json_object_get(json_object_get(data, "serverInfo"), "features");
    for (size_t i = 0; i < json_array_size(features); i++) {
        const json_t *feature = json_array_get(features, i);
        const char *name = json_string_value(json_object_get(feature, "name"));
        bool on = json_is_true(json_object_get(feature, "isEnabled"));
        if (!name || !on) continue;
        if (strcmp(name, "FILESTREAM_GZIP") == 0) link->gzip = true;
        if (strcmp(name, "STRUCTURED_CONSOLE_LOGS") == 0) link->structured = true;
    }
}

bn_status bn_wandb_link_greet(bn_wandb_link *link, bn_error *err)
{
    if (link->greeted) return BN_OK;
    bn_text body = {0};
    json_t *data = NULL;
    bn_wandb_viewer_body(&body);
    bn_status status = bn_wandb_link_query(link, BN_REQUEST_QUERY, &body, &data, err);
    if (status == BN_OK && !json_is_object(json_object_get(data, "viewer"))) {
        status = bn_fail(err, BN_EINVAL, "the server does not take this API key");
    }
    json_decref(data);
    if (status == BN_OK) {
        bn_error old = {0}; /* an old server knows no features: that is no failure */
        bn_text_clear(&body);
        bn_wandb_features_body(&body);
        status = bn_wandb_link_query(link, BN_REQUEST_QUERY, &body, &data, &old);
        learn_features(link, data);
        json_decref(data);
        if (status == BN_EINVAL) status = BN_OK;
        if (status != BN_OK) (void)bn_fail(err, status, "%s", old.text);
    }
    link->greeted = status == BN_OK;
    bn_text_release(&body);
    return status;
}
