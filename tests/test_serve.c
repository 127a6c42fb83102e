#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "reporters/serve.h"
#include "support/store_home.h"

/* ---- policy ---- */

static void test_places_are_read_or_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address; /* NULL: refused */
        int port;
    } cases[] = {
        {"", "127.0.0.1", 0},          {"8080", "127.0.0.1", 8080}, {"localhost:9", "127.0.0.1", 9},
        {"0.0.0.0:80", "0.0.0.0", 80}, {"[::1]:81", "::1", 81},     {"::1", "::1", 0},
        {"127.0.0.1", "127.0.0.1", 0}, {"example.org:80", NULL, 0}, {"127.0.0.1:99999", NULL, 0},
        {"127.0.0.1:x", NULL, 0},      {"[::1", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bn_serve_place place;
        bn_error err = {0};
        bn_status status = bn_serve_place_read(cases[i].text, &place, &err);
        assert_int_equal(status, cases[i].address ? BN_OK : BN_EINVAL);
        if (!cases[i].address) continue;
        assert_string_equal(place.address, cases[i].address);
        assert_int_equal(place.port, cases[i].port);
    }
}

static void test_only_our_names_are_our_host(void **state)
{
    (void)state;
    const bn_serve_place local = {"127.0.0.1", 8080};
    const bn_serve_place all = {"0.0.0.0", 8080};
    assert_true(bn_serve_host_fits("127.0.0.1:8080", &local, "forge"));
    assert_true(bn_serve_host_fits("LOCALHOST:8080", &local, "forge"));
    assert_false(bn_serve_host_fits(NULL, &local, "forge"));
    assert_false(bn_serve_host_fits("127.0.0.1:81", &local, "forge"));
    assert_false(bn_serve_host_fits("127.0.0.1", &local, "forge"));
    assert_false(bn_serve_host_fits("evil.example:8080", &local, "forge"));
    assert_false(bn_serve_host_fits("127.0.0.1.evil.example:8080", &local, "forge"));
    assert_false(bn_serve_host_fits("forge:8080", &local, "forge"));
    assert_true(bn_serve_host_fits("forge:8080", &all, "forge"));
    assert_true(bn_serve_host_fits("10.1.2.3:8080", &all, "forge"));
    assert_false(bn_serve_host_fits("evil.example:8080", &all, "forge"));
}

static void test_no_path_leads_anywhere_else(void **state)
{
    (void)state;
    static const char *const nowhere[] = {"",
                                          "/../bnexp.db",
                                          "/data/../bnexp.db",
                                          "/data/run-abcdefg.js",
                                          "/data/run-ABCDEFGH.js",
                                          "/data/run-abcdefgh-0-.js",
                                          "/data/run-abcdefgh-31-0.js",
                                          "/data/run-abcdefgh-0-99999999999.js",
                                          "/data/run-abcdefgh-0-0.js/",
                                          "/files/abcdefgh/../../bnexp.db",
                                          "/files/abcdefgh/checkpoint",
                                          "/files/abcdefgh/",
                                          "//index.html",
                                          "/events/"};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        assert_int_equal(bn_serve_route(nowhere[i]).kind, BN_SERVE_NOTHING);
    }
    bn_serve_target chunk = bn_serve_route("/data/run-abcdefg1-2-30.js");
    assert_true(chunk.kind == BN_SERVE_CHUNK && chunk.level == 2 && chunk.chunk == 30);
    bn_serve_target curves = bn_serve_route("/data/curves-3-12.js");
    assert_true(curves.kind == BN_SERVE_CURVES && curves.sweep == 3 && curves.metric == 12);
    assert_int_equal(bn_serve_route("/").kind, BN_SERVE_ASSET);
    assert_int_equal(bn_serve_route("/files/abcdefgh/stderr.log").kind, BN_SERVE_FILE);
}

static void test_a_cookie_is_found_among_others(void **state)
{
    (void)state;
    char value[8];
    assert_true(bn_serve_cookie("a=1; bnexp=42; c=3", "bnexp", value, sizeof value));
    assert_string_equal(value, "42");
    assert_false(bn_serve_cookie("xbnexp=42", "bnexp", value, sizeof value));
    assert_false(bn_serve_cookie("bnexp=1234567890", "bnexp", value, sizeof value));
    assert_false(bn_serve_cookie(NULL, "bnexp", value, sizeof value));
    assert_false(bn_serve_token_fits(NULL, "42"));
    assert_false(bn_serve_token_fits("4", "42"));
    assert_true(bn_serve_token_fits("42", "42"));
}

