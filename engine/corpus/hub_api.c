#include "engine/corpus/hub_api.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* A server that has never answered is more likely not there than busy. */
enum { STRANGER_TRIES = 4 };

enum { TIMEOUT_S = 120, PAUSE_MAX_S = 60, WISH_MAX_S = 600 };

bool bn_hub_api_trusts(const char *url)
{
    static const char host[] = "huggingface.co";
    static const char scheme[] = "https://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) return false;
    url += sizeof scheme - 1;
    size_t length = strcspn(url, "/?#");
    if (length < sizeof host - 1 || memchr(url, '@', length)) return false;
    const char *tail = url + length - (sizeof host - 1);
    if (strncmp(tail, host, sizeof host - 1) != 0) return false;
    return tail == url || tail[-1] == '.';
}

double bn_hub_api_pause_s(int tries, double retry_after_s)
{
    if (retry_after_s >= 0) return retry_after_s < WISH_MAX_S ? retry_after_s : WISH_MAX_S;
    return tries < 7 && 1 << (tries - 1) < PAUSE_MAX_S ? 1 << (tries - 1) : PAUSE_MAX_S;
}

bn_status bn_hub_api_open(bn_hub_api *api, const bn_hub_job *job, bn_hub_progress *progress,
                          bn_error *err)
{
    *api = (bn_hub_api){.job = job, .progress = progress};
    if (job->token && *job->token && bn_hub_api_trusts(job->url)) {
        bn_text_addf(&api->authorization, "Authorization: Bearer %s", job->token);
        if (strpbrk(job->token, "\r\n")) {
            return bn_fail(err, BN_EINVAL, "HF_TOKEN has a line break");
        }
    }
    return bn_http_open(&api->http, "bnexp", BN_HUB_REPLY_MAX, err);
}

void bn_hub_api_close(bn_hub_api *api)
{
    bn_http_close(api->http);
    bn_text_release(&api->authorization);
    bn_text_release(&api->url);
}

static void add_escaped(bn_text *out, const char *value)
{
    for (const char *c = value; *c; c++) {
        bool plain = isalnum((unsigned char)*c) || strchr("-_.~", *c);
        if (plain) {
            bn_text_add_bytes(out, c, 1);
        } else {
            bn_text_addf(out, "%%%02X", (unsigned char)*c);
        }
    }
}

static void make_url(bn_hub_api *api, const char *path, const char *const *pairs)
{
    bn_text_clear(&api->url);
    bn_text_addf(&api->url, "%s%s", api->job->url, path);
    char mark = '?';
    for (size_t i = 0; pairs[i]; i += 2) {
        if (!pairs[i + 1]) continue;
        bn_text_addf(&api->url, "%c%s=", mark, pairs[i]);
        add_escaped(&api->url, pairs[i + 1]);
        mark = '&';
    }
}

/* Two requests in a row may differ; a request that is refused for itself never does. */
static bool passes(const bn_http_reply *reply)
{
    if (reply->code == 429 || reply->code == 408) return true;
    return reply->code >= 500 && reply->code != 501;
}

/* The dataset itself is broken: the viewer says so with a 500 that no waiting cures. */
static bool is_final(const bn_http_reply *reply, const json_t *body)
{
    const char *code = reply->error_code;
    if (strcmp(code, "ResponseNotReady") == 0) return false;
    if (!passes(reply)) return true;
    return json_object_get(body, "cause_exception") != NULL && reply->code == 500;
}

/* The hub's own words, on one line. */
static bn_status refuse(const bn_hub_api *api, const bn_http_reply *reply, const json_t *body,
                        bn_error *err)
{
    char words[160];
    const char *said = json_string_value(json_object_get(body, "error"));
    const char *cause = json_string_value(json_object_get(body, "cause_message"));
    (void)snprintf(words, sizeof words, "%s%s%s", said ? said : "no reason given", cause ? " " : "",
                   cause ? cause : "");
    for (char *c = words; *c; c++) {
        if ((unsigned char)*c < 0x20) *c = ' ';
    }
    bool locked = reply->code == 401 || reply->code == 403;
    const char *hint = locked && api->authorization.length == 0 ? " (HF_TOKEN is not set)" : "";
    return bn_fail(err, BN_EINVAL, "dataset '%.60s': the hub says %d%s%s: %s%s", api->job->dataset,
                   reply->code, *reply->error_code ? " " : "", reply->error_code, words, hint);
}

static void pause_for(bn_hub_api *api, double seconds, const char *reason)
{
    api->progress->waits_s = seconds;
    api->progress->waits_for = reason;
    if (api->job->tell) api->job->tell(api->job->self, api->progress);
    api->job->wait(api->job->self, seconds);
    api->progress->waits_s = 0;
    api->progress->waits_for = NULL;
}

/* One exchange. true: *status is final; false: *reason says why it may go better later. */
static bool attempt(bn_hub_api *api, json_t **out, bn_http_reply *reply, char reason[160],
                    bn_error *err)
{
    bn_error lost = {0};
    bn_http_request request = {.method = "GET", .url = api->url.data, .timeout_s = TIMEOUT_S};
    request.headers[0] = "Accept: application/json";
    if (api->authorization.length) request.headers[1] = api->authorization.data;
    reply->retry_after_s = -1;
    bn_status status = bn_http_exchange(api->http, &request, reply, &lost);
    if (status != BN_OK) {
        (void)snprintf(reason, 160, "%s", lost.text);
        if (status == BN_EINVAL) (void)bn_fail(err, status, "%s", lost.text);
        return status == BN_EINVAL;
    }
    api->reached = true;
    json_t *body = json_loadb(reply->body, reply->body_bytes, JSON_ALLOW_NUL, NULL);
    if (reply->code == 200 && json_is_object(body)) {
        *out = body;
        return true;
    }
    bool final = reply->code == 200 || is_final(reply, body);
    if (reply->code == 200) {
        (void)bn_fail(err, BN_EINVAL, "%s answers, but not in JSON: no dataset viewer is there",
                      api->job->url);
    } else if (final) {
        (void)refuse(api, reply, body, err);
    }
    const char *said = json_string_value(json_object_get(body, "error"));
    (void)snprintf(reason, 160, "%d%s%s %.100s", reply->code, *reply->error_code ? " " : "",
                   reply->error_code, said ? said : "(no JSON)");
    json_decref(body);
    return final;
}

bn_status bn_hub_api_ask(bn_hub_api *api, const char *path, const char *const *pairs, json_t **out,
                         bn_error *err)
{
    char reason[160] = "";
    *out = NULL;
    make_url(api, path, pairs);
    if (api->url.failed) return bn_fail(err, BN_ENOMEM, "no memory for a URL");
    int tries = 0;
    for (;;) {
        bn_http_reply reply = {0};
        if (attempt(api, out, &reply, reason, err)) return *out ? BN_OK : err->status;
        if (++tries == (api->reached ? BN_HUB_TRIES : STRANGER_TRIES)) break;
        pause_for(api, bn_hub_api_pause_s(tries, reply.retry_after_s), reason);
    }
    return bn_fail(err, BN_EAGAIN,
                   "%s%s gave no answer in %d tries (%.80s); the same command goes on",
                   api->job->url, path, tries, reason);
}
