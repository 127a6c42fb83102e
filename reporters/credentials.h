/* credentials.h - the key to a far side: from the environment, else from the user's netrc file.
 *
 * A secret lives in one bn_secret and in the header made from it; it is never printed, logged,
 * stored or put into an error text.
 */
#ifndef BN_REPORTERS_CREDENTIALS_H
#define BN_REPORTERS_CREDENTIALS_H

#include "engine/base/status.h"

enum { BN_SECRET_MAX = 2048 };

typedef struct bn_secret {
    char text[BN_SECRET_MAX];
} bn_secret;

/* Looks a variable up; NULL when absent. A test passes its own. */
typedef const char *(*bn_environment)(const char *name);

/* WANDB_API_KEY, else the password of base_url's host in $NETRC, ~/.netrc or ~/_netrc. BN_ENOENT
 * says where a key may be put; BN_EINVAL: a netrc that is no regular file, a key with blanks or
 * control characters, or too short to be one. */
BN_MUST_CHECK bn_status bn_credentials_find(bn_secret *out, const char *base_url,
                                            bn_environment environment, bn_error *err);

/* The password that a netrc text holds for machine, which is "host" or "host:port": of its own
 * entry, else of its host's, else of 'default', in whatever order they stand. BN_ENOENT: none. */
BN_MUST_CHECK bn_status bn_credentials_netrc(bn_secret *out, const char *netrc, const char *machine,
                                             bn_error *err);

/* "Authorization: Basic base64(USER:SECRET)"; user "" : the secret holds both. */
enum { BN_AUTHORIZATION_MAX = 64 + BN_SECRET_MAX / 3 * 4 + 16 };
void bn_credentials_header(char out[BN_AUTHORIZATION_MAX], const char *user,
                           const bn_secret *secret);

/* Overwrites it in memory. */
void bn_secret_forget(bn_secret *secret);

#endif