/* ---- the server ---- */

typedef struct fixture {
    char home[BN_PATH_MAX];
    bn_store *store;
    bn_run run;
    bn_serve *serve;
    int port;
} fixture;

static void serve_at(fixture *at, const char *address)
{
    bn_error err = {0};
    bn_serve_job job = {.home = at->home};
    ASSERT_OK(bn_serve_place_read(address, &job.place, &err));
    ASSERT_OK(bn_serve_open(&at->serve, &job, &err));
    at->port = (int)strtol(strrchr(bn_serve_url(at->serve), ':') + 1, NULL, 10);
}

static int setup(void **state)
{
    static fixture at;
    bn_error err = {0};
    home_make(at.home);
    at.store = home_open(at.home, BN_STORE_WRITE);
    at.run = home_run(at.store, home_sweep(at.store, "lr"), 0);
    ASSERT_OK(home_append(at.store, at.run.id, 0, 1000, &err));
    at.serve = NULL;
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    bn_serve_close(at->serve);
    bn_store_close(at->store);
    home_remove(at->home);
    return 0;
}

/* A connection that has sent these words; the caller closes it. */
static int begin_talk(const fixture *at, const char *words)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)at->port)};
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr), 1);
    int line = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(line >= 0);
    assert_int_equal(connect(line, (struct sockaddr *)&address, sizeof address), 0);
    struct timeval patience = {.tv_sec = 40};
    (void)setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(send(line, words, strlen(words), 0), strlen(words));
    return line;
}

/* Sends the words and returns what comes back until the server closes or `stop` is in it. */
static char *talk(const fixture *at, const char *words, const char *stop)
{
    static char reply[1 << 20];
    int line = begin_talk(at, words);
    size_t length = 0;
    ssize_t got;
    reply[0] = '\0';
    while (length < sizeof reply - 1 &&
           (got = recv(line, reply + length, sizeof reply - 1 - length, 0)) > 0) {
        length += (size_t)got;
        reply[length] = '\0';
        if (stop && strstr(reply, stop)) break;
    }
    (void)close(line);
    return reply;
}

static char *get(const fixture *at, const char *path, const char *host, const char *more)
{
    char words[1024];
    (void)snprintf(words, sizeof words,
                   "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n%s\r\n", path, host,
                   at->port, more);
    return talk(at, words, NULL);
}

static void assert_code(const char *reply, int code)
{
    char line[16];
    (void)snprintf(line, sizeof line, "HTTP/1.1 %d", code);
    if (strncmp(reply, line, strlen(line)) != 0) fail_msg("wanted %d: %.200s", code, reply);
}

static void test_the_page_and_its_data_are_served(void **state)
{
    fixture *at = *state;
    char path[64];
    serve_at(at, "");
    assert_non_null(strstr(get(at, "/", "127.0.0.1", ""), "<meta name=\"generator\""));
    const char *index = get(at, "/data/index.js", "localhost", "");
    assert_code(index, 200);
    assert_non_null(strstr(index, "Content-Security-Policy: default-src 'none'"));
    assert_non_null(strstr(index, "Cross-Origin-Resource-Policy: same-origin"));
    assert_non_null(strstr(index, at->run.key));
    (void)snprintf(path, sizeof path, "/data/run-%s-0-0.js", at->run.key);
    assert_non_null(strstr(get(at, path, "127.0.0.1", ""), "\"total\":1000"));
    (void)snprintf(path, sizeof path, "/data/run-%s-5-0.js", at->run.key);
    assert_code(get(at, path, "127.0.0.1", ""), 404);
}

static void test_a_stranger_gets_nothing(void **state)
{
    fixture *at = *state;
    char words[128];
    serve_at(at, "");
    assert_code(get(at, "/", "evil.example", ""), 403);
    assert_code(get(at, "/bnexp.db", "127.0.0.1", ""), 404);
    (void)snprintf(words, sizeof words,
                   "POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 3\r\n"
                   "Connection: close\r\n\r\nabc",
                   at->port);
    const char *reply = talk(at, words, NULL);
    assert_code(reply, 405);
    assert_non_null(strstr(reply, "Allow: GET, HEAD"));
}

