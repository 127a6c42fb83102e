#include "reporters/serve.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "reporters/pyramid.h"
#include "reporters/site_assets.h"
#include "reporters/site_curves.h"
#include "reporters/site_index.h"
#include "reporters/site_run.h"

enum {
    CONNECTIONS_MAX = 256,            /* one more is closed at once */
    CONNECTIONS_OF_ONE_MAX = 48,      /* of one address, beyond loopback: the others get in, too */
    CONNECTION_BYTES_MAX = 64 * 1024, /* request line and headers together must fit */
    ASKING_S_MAX = 5,                 /* without a byte, until a request's headers are there */
    IDLE_S_MAX = 60,                  /* without a byte, of an answer on its way */
    PATH_BYTES_MAX = 256,
    POLL_MS = 500,     /* how often the database is looked at while somebody listens */
    STILL_HERE_S = 15, /* a comment, so that a broken connection is noticed */
};

static const char COOKIE[] = "bnexp";

struct bn_serve {
    bn_serve_job job;
    struct MHD_Daemon *daemon;
    char machine[BN_SERVE_ADDRESS_MAX];
    char token[BN_SERVE_TOKEN_HEX]; /* "" on loopback */
    char url[160];
    atomic_bool stop;
};

static const struct {
    const char *name, *value;
} HEADERS[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
     "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    /* The data files are scripts; without this any page could run them and listen. */
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
};

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned code,
                                     struct MHD_Response *response, const char *type)
{
    if (!response) return MHD_NO;
    for (size_t i = 0; i < sizeof HEADERS / sizeof HEADERS[0]; i++) {
        (void)MHD_add_response_header(response, HEADERS[i].name, HEADERS[i].value);
    }
    (void)MHD_add_response_header(response, "Content-Type", type);
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED) { /* RFC 9110, 15.5.6 */
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* Gives the text away. */
static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned code, bn_text *text,
                                 const char *type)
{
    struct MHD_Response *response =
        text->failed
            ? NULL
            : MHD_create_response_from_buffer_with_free_callback(text->length, text->data, free);
    if (!response) bn_text_release(text);
    return send_response(connection, code, response, type);
}

static enum MHD_Result send_words(struct MHD_Connection *connection, unsigned code,
                                  const char *words)
{
    bn_text text = {0};
    bn_text_add(&text, words);
    return send_text(connection, code, &text, "text/plain; charset=utf-8");
}

static enum MHD_Result send_failure(struct MHD_Connection *connection, const bn_error *err)
{
    bool missing = err->status == BN_ENOENT;
    return send_words(connection, missing ? MHD_HTTP_NOT_FOUND : MHD_HTTP_INTERNAL_SERVER_ERROR,
                      missing ? "not here\n" : "the home cannot be read just now\n");
}

static enum MHD_Result send_asset(struct MHD_Connection *connection, const char *name)
{
    size_t count = 0;
    const bn_site_asset *assets = bn_site_assets(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(assets[i].name, name) != 0) continue;
        bn_text text = {0};
        bn_text_add_bytes(&text, (const char *)assets[i].data, assets[i].size_bytes);
        return send_text(connection, MHD_HTTP_OK, &text, assets[i].type);
    }
    return send_words(connection, MHD_HTTP_NOT_FOUND, "not here\n");
}

/* ---- data files ---- */

static bn_status make_index(const bn_serve *serve, bn_store *store, bn_text *text, bn_error *err)
{
    bn_site_table table = {0};
    bn_site_about about = {.knobs = serve->job.knobs,
                           .knob_count = serve->job.knob_count,
                           .now_s = bn_clock_wall_s(),
                           .live = true,
                           .files = ""};
    bn_status status = bn_site_table_read(store, &table, err);
    if (status == BN_OK) status = bn_site_index_text(store, &table, &about, text, err);
    bn_site_table_release(&table);
    return status;
}

/* A run by its whole key; names and prefixes, which people may use, are no addresses. */
static bn_status find_run(bn_store *store, const char *key, bn_run *run, bn_error *err)
{
    if (bn_run_find(store, key, run, err) != BN_OK) return err->status;
    if (strcmp(run->key, key) == 0) return BN_OK;
    return bn_fail(err, BN_ENOENT, "there is no run '%s'", key);
}

