#include "reporters/serve_policy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What a run's folder may be asked for. */
static const char *const RUN_FILES[] = {"run.toml", "events.jsonl", "stdout.log", "stderr.log"};
static const char *const ASSETS[] = {"index.html", "app.js", "style.css"};

static bool is_address(const char *text)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* A decimal number of at most `most`; -1 when it is none. */
static int64_t read_number(const char *text, int64_t most)
{
    int64_t number = 0;
    if (!*text) return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return -1;
        number = number * 10 + (*text - '0');
        if (number > most) return -1;
    }
    return number;
}

/* Splits "host:port", "[host]:port", "host"; port is -1 when absent or wrong (then false). */
static bool split(const char *text, char host[BN_SERVE_ADDRESS_MAX], int *port)
{
    const char *end = text + strlen(text);
    const char *colon = strrchr(text, ':');
    const char *first = text;
    *port = -1;
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end) return false;
        colon = end[1] == ':' ? end + 1 : NULL;
        if (!colon && end[1]) return false;
        first = text + 1;
    } else if (colon && strchr(text, ':') != colon) {
        colon = NULL; /* a bare IPv6 address */
    } else if (colon) {
        end = colon;
    }
    size_t length = (size_t)(end - first);
    if (length >= BN_SERVE_ADDRESS_MAX) return false;
    memcpy(host, first, length);
    host[length] = '\0';
    if (!colon) return true;
    *port = (int)read_number(colon + 1, 65535);
    return *port >= 0;
}

bn_status bn_serve_place_read(const char *text, bn_serve_place *out, bn_error *err)
{
    *out = (bn_serve_place){.address = "127.0.0.1"};
    if (!*text) return BN_OK;
    int64_t bare = read_number(text, 65535);
    if (bare >= 0) {
        out->port = (int)bare;
        return BN_OK;
    }
    char host[BN_SERVE_ADDRESS_MAX];
    int port = -1;
    if (!split(text, host, &port)) {
        return bn_fail(err, BN_EINVAL, "'%.60s' is no ADDR:PORT, as in 127.0.0.1:8080", text);
    }
    if (strcasecmp(host, "localhost") == 0) (void)snprintf(host, sizeof host, "127.0.0.1");
    if (!is_address(host)) {
        return bn_fail(err, BN_EINVAL, "'%.60s' is no numeric address, as 127.0.0.1 or [::1]",
                       host);
    }
    (void)snprintf(out->address, sizeof out->address, "%s", host);
    out->port = port > 0 ? port : 0;
    return BN_OK;
}

bool bn_serve_place_socket(const bn_serve_place *place, struct sockaddr_storage *out)
{
    *out = (struct sockaddr_storage){0};
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)out;
    if (inet_pton(AF_INET, place->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)place->port);
        return true;
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)place->port);
    return inet_pton(AF_INET6, place->address, &six->sin6_addr) == 1;
}

bool bn_serve_is_loopback(const bn_serve_place *place)
{
    return strncmp(place->address, "127.", 4) == 0 || strcmp(place->address, "::1") == 0;
}

static bool listens_everywhere(const bn_serve_place *place)
{
    return strcmp(place->address, "0.0.0.0") == 0 || strcmp(place->address, "::") == 0;
}

bool bn_serve_host_fits(const char *header, const bn_serve_place *place, const char *machine)
{
    char host[BN_SERVE_ADDRESS_MAX];
    int port = -1;
    if (!header || !split(header, host, &port)) return false;
    if (port != place->port && !(port < 0 && place->port == 80)) return false;
    bool local = strcasecmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
                 strcmp(host, "::1") == 0;
    if (local || strcmp(host, place->address) == 0) return true;
    if (bn_serve_is_loopback(place)) return false;
    if (machine && *machine && strcasecmp(host, machine) == 0) return true;
    return listens_everywhere(place) && is_address(host);
}

bool bn_serve_token_fits(const char *given, const char *token)
{
    if (!given || strlen(given) != strlen(token)) return false;
    unsigned difference = 0;
    for (size_t i = 0; token[i]; i++) {
        difference |= (unsigned)(unsigned char)given[i] ^ (unsigned)(unsigned char)token[i];
    }
    return difference == 0;
}