static void test_files_outside_the_home_stay_there(void **state)
{
    fixture *at = *state;
    char folder[2 * BN_PATH_MAX], link[2 * BN_PATH_MAX + 16], path[64];
    serve_at(at, "");
    (void)snprintf(folder, sizeof folder, "%s/sweep", at->home);
    (void)mkdir(folder, 0755);
    (void)snprintf(folder, sizeof folder, "%s/%s", at->home, at->run.dir);
    (void)mkdir(folder, 0755);
    (void)snprintf(link, sizeof link, "%s/stderr.log", folder);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    (void)snprintf(path, sizeof path, "/files/%s/stderr.log", at->run.key);
    assert_code(get(at, path, "127.0.0.1", ""), 404);
    (void)unlink(link);
    bn_error err = {0};
    ASSERT_OK(bn_file_write(link, "a word\n", 7, 0644, &err));
    assert_non_null(strstr(get(at, path, "127.0.0.1", ""), "a word"));
    (void)unlink(link);
    (void)rmdir(folder);
    (void)snprintf(folder, sizeof folder, "%s/sweep", at->home);
    (void)rmdir(folder);
}

static void test_beyond_loopback_nothing_without_the_token(void **state)
{
    fixture *at = *state;
    char path[128], cookie[128];
    serve_at(at, "0.0.0.0:0");
    const char *token = strstr(bn_serve_url(at->serve), "token=");
    assert_non_null(token);
    assert_code(get(at, "/", "127.0.0.1", ""), 403);
    assert_code(get(at, "/data/index.js", "127.0.0.1", ""), 403);
    assert_code(get(at, "/?token=0123456789abcdef0123456789abcdef", "127.0.0.1", ""), 403);
    (void)snprintf(path, sizeof path, "/?%s", token);
    const char *reply = get(at, path, "127.0.0.1", "");
    assert_code(reply, 303);
    assert_non_null(strstr(reply, "HttpOnly; SameSite=Strict"));
    (void)snprintf(cookie, sizeof cookie, "Cookie: bnexp=%s\r\n", token + strlen("token="));
    assert_code(get(at, "/", "127.0.0.1", cookie), 200);
}

static void test_news_come_when_a_run_has_measured_more(void **state)
{
    fixture *at = *state;
    char words[128], first[64], again[64];
    bn_error err = {0};
    serve_at(at, "");
    (void)snprintf(words, sizeof words, "GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                   at->port);
    const char *reply = strstr(talk(at, words, "\n\n"), "data: ");
    assert_non_null(reply);
    (void)snprintf(first, sizeof first, "%.22s", reply);
    ASSERT_OK(home_append(at->store, at->run.id, 1000, 1, &err));
    reply = strstr(talk(at, words, "\n\n"), "data: ");
    assert_non_null(reply);
    (void)snprintf(again, sizeof again, "%.22s", reply);
    assert_string_not_equal(first, again);
}

static void test_half_open_connections_do_not_keep_the_page_out(void **state)
{
    enum { MANY = 128 };
    fixture *at = *state;
    int lines[MANY];
    serve_at(at, "");
    for (int i = 0; i < MANY; i++) lines[i] = begin_talk(at, "GET / HTTP/1.1\r\nHos");
    assert_code(get(at, "/", "127.0.0.1", ""), 200);
    for (int i = 0; i < MANY; i++) {
        char byte;
        assert_int_equal(recv(lines[i], &byte, 1, 0), 0); /* given up, long before our patience */
        (void)close(lines[i]);
    }
}

static void test_a_home_without_database_is_not_served(void **state)
{
    (void)state;
    bn_serve *serve = NULL;
    bn_error err = {0};
    bn_serve_job job = {.home = "/tmp/bn_no_such_home"};
    ASSERT_OK(bn_serve_place_read("", &job.place, &err));
    assert_int_equal(bn_serve_open(&serve, &job, &err), BN_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_read_or_refused_by_name),
        cmocka_unit_test(test_only_our_names_are_our_host),
        cmocka_unit_test(test_no_path_leads_anywhere_else),
        cmocka_unit_test(test_a_cookie_is_found_among_others),
        cmocka_unit_test_setup_teardown(test_the_page_and_its_data_are_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stranger_gets_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_outside_the_home_stay_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beyond_loopback_nothing_without_the_token, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_news_come_when_a_run_has_measured_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_half_open_connections_do_not_keep_the_page_out, setup,
                                        teardown),
        cmocka_unit_test(test_a_home_without_database_is_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
