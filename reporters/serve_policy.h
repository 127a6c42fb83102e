/* serve_policy.h - who may ask the served page for what. Pure: words in, a decision out. */
#ifndef BN_REPORTERS_SERVE_POLICY_H
#define BN_REPORTERS_SERVE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "engine/base/status.h"

enum { BN_SERVE_ADDRESS_MAX = 64, BN_SERVE_TOKEN_HEX = 33 };

/* Where the page is served: a numeric address and a port. */
typedef struct bn_serve_place {
    char address[BN_SERVE_ADDRESS_MAX]; /* "127.0.0.1", "::1", "0.0.0.0" */
    int port;                           /* 0: any that is free */
} bn_serve_place;

/* Reads "ADDR:PORT", "ADDR", "PORT" or "" (127.0.0.1 and a free port); an IPv6 address with a port
 * stands in brackets. BN_EINVAL. */
BN_MUST_CHECK bn_status bn_serve_place_read(const char *text, bn_serve_place *out, bn_error *err);

/* The place as the system wants it; false: it is no numeric address. */
bool bn_serve_place_socket(const bn_serve_place *place, struct sockaddr_storage *out);

/* Only this machine can reach it: 127.0.0.0/8 or ::1. */
bool bn_serve_is_loopback(const bn_serve_place *place);

/* Whether a Host header names this server. On loopback only loopback's names are taken, so that a
 * stranger's site whose name was pointed here gets nothing; elsewhere the address itself, the
 * machine's name, and, when it listens everywhere, any numeric address. */
bool bn_serve_host_fits(const char *header, const bn_serve_place *place, const char *machine);

/* Compares in a time that does not depend on where they differ. NULL given: false. */
bool bn_serve_token_fits(const char *given, const char *token);

/* The value of a cookie in a Cookie header, into out of `size` bytes; false: it is not there. */
bool bn_serve_cookie(const char *header, const char *name, char *out, size_t size);

typedef enum bn_serve_kind {
    BN_SERVE_NOTHING, /* no such path */
    BN_SERVE_ASSET,   /* name: the file */
    BN_SERVE_INDEX,
    BN_SERVE_RUN,    /* run: the whole's top level */
    BN_SERVE_CHUNK,  /* run, level, chunk */
    BN_SERVE_CURVES, /* sweep, metric */
    BN_SERVE_FILE,   /* run, name: one of the files that a run's folder is known to hold */
    BN_SERVE_EVENTS,
} bn_serve_kind;

typedef struct bn_serve_target {
    bn_serve_kind kind;
    char name[32];
    char run[12];
    int level;
    int64_t chunk;
    int64_t sweep, metric;
} bn_serve_target;

/* What a path asks for. Paths are matched whole against the few that there are: nothing of them is
 * ever used as a file name, so none leads out. */
bn_serve_target bn_serve_route(const char *path);

#endif
