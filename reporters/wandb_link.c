#include "reporters/wandb_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "reporters/link.h"
#include "reporters/wandb_body.h"

enum {
    GZIP_BYTES_MIN = 1024, /* below, a request fits a packet anyway */
    HEADER_MAX = 320,
};

static const double QUERY_TIMEOUT_S = 30, STREAM_TIMEOUT_S = 180, UPLOAD_TIMEOUT_S = 600;
static const double UPLOAD_BYTES_PER_S = 1e6; /* slower than this is stuck */

struct bn_wandb_link {
    bn_link link;
    char base_url[512];
    bn_secret key;
    char authorization[BN_AUTHORIZATION_MAX];
    char username[HEADER_MAX], email[HEADER_MAX];
    bool greeted, gzip, structured;
    bn_text packed;
};

bn_status bn_wandb_link_open(bn_wandb_link **out, const bn_wandb_link_options *options,
                             bn_error *err)
{
    *out = NULL;
    bn_wandb_link *link = calloc(1, sizeof *link);
    if (!link) return bn_fail(err, BN_ENOMEM, "no memory for a wandb connection");
    bn_link_options inner = {.user_agent = options->user_agent,
                             .first_wait_s = options->first_wait_s,
                             .timeout_s = options->timeout_s};
    if (bn_link_open(&link->link, &inner, err) != BN_OK) {
        free(link);
        return err->status;
    }
    (void)snprintf(link->base_url, sizeof link->base_url, "%s", options->base_url);
    (void)snprintf(link->username, sizeof link->username, "X-WANDB-USERNAME: %s",
                   options->username);
    (void)snprintf(link->email, sizeof link->email, "X-WANDB-USER-EMAIL: %s", options->email);
    link->key = *options->key;
    bn_credentials_header(link->authorization, "api", options->key);
    link->link.secrets[0] = link->key.text;
    link->link.secrets[1] = strrchr(link->authorization, ' ') + 1;
    link->link.where_to_look = "--entity and --project";
    link->link.key_place = "WANDB_API_KEY or the netrc file";
    *out = link;
    return BN_OK;
}

void bn_wandb_link_close(bn_wandb_link *link)
{
    if (!link) return;
    bn_link_close(&link->link);
    bn_text_release(&link->packed);
    bn_secret_forget(&link->key);
    memset(link->authorization, 0, sizeof link->authorization);
    free(link);
}

double bn_wandb_link_pause_s(const bn_wandb_link *link)
{
    return bn_link_pause_s(&link->link);
}

int bn_wandb_link_code(const bn_wandb_link *link)
{
    return link->link.code;
}

bool bn_wandb_link_structured(const bn_wandb_link *link)
{
    return link->structured;
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
        .timeout_s = bn_link_timeout_s(&link->link, QUERY_TIMEOUT_S),
        .once = kind == BN_REQUEST_CREATE,
    };
    *data = NULL;
    if (body->failed) return bn_fail(err, BN_ENOMEM, "no memory for a request");
    json_t *root = NULL;
    bn_status status = bn_link_converse(&link->link, kind, &request, &root, err);
    if (status != BN_OK) return status;
    json_t *found = json_object_get(root, "data");
    if (json_is_object(found) && !json_object_get(root, "errors")) {
        *data = json_incref(found);
    } else {
        status = bn_link_refuse(&link->link, 200, root, err);
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
        .timeout_s = bn_link_timeout_s(&link->link, STREAM_TIMEOUT_S),
    };
    json_t *root = NULL;
    bn_status status = bn_link_converse(&link->link, BN_REQUEST_STREAM, &request, &root, err);
    *stopped = json_is_true(json_object_get(root, "stopped"));
    json_decref(root);
    return status;
}