static bn_status make_run(const bn_serve *serve, bn_store *store, const bn_serve_target *target,
                          bn_text *text, bn_error *err)
{
    bn_run run;
    bn_site_history history = {0};
    bn_site_folder folder = {0};
    if (find_run(store, target->run, &run, err) != BN_OK) return err->status;
    if (bn_site_history_read(store, &run, &history, err) != BN_OK) return err->status;
    int top = bn_pyramid_top(history.records);
    bool whole = target->kind == BN_SERVE_RUN;
    bn_site_part part = {whole ? top : target->level, whole ? 0 : target->chunk};
    bool there =
        whole || (part.level < top && part.chunk < bn_pyramid_chunks(history.records, part.level));
    if (!there) (void)bn_fail(err, BN_ENOENT, "run %s has no such part", run.key);
    if (whole) there = bn_site_folder_read(store, serve->job.home, &run, &folder, err) == BN_OK;
    bn_status status =
        there ? bn_site_run_text(&history, part, whole ? &folder : NULL, text, err) : err->status;
    bn_site_folder_release(&folder);
    bn_site_history_release(&history);
    return status;
}

static enum MHD_Result send_data(const bn_serve *serve, struct MHD_Connection *connection,
                                 const bn_serve_target *target)
{
    bn_error err = {0};
    bn_text text = {0};
    bn_store *store = NULL;
    bn_status status = bn_store_open(&store, serve->job.home, BN_STORE_READ, &err);
    if (status == BN_OK && target->kind == BN_SERVE_INDEX) {
        status = make_index(serve, store, &text, &err);
    } else if (status == BN_OK && target->kind == BN_SERVE_CURVES) {
        status = bn_site_curves_text(store, target->sweep, target->metric, &text, &err);
    } else if (status == BN_OK) {
        status = make_run(serve, store, target, &text, &err);
    }
    bn_store_close(store);
    if (status == BN_OK) {
        return send_text(connection, MHD_HTTP_OK, &text, "text/javascript; charset=utf-8");
    }
    bn_text_release(&text);
    return send_failure(connection, &err);
}

/* ---- files of a run's folder ---- */

/* Opens <home>/<run's folder>/<name>; no part of it may be a link that leads elsewhere. -1: not
 * there, or not a file inside the home. */
static int open_inside(const char *home, const char *dir, const char *name, int64_t *size_bytes)
{
    char folder[BN_PATH_MAX], path[BN_PATH_MAX];
    bn_error ignored = {0};
    if (dir[0] == '/' || bn_path_join(folder, home, dir, &ignored) != BN_OK) return -1;
    if (bn_path_join(path, folder, name, &ignored) != BN_OK) return -1;
    char *real_home = realpath(home, NULL);
    char *real_path = realpath(path, NULL);
    size_t length = real_home ? strlen(real_home) : 0;
    bool inside = real_home && real_path && strncmp(real_path, real_home, length) == 0 &&
                  real_path[length] == '/';
    int file = inside ? open(real_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    free(real_home);
    free(real_path);
    struct stat about;
    if (file >= 0 && (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))) {
        (void)close(file);
        return -1;
    }
    if (file >= 0) *size_bytes = about.st_size;
    return file;
}

static enum MHD_Result send_file(const bn_serve *serve, struct MHD_Connection *connection,
                                 const bn_serve_target *target)
{
    bn_error err = {0};
    bn_store *store = NULL;
    bn_run run;
    bn_status status = bn_store_open(&store, serve->job.home, BN_STORE_READ, &err);
    if (status == BN_OK) status = find_run(store, target->run, &run, &err);
    bn_store_close(store);
    if (status != BN_OK) return send_failure(connection, &err);
    int64_t size_bytes = 0;
    int file = open_inside(serve->job.home, run.dir, target->name, &size_bytes);
    if (file < 0) return send_words(connection, MHD_HTTP_NOT_FOUND, "not here\n");
    struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)size_bytes, file);
    if (!response) (void)close(file);
    return send_response(connection, MHD_HTTP_OK, response, "text/plain; charset=utf-8");
}

/* ---- news ---- */

typedef struct listener {
    const bn_serve *serve;
    bn_store *store;
    uint64_t seen; /* of what was told last */
    bool told;
    double spoke_s;
} listener;

