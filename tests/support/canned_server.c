#include "support/canned_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes of the whole request once its head is there, else 0. */
static size_t request_bytes(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (!end) return 0;
    size_t head = (size_t)(end - text) + 4;
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (!length || length > end) return head;
    return head + strtoul(length + 17, NULL, 10);
}

static bool hear(canned_server *server, int client)
{
    char *request = server->requests[server->request_count];
    size_t got = 0;
    for (;;) {
        size_t need = request_bytes(request);
        if (need && got >= need) break;
        ssize_t count = read(client, request + got, CANNED_REQUEST_MAX - 1 - got);
        if (count <= 0) return false;
        got += (size_t)count;
        request[got] = '\0';
    }
    server->request_count++;
    return true;
}

static void converse(canned_server *server, int client)
{
    while (server->request_count < server->reply_count && hear(server, client)) {
        size_t i = server->request_count - 1;
        const char *reply = server->replies[i];
        ssize_t count = send(client, reply, strlen(reply), MSG_NOSIGNAL);
        if (count < 0 || server->hang_up[i] || reply[0] == '\0') return;
    }
}

static void *serve(void *self)
{
    canned_server *server = self;
    while (server->request_count < server->reply_count) {
        int client = accept(server->listener, NULL, NULL);
        if (client < 0) break;
        server->connection_count++;
        converse(server, client);
        close(client);
    }
    return NULL;
}

void canned_server_start(canned_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(server->listener >= 0);
    int bad = bind(server->listener, (struct sockaddr *)&address, sizeof address);
    bad |= listen(server->listener, 8);
    bad |= getsockname(server->listener, (struct sockaddr *)&address, &size);
    bad |= pthread_create(&server->thread, NULL, serve, server);
    assert(!bad);
    (void)bad;
    server->port = ntohs(address.sin_port);
}

void canned_server_join(canned_server *server)
{
    /* shutdown wakes an accept that waits for a client who never came. */
    (void)shutdown(server->listener, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->listener);
}

bool canned_server_heard(const canned_server *server, size_t i, const char *header)
{
    const char *head = server->requests[i];
    size_t length = strlen(header);
    const char *end = strstr(head, "\r\n\r\n");
    while (head && head < end) {
        if (strncasecmp(head, header, length) == 0 && head[length] == '\r') return true;
        head = strstr(head, "\r\n");
        if (head) head += 2;
    }
    return false;
}
