#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/http.h"
#include "support/canned_server.h"
#include "support/cmocka_all.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: "

static bn_http *open_http(void)
{
    bn_error err = {0};
    bn_http *http = NULL;
    assert_int_equal(bn_http_open(&http, "bnexp/test", 1 << 20, &err), BN_OK);
    return http;
}

static const char *url_of(const canned_server *server, const char *path)
{
    static char url[256];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server->port, path);
    return url;
}

/* Asks once and joins the server. */
static bn_status ask(canned_server *server, bn_http *http, bn_http_reply *reply, bn_error *err)
{
    server->reply_count = 1;
    canned_server_start(server);
    bn_http_request request = {
        .method = "GET", .url = url_of(server, "/x?token=hush"), .timeout_s = 20};
    bn_status status = bn_http_exchange(http, &request, reply, err);
    canned_server_join(server);
    return status;
}

static void test_body_and_headers_arrive_as_given(void **state)
{
    (void)state;
    static canned_server server = {.replies = {OK_HEAD "5\r\n\r\nhello"}, .reply_count = 1};
    canned_server_start(&server);
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    bn_http_request request = {.method = "PUT",
                               .url = url_of(&server, "/a/b"),
                               .headers = {"X-Color: blue"},
                               .body = "bytes",
                               .body_bytes = 5,
                               .timeout_s = 20};
    assert_int_equal(bn_http_exchange(http, &request, &reply, &err), BN_OK);
    canned_server_join(&server);
    assert_int_equal(reply.code, 200);
    assert_string_equal(reply.body, "hello");
    assert_true(canned_server_heard(&server, 0, "PUT /a/b HTTP/1.1"));
    assert_true(canned_server_heard(&server, 0, "X-Color: blue"));
    assert_true(canned_server_heard(&server, 0, "User-Agent: bnexp/test"));
    assert_true(canned_server_heard(&server, 0, "Content-Length: 5"));
    assert_null(strstr(server.requests[0], "Content-Type"));
    assert_null(strstr(server.requests[0], "Authorization"));
    assert_non_null(strstr(server.requests[0], "\r\n\r\nbytes"));
    bn_http_close(http);
}

static void test_one_connection_carries_several_requests(void **state)
{
    (void)state;
    static canned_server server = {
        .replies = {OK_HEAD "1\r\n\r\na", OK_HEAD "0\r\n\r\n", OK_HEAD "1\r\n\r\nc"},
        .reply_count = 3};
    canned_server_start(&server);
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    const char *methods[] = {"POST", "PUT", "GET"};
    const char *bodies[] = {"a", "", "c"};
    for (int i = 0; i < 3; i++) {
        bn_http_request request = {
            .method = methods[i], .url = url_of(&server, "/"), .timeout_s = 20};
        assert_int_equal(bn_http_exchange(http, &request, &reply, &err), BN_OK);
        assert_string_equal(reply.body, bodies[i]);
    }
    canned_server_join(&server);
    assert_int_equal(server.connection_count, 1);
    assert_true(canned_server_heard(&server, 1, "Content-Length: 0"));
    bn_http_close(http);
}

static void test_error_codes_are_answers_with_their_hints(void **state)
{
    (void)state;
    static canned_server server = {
        .replies = {"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nRateLimit-Remaining: 0\r\n"
                    "RateLimit-Reset: 2.5\r\nX-Error-Code: Busy\r\nContent-Length: 0\r\n\r\n"}};
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    assert_int_equal(ask(&server, http, &reply, &err), BN_OK);
    assert_int_equal(reply.code, 429);
    assert_float_equal(reply.retry_after_s, 3, 0);
    assert_float_equal(reply.ratelimit_remaining, 0, 0);
    assert_float_equal(reply.ratelimit_reset_s, 2.5, 0);
    assert_string_equal(reply.error_code, "Busy");
    bn_http_close(http);
}

static void test_hints_are_minus_one_when_absent_or_nonsense(void **state)
{
    (void)state;
    static canned_server server = {.replies = {"HTTP/1.1 503 No\r\nRetry-After: soon\r\n"
                                               "RateLimit-Reset: -4\r\nContent-Length: 0\r\n\r\n"}};
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    assert_int_equal(ask(&server, http, &reply, &err), BN_OK);
    assert_float_equal(reply.retry_after_s, -1, 0);
    assert_float_equal(reply.ratelimit_remaining, -1, 0);
    assert_float_equal(reply.ratelimit_reset_s, -1, 0);
    assert_string_equal(reply.error_code, "");
    bn_http_close(http);
}