/* A number that changes with any run's state or records, and with any sweep's state. */
static bn_status look(bn_store *store, uint64_t *mark, bn_error *err)
{
    bn_run *runs = NULL;
    bn_sweep *sweeps = NULL;
    size_t run_count = 0, sweep_count = 0;
    uint64_t hash = 14695981039346656037U; /* FNV-1a, over whole numbers */
    bn_status status = bn_run_list(store, 0, &runs, &run_count, err);
    if (status == BN_OK) status = bn_sweep_list(store, &sweeps, &sweep_count, err);
    for (size_t i = 0; i < run_count; i++) {
        hash = (hash ^ (uint64_t)runs[i].id) * 1099511628211U;
        hash = (hash ^ (uint64_t)runs[i].next_seq) * 1099511628211U;
        hash = (hash ^ (uint64_t)runs[i].state) * 1099511628211U;
    }
    for (size_t i = 0; i < sweep_count; i++) {
        hash = (hash ^ (uint64_t)sweeps[i].state) * 1099511628211U;
    }
    free(runs);
    free(sweeps);
    *mark = hash;
    return status;
}

/* Waits for news and says it; a comment when there was none for long. Each listener has a thread.
 */
static ssize_t say_news(void *self, uint64_t position, char *out, size_t room)
{
    listener *of = self;
    (void)position;
    while (!atomic_load(&of->serve->stop)) {
        bn_error err = {0};
        uint64_t mark = 0;
        int said = 0;
        if (look(of->store, &mark, &err) != BN_OK) return MHD_CONTENT_READER_END_WITH_ERROR;
        if (!of->told || mark != of->seen) {
            said = snprintf(out, room, "data: %016llx\n\n", (unsigned long long)mark);
        } else if (bn_clock_mono_s() - of->spoke_s > STILL_HERE_S) {
            said = snprintf(out, room, ": still here\n\n");
        }
        if (said > 0 && (size_t)said < room) {
            of->seen = mark;
            of->told = true;
            of->spoke_s = bn_clock_mono_s();
            return said;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static void listener_free(void *self)
{
    listener *of = self;
    bn_store_close(of->store);
    free(of);
}

static enum MHD_Result send_events(const bn_serve *serve, struct MHD_Connection *connection)
{
    bn_error err = {0};
    listener *of = calloc(1, sizeof *of);
    if (!of) return MHD_NO;
    of->serve = serve;
    if (bn_store_open(&of->store, serve->job.home, BN_STORE_READ, &err) != BN_OK) {
        free(of);
        return send_failure(connection, &err);
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 512, say_news, of, listener_free);
    if (!response) listener_free(of);
    return send_response(connection, MHD_HTTP_OK, response, "text/event-stream");
}

/* ---- who may ask ---- */

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Beyond loopback: a cookie with the token, got by an address with the token. */
static bool may_ask(const bn_serve *serve, struct MHD_Connection *connection)
{
    char cookie[BN_SERVE_TOKEN_HEX];
    if (!serve->token[0]) return true;
    const char *header = header_of(connection, MHD_HTTP_HEADER_COOKIE);
    return bn_serve_cookie(header, COOKIE, cookie, sizeof cookie) &&
           bn_serve_token_fits(cookie, serve->token);
}

/* The address with the token leads to the one without, so that it stays out of history. */
static enum MHD_Result let_in(const bn_serve *serve, struct MHD_Connection *connection)
{
    char cookie[128];
    const char *given = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "token");
    if (!bn_serve_token_fits(given, serve->token)) {
        return send_words(connection, MHD_HTTP_FORBIDDEN,
                          "open the address that bnexp printed, token included\n");
    }
    (void)snprintf(cookie, sizeof cookie, "%s=%s; HttpOnly; SameSite=Strict; Path=/", COOKIE,
                   serve->token);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, cookie);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, "/");
    return send_response(connection, MHD_HTTP_SEE_OTHER, response, "text/plain");
}

static enum MHD_Result dispatch(const bn_serve *serve, struct MHD_Connection *connection,
                                const char *path)
{
    if (!may_ask(serve, connection)) return let_in(serve, connection);
    bn_serve_target target = bn_serve_route(path);
    switch (target.kind) {
    case BN_SERVE_ASSET:
        return send_asset(connection, target.name);
    case BN_SERVE_INDEX:
    case BN_SERVE_RUN:
    case BN_SERVE_CHUNK:
    case BN_SERVE_CURVES:
        return send_data(serve, connection, &target);
    case BN_SERVE_FILE:
        return send_file(serve, connection, &target);
    case BN_SERVE_EVENTS:
        return send_events(serve, connection);
    case BN_SERVE_NOTHING:
        break;
    }
    return send_words(connection, MHD_HTTP_NOT_FOUND, "not here\n");
}

static enum MHD_Result set_patience(struct MHD_Connection *connection, unsigned seconds)
{
    return MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/* The connection is kept for a next request, which must come soon again. */
static void answered(void *self, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode how)
{
    (void)self;
    *state = NULL;
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK) (void)set_patience(connection, ASKING_S_MAX);
}