bool bn_serve_cookie(const char *header, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    while (header && *header) {
        header += strspn(header, "; ");
        size_t part = strcspn(header, ";");
        if (part > length && header[length] == '=' && strncmp(header, name, length) == 0) {
            size_t value = part - length - 1;
            if (value >= size) return false;
            memcpy(out, header + length + 1, value);
            out[value] = '\0';
            return true;
        }
        header += part;
    }
    return false;
}

/* Takes a run's key off the front: 8 characters [0-9a-z]; NULL when there is none. */
static const char *take_key(const char *text, char key[12])
{
    size_t length = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz");
    if (length != 8) return NULL;
    memcpy(key, text, length);
    key[length] = '\0';
    return text + length;
}

/* "NUMBER-NUMBER.js", each below its limit. */
static bool take_pair(const char *text, const int64_t limits[2], int64_t out[2])
{
    char words[2][24];
    const char *dash = strchr(text, '-');
    const char *dot = dash ? strchr(dash, '.') : NULL;
    if (!dot || strcmp(dot, ".js") != 0) return false;
    size_t first = (size_t)(dash - text), second = (size_t)(dot - dash - 1);
    if (first >= sizeof words[0] || second >= sizeof words[1]) return false;
    (void)snprintf(words[0], sizeof words[0], "%.*s", (int)first, text);
    (void)snprintf(words[1], sizeof words[1], "%.*s", (int)second, dash + 1);
    for (int i = 0; i < 2; i++) out[i] = read_number(words[i], limits[i]);
    return out[0] >= 0 && out[1] >= 0;
}

static bn_serve_target route_data(const char *name)
{
    bn_serve_target out = {.kind = BN_SERVE_NOTHING};
    if (strcmp(name, "index.js") == 0) return (bn_serve_target){.kind = BN_SERVE_INDEX};
    int64_t pair[2];
    if (strncmp(name, "curves-", 7) == 0) {
        const int64_t limits[2] = {INT64_MAX / 100, INT64_MAX / 100};
        if (!take_pair(name + 7, limits, pair)) return out;
        return (bn_serve_target){.kind = BN_SERVE_CURVES, .sweep = pair[0], .metric = pair[1]};
    }
    if (strncmp(name, "run-", 4) != 0) return out;
    const char *rest = take_key(name + 4, out.run);
    if (!rest) return out;
    if (strcmp(rest, ".js") == 0) out.kind = BN_SERVE_RUN;
    const int64_t limits[2] = {30, INT32_MAX};
    if (*rest == '-' && take_pair(rest + 1, limits, pair)) {
        out.kind = BN_SERVE_CHUNK;
        out.level = (int)pair[0];
        out.chunk = pair[1];
    }
    return out;
}

static bn_serve_target route_file(const char *name)
{
    bn_serve_target out = {.kind = BN_SERVE_NOTHING};
    const char *rest = take_key(name, out.run);
    if (!rest || *rest != '/') return out;
    for (size_t i = 0; i < sizeof RUN_FILES / sizeof RUN_FILES[0]; i++) {
        if (strcmp(rest + 1, RUN_FILES[i]) != 0) continue;
        (void)snprintf(out.name, sizeof out.name, "%s", RUN_FILES[i]);
        out.kind = BN_SERVE_FILE;
    }
    return out;
}

bn_serve_target bn_serve_route(const char *path)
{
    bn_serve_target out = {.kind = BN_SERVE_NOTHING};
    if (strcmp(path, "/events") == 0) return (bn_serve_target){.kind = BN_SERVE_EVENTS};
    if (strncmp(path, "/data/", 6) == 0) return route_data(path + 6);
    if (strncmp(path, "/files/", 7) == 0) return route_file(path + 7);
    const char *name = strcmp(path, "/") == 0 ? ASSETS[0] : path + 1;
    for (size_t i = 0; path[0] == '/' && i < sizeof ASSETS / sizeof ASSETS[0]; i++) {
        if (strcmp(name, ASSETS[i]) != 0) continue;
        (void)snprintf(out.name, sizeof out.name, "%s", ASSETS[i]);
        out.kind = BN_SERVE_ASSET;
    }
    return out;
}
