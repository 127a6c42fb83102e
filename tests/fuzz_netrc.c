/* fuzz_netrc.c - any bytes as a netrc file: a password is a word of it, or there is none. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    bn_error err = {0};
    bn_secret found;
    bn_status status = bn_credentials_netrc(&found, text, "h", &err);
    assert(status == BN_OK || status == BN_ENOENT);
    if (status == BN_OK) {
        char header[BN_AUTHORIZATION_MAX];
        assert(strlen(found.text) <= strlen(text));
        bn_credentials_header(header, "api", &found);
        assert(!strpbrk(header, "\r\n"));
    }
    free(text);
    return 0;
}