/* libmicrohttpd's signature. */
/* NOLINTBEGIN(readability-function-size,readability-non-const-parameter) */
static enum MHD_Result answer(void *self, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    const bn_serve *serve = self;
    (void)version;
    (void)upload;
    /* Answered before a body is read: nothing here takes one. */
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return send_words(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    }
    if (*upload_bytes > 0) return MHD_NO;
    if (!*state) {
        *state = self; /* the first call of a request only has its headers */
        return set_patience(connection, IDLE_S_MAX);
    }
    if (strlen(path) > PATH_BYTES_MAX) return send_words(connection, MHD_HTTP_URI_TOO_LONG, "\n");
    const char *host = header_of(connection, MHD_HTTP_HEADER_HOST);
    if (!bn_serve_host_fits(host, &serve->job.place, serve->machine)) {
        return send_words(connection, MHD_HTTP_FORBIDDEN, "this is not the host that you named\n");
    }
    return dispatch(serve, connection, path);
}
/* NOLINTEND(readability-function-size,readability-non-const-parameter) */

/* ---- life ---- */

static bn_status make_token(char token[BN_SERVE_TOKEN_HEX], bn_error *err)
{
    unsigned char bits[(BN_SERVE_TOKEN_HEX - 1) / 2];
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits) {
        return bn_fail_errno(err, "random bits for a token");
    }
    for (size_t i = 0; i < sizeof bits; i++) {
        (void)snprintf(token + 2 * i, 3, "%02x", bits[i]);
    }
    return BN_OK;
}

static bn_status start(bn_serve *serve, bn_error *err)
{
    struct sockaddr_storage address;
    const bn_serve_place *place = &serve->job.place;
    bool six = strchr(place->address, ':') != NULL;
    if (!bn_serve_place_socket(place, &address)) {
        return bn_fail(err, BN_EINVAL, "'%s' is no numeric address", place->address);
    }
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | (six ? (unsigned)MHD_USE_IPv6 : 0U);
    /* On loopback everybody has the same address. */
    unsigned of_one = bn_serve_is_loopback(place) ? 0 : CONNECTIONS_OF_ONE_MAX;
    serve->daemon = MHD_start_daemon(
        flags, (uint16_t)place->port, NULL, NULL, answer, serve, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, of_one, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ASKING_S_MAX, MHD_OPTION_NOTIFY_COMPLETED, answered, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES_MAX, MHD_OPTION_END);
    if (!serve->daemon) return bn_fail_errno(err, "listen on %s:%d", place->address, place->port);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(serve->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info) serve->job.place.port = info->port;
    return BN_OK;
}

static void name_url(bn_serve *serve)
{
    const bn_serve_place *place = &serve->job.place;
    bool six = strchr(place->address, ':') != NULL;
    bool all = strcmp(place->address, "0.0.0.0") == 0 || strcmp(place->address, "::") == 0;
    const char *host = all && serve->machine[0] ? serve->machine : place->address;
    bool brackets = six && host == place->address;
    (void)snprintf(serve->url, sizeof serve->url, "http://%s%s%s:%d/%s%s", brackets ? "[" : "",
                   host, brackets ? "]" : "", place->port, serve->token[0] ? "?token=" : "",
                   serve->token);
}

bn_status bn_serve_open(bn_serve **out, const bn_serve_job *job, bn_error *err)
{
    bn_store *store = NULL;
    bn_serve *serve = calloc(1, sizeof *serve);
    if (!serve) return bn_fail(err, BN_ENOMEM, "no memory to serve");
    serve->job = *job;
    atomic_init(&serve->stop, false);
    if (gethostname(serve->machine, sizeof serve->machine) != 0) serve->machine[0] = '\0';
    serve->machine[sizeof serve->machine - 1] = '\0';
    bn_status status = bn_store_open(&store, job->home, BN_STORE_READ, err);
    bn_store_close(store);
    if (status == BN_OK && !bn_serve_is_loopback(&job->place)) {
        status = make_token(serve->token, err);
    }
    if (status == BN_OK) status = start(serve, err);
    if (status != BN_OK) {
        bn_serve_close(serve);
        return status;
    }
    name_url(serve);
    *out = serve;
    return BN_OK;
}

void bn_serve_close(bn_serve *serve)
{
    if (!serve) return;
    atomic_store(&serve->stop, true);
    if (serve->daemon) MHD_stop_daemon(serve->daemon);
    free(serve);
}

const char *bn_serve_url(const bn_serve *serve)
{
    return serve->url;
}
