/* canned_server.h - an HTTP server of one thread that says what a test put in its mouth, byte for
 * byte, and remembers what it was asked. */
#ifndef BN_TESTS_CANNED_SERVER_H
#define BN_TESTS_CANNED_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { CANNED_MAX = 8, CANNED_REQUEST_MAX = 65536 };

typedef struct canned_server {
    int listener, port;
    pthread_t thread;
    const char *replies[CANNED_MAX]; /* raw bytes; "" closes without a word */
    bool hang_up[CANNED_MAX];        /* close the connection after this reply */
    size_t reply_count;
    char requests[CANNED_MAX][CANNED_REQUEST_MAX]; /* head and body, NUL-terminated */
    size_t request_count, connection_count;
} canned_server;

/* Serves replies[0...reply_count) in order to whoever connects, then ends. */
void canned_server_start(canned_server *server);
void canned_server_join(canned_server *server);

/* Is this line (case aside) one of the head of request i? */
bool canned_server_heard(const canned_server *server, size_t i, const char *header);

#endif
