/* wandb_link.h - one conversation with one wandb server: who we are, what it offers, how fast it
 * lets us talk, and what its answers mean.
 *
 * The key goes into the header of requests below the base address and nowhere else: not to upload
 * addresses, not after a redirect (none is followed), and an answer that repeats it is not quoted.
 */
#ifndef BN_REPORTERS_WANDB_LINK_H
#define BN_REPORTERS_WANDB_LINK_H

#include <jansson.h>
#include <stdbool.h>

#include "engine/base/text.h"
#include "reporters/credentials.h"
#include "reporters/retry.h"

typedef struct bn_wandb_link bn_wandb_link;

typedef struct bn_wandb_link_options {
    const char *user_agent;
    const char *base_url; /* "https://api.wandb.ai", no slash at its end */
    const bn_secret *key;
    const char *username, *email; /* whom a service account writes for; "": nobody else */
    double first_wait_s;          /* before the second try of a request */
    double timeout_s;             /* of one request; 0: wandb's own choices */
} bn_wandb_link_options;

BN_MUST_CHECK bn_status bn_wandb_link_open(bn_wandb_link **out,
                                           const bn_wandb_link_options *options, bn_error *err);
void bn_wandb_link_close(bn_wandb_link *link); /* NULL is fine */

/* Every call below answers in the same four ways, in err's words:
 *   BN_OK      the server has done it
 *   BN_EAGAIN  not now: say the same again in bn_wandb_link_pause_s seconds
 *   BN_EINVAL  never
 *   others     our own trouble (memory) */

/* Asks who we are and what the server offers; the first call only. BN_EINVAL: it refuses the key.
 */
BN_MUST_CHECK bn_status bn_wandb_link_greet(bn_wandb_link *link, bn_error *err);

/* POST /graphql. *data is the reply's "data"; the caller decrefs it. */
BN_MUST_CHECK bn_status bn_wandb_link_query(bn_wandb_link *link, bn_request_kind kind,
                                            const bn_text *body, json_t **data, bn_error *err);

/* POST below the base address, compressed where the server takes that. *stopped: somebody asked
 * there for this run to stop. */
BN_MUST_CHECK bn_status bn_wandb_link_stream(bn_wandb_link *link, const char *path,
                                             const bn_text *body, bool *stopped, bn_error *err);

/* PUT to an upload address, without the key. headers are "Name:value". BN_ESTALE: the address may
 * have expired. */
enum { BN_WANDB_UPLOAD_HEADERS_MAX = 12 };
typedef struct bn_wandb_upload {
    const char *url; /* "/..." is below the base address: a server that keeps its files itself */
    const char *headers[BN_WANDB_UPLOAD_HEADERS_MAX];
    const void *data;
    size_t size_bytes;
} bn_wandb_upload;
BN_MUST_CHECK bn_status bn_wandb_link_upload(bn_wandb_link *link, const bn_wandb_upload *upload,
                                             bn_error *err);

/* Seconds until it makes sense to call again; 0: now. */
double bn_wandb_link_pause_s(const bn_wandb_link *link);

/* The HTTP status of the last answer; 0: none came. */
int bn_wandb_link_code(const bn_wandb_link *link);

/* Does the server take console lines as JSON? Known after greet. */
bool bn_wandb_link_structured(const bn_wandb_link *link);

#endif
