/* fake_http.h - an HTTP server on 127.0.0.1 in a thread of the test; one connection a request. */
#ifndef BN_TESTS_FAKE_HTTP_H
#define BN_TESTS_FAKE_HTTP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka_all.h"

typedef struct fake_reply {
    int code;            /* 0: the connection is closed without an answer */
    const char *headers; /* "X-A: b\r\n", or NULL */
    char *body;          /* freed after it is sent */
    bool cut;            /* only half of the body is sent */
} fake_reply;

/* Answers one request; head is the whole request's head, "GET /rows?... HTTP/1.1\r\n...". */
typedef void fake_answer(void *self, const char *head, fake_reply *reply);

typedef struct fake_http {
    int socket;
    char url[64];
    pthread_t thread;
    fake_answer *answer;
    void *self;
} fake_http;

static inline void fake_send(int connection, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t done = send(connection, data, bytes, MSG_NOSIGNAL);
        if (done <= 0) return;
        data += done;
        bytes -= (size_t)done;
    }
}

static inline void fake_serve(const fake_http *server, int connection)
{
    char head[8192] = "";
    size_t used = 0;
    while (used < sizeof head - 1 && !strstr(head, "\r\n\r\n")) {
        ssize_t got = recv(connection, head + used, sizeof head - 1 - used, 0);
        if (got <= 0) return;
        used += (size_t)got;
        head[used] = '\0';
    }
    fake_reply reply = {0};
    server->answer(server->self, head, &reply);
    size_t bytes = reply.body ? strlen(reply.body) : 0;
    if (reply.code > 0) {
        char lines[1024];
        int length = snprintf(lines, sizeof lines,
                              "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n"
                              "Content-Type: application/json\r\n%s\r\n",
                              reply.code, bytes, reply.headers ? reply.headers : "");
        fake_send(connection, lines, (size_t)length);
        if (bytes) fake_send(connection, reply.body, reply.cut ? bytes / 2 : bytes);
    }
    free(reply.body);
}

static inline void *fake_loop(void *self)
{
    const fake_http *server = self;
    for (;;) {
        int connection = accept(server->socket, NULL, NULL);
        if (connection < 0) return NULL;
        fake_serve(server, connection);
        (void)close(connection);
    }
}

static inline void fake_start(fake_http *server, fake_answer *answer, void *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *server = (fake_http){.answer = answer, .self = self};
    server->socket = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->socket, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->socket, 16), 0);
    assert_int_equal(getsockname(server->socket, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, fake_loop, server), 0);
}

static inline void fake_stop(fake_http *server)
{
    (void)shutdown(server->socket, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->socket);
}

#endif
