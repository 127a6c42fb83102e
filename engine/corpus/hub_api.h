/* hub_api.h - one question to the dataset viewer, asked until there is an answer. */
#ifndef BN_ENGINE_CORPUS_HUB_API_H
#define BN_ENGINE_CORPUS_HUB_API_H

#include <jansson.h>
#include <stdbool.h>

#include "engine/base/http.h"
#include "engine/base/text.h"
#include "engine/corpus/hub.h"

typedef struct bn_hub_api {
    const bn_hub_job *job;
    bn_http *http;
    bn_text authorization; /* "Authorization: Bearer ..."; empty: none is sent */
    bn_text url;
    bn_hub_progress *progress;
    bool reached; /* some answer has come from there */
} bn_hub_api;

BN_MUST_CHECK bn_status bn_hub_api_open(bn_hub_api *api, const bn_hub_job *job,
                                        bn_hub_progress *progress, bn_error *err);
void bn_hub_api_close(bn_hub_api *api); /* {0} is fine */

/* Asks for url + path + "?" + pairs (name, value, name, value, ..., NULL; values are escaped here;
 * one that is NULL is left out with its name). Waits and asks again on 429, 5xx and lost
 * connections, never on what no waiting cures. *out belongs to the caller (json_decref). BN_EINVAL:
 * the hub's own words for what is wrong with the question, no address, or an answer that is no JSON
 * object (no dataset viewer); BN_EAGAIN: no answer in BN_HUB_TRIES. */
BN_MUST_CHECK bn_status bn_hub_api_ask(bn_hub_api *api, const char *path, const char *const *pairs,
                                       json_t **out, bn_error *err);

/* How long to wait before try `tries` + 1: the server's wish if it has one (at most 10 minutes),
 * else 1, 2, 4, ... 60 s. */
double bn_hub_api_pause_s(int tries, double retry_after_s);

/* May the token be sent there? Only to https hosts of huggingface.co. */
bool bn_hub_api_trusts(const char *url);

#endif