/* scheme://host of an address, for people. */
static void name_host(char *out, size_t size, const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t length = strcspn(host, "/?#");
    const char *at = memchr(host, '@', length);
    if (at) {
        length -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    (void)snprintf(out, size, "%.*s", (int)length, host);
}

static bn_status upload_to(bn_wandb_link *link, const char *url, const bn_wandb_upload *upload,
                           bn_error *err)
{
    char host[128];
    bn_http_reply reply;
    bn_http_request request = {
        .method = "PUT",
        .url = url,
        .body = upload->data,
        .body_bytes = upload->size_bytes,
        .timeout_s = bn_link_timeout_s(&link->link, UPLOAD_TIMEOUT_S + (double)upload->size_bytes /
                                                                           UPLOAD_BYTES_PER_S),
    };
    memcpy(request.headers, upload->headers, sizeof upload->headers);
    name_host(host, sizeof host, url);
    bn_verdict verdict = bn_link_exchange(&link->link, BN_REQUEST_UPLOAD, &request, &reply, err);
    switch (verdict) {
    case BN_VERDICT_DONE:
        link->link.failures = 0;
        return BN_OK;
    case BN_VERDICT_AGAIN:
        if (link->link.code == 0) return BN_EAGAIN; /* err has the address already */
        *err = (bn_error){0};
        return bn_fail(err, BN_EAGAIN, "the storage at %s answers HTTP %d", host, link->link.code);
    case BN_VERDICT_EXPIRED:
        return bn_fail(err, BN_ESTALE, "the storage at %s refuses the upload (HTTP %d)", host,
                       reply.code);
    case BN_VERDICT_REFUSED:
        if (err->status != BN_OK) return err->status; /* no address at all */
        return bn_fail(err, BN_EINVAL, "the storage at %s refuses the upload (HTTP %d)", host,
                       reply.code);
    }
    return BN_EINVAL;
}

bn_status bn_wandb_link_upload(bn_wandb_link *link, const bn_wandb_upload *upload, bn_error *err)
{
    bn_text url = {0};
    if (upload->url[0] == '/') bn_text_add(&url, link->base_url);
    bn_text_add(&url, upload->url);
    bn_status status = url.failed ? bn_fail(err, BN_ENOMEM, "no memory for an address")
                                  : upload_to(link, url.data, upload, err);
    bn_text_release(&url);
    return status;
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

static bn_status ask_viewer(bn_wandb_link *link, bn_text *body, bn_error *err)
{
    json_t *data = NULL;
    bn_text_clear(body);
    bn_wandb_viewer_body(body);
    bn_status status = bn_wandb_link_query(link, BN_REQUEST_QUERY, body, &data, err);
    /* From here on a redirect is taken for the network's doing, and waited out. */
    if (status == BN_EAGAIN && link->link.code >= 300 && link->link.code <= 399) {
        *err = (bn_error){0};
        status = bn_link_refuse(&link->link, link->link.code, NULL, err);
    }
    if (status == BN_OK && !json_is_object(json_object_get(data, "viewer"))) {
        status = bn_fail(err, BN_EINVAL, "the server does not take this API key: check %s",
                         link->link.key_place);
    }
    json_decref(data);
    return status;
}

/* An old server knows no features: that is no failure. */
static bn_status ask_features(bn_wandb_link *link, bn_text *body, bn_error *err)
{
    json_t *data = NULL;
    bn_text_clear(body);
    bn_wandb_features_body(body);
    bn_status status = bn_wandb_link_query(link, BN_REQUEST_QUERY, body, &data, err);
    learn_features(link, data);
    json_decref(data);
    if (status != BN_EINVAL) return status;
    *err = (bn_error){0};
    return BN_OK;
}

bn_status bn_wandb_link_greet(bn_wandb_link *link, bn_error *err)
{
    if (link->greeted) return BN_OK;
    bn_text body = {0};
    const char *usual = link->link.where_to_look;
    link->link.where_to_look = "WANDB_BASE_URL"; /* nothing of entity or project was said yet */
    bn_status status = ask_viewer(link, &body, err);
    link->link.where_to_look = usual;
    if (status == BN_EINVAL) (void)bn_fail_in(err, "%s", link->base_url);
    if (status == BN_OK) status = ask_features(link, &body, err);
    link->greeted = status == BN_OK;
    bn_text_release(&body);
    return status;
}