static void test_retry_after_may_be_a_date(void **state)
{
    (void)state;
    static canned_server server = {
        .replies = {"HTTP/1.1 503 No\r\nRetry-After: Wed, 21 Oct 2099 07:28:00 GMT\r\n"
                    "Content-Length: 0\r\n\r\n"}};
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    assert_int_equal(ask(&server, http, &reply, &err), BN_OK);
    assert_true(reply.retry_after_s > 3600);
    bn_http_close(http);
}

static void test_redirect_is_told_and_not_followed(void **state)
{
    (void)state;
    static canned_server server = {.replies = {"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/"
                                               "elsewhere\r\nContent-Length: 0\r\n\r\n"}};
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    assert_int_equal(ask(&server, http, &reply, &err), BN_OK);
    assert_int_equal(reply.code, 302);
    assert_string_equal(reply.location, "http://127.0.0.1:1/elsewhere");
    bn_http_close(http);
}

static void test_reply_cut_short_is_a_failure(void **state)
{
    (void)state;
    static canned_server server = {.replies = {OK_HEAD "10\r\n\r\nhalf"}, .hang_up = {true}};
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    assert_int_equal(ask(&server, http, &reply, &err), BN_EIO);
    bn_http_close(http);
}

static void test_reply_over_the_limit_is_a_failure(void **state)
{
    (void)state;
    static canned_server server = {.replies = {OK_HEAD "10\r\n\r\n0123456789"}};
    bn_error err = {0};
    bn_http *http = NULL;
    assert_int_equal(bn_http_open(&http, "bnexp/test", 9, &err), BN_OK);
    bn_http_reply reply;
    assert_int_equal(ask(&server, http, &reply, &err), BN_EIO);
    assert_non_null(strstr(err.text, "larger than 9 bytes"));
    bn_http_close(http);
}

static void test_failure_names_the_address_without_its_secrets(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    bn_http_request request = {.method = "GET",
                               .url = "http://api:SECRET@127.0.0.1:1/files?signature=SECRET",
                               .headers = {"Authorization: Basic SECRET"},
                               .timeout_s = 20};
    assert_int_equal(bn_http_exchange(http, &request, &reply, &err), BN_EIO);
    assert_non_null(strstr(err.text, "GET http://127.0.0.1:1/files: "));
    assert_null(strstr(err.text, "SECRET"));
    bn_http_close(http);
}

/* Connections to it are made, and never answered. */
static int listen_somewhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(listener >= 0);
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr), 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

static void test_trust_that_cannot_be_read_is_said_with_its_cause(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_http_reply reply;
    char url[64];
    int port = 0, listener = listen_somewhere(&port);
    (void)setenv("SSL_CERT_FILE", "/no/authorities", 1); /* NOLINT(concurrency-mt-unsafe): alone */
    bn_http *http = open_http();
    (void)unsetenv("SSL_CERT_FILE"); /* NOLINT(concurrency-mt-unsafe) */
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/x", port);
    bn_http_request request = {.method = "GET", .url = url, .timeout_s = 20};
    assert_int_equal(bn_http_exchange(http, &request, &reply, &err), BN_EIO);
    assert_non_null(strstr(err.text, "/no/authorities"));
    assert_non_null(strstr(err.text, "SSL_CERT_FILE may name"));
    bn_http_close(http);
    (void)close(listener);
}

static void test_only_http_is_spoken(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_http *http = open_http();
    bn_http_reply reply;
    bn_http_request request = {.method = "GET", .url = "file:///etc/passwd", .timeout_s = 20};
    assert_int_equal(bn_http_exchange(http, &request, &reply, &err), BN_EINVAL);
    bn_http_close(http);
}

int main(void)
{
    /* A proxy named in the environment has no business with 127.0.0.1. */
    (void)setenv("no_proxy", "127.0.0.1", 1); /* NOLINT(concurrency-mt-unsafe): no thread yet */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_and_headers_arrive_as_given),
        cmocka_unit_test(test_one_connection_carries_several_requests),
        cmocka_unit_test(test_error_codes_are_answers_with_their_hints),
        cmocka_unit_test(test_hints_are_minus_one_when_absent_or_nonsense),
        cmocka_unit_test(test_retry_after_may_be_a_date),
        cmocka_unit_test(test_redirect_is_told_and_not_followed),
        cmocka_unit_test(test_reply_cut_short_is_a_failure),
        cmocka_unit_test(test_reply_over_the_limit_is_a_failure),
        cmocka_unit_test(test_failure_names_the_address_without_its_secrets),
        cmocka_unit_test(test_trust_that_cannot_be_read_is_said_with_its_cause),
        cmocka_unit_test(test_only_http_is_spoken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
