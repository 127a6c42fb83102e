/* sha256.h - content hashes: FIPS 180-4 SHA-256. For identity (data, configuration, binaries). */
#ifndef BN_ENGINE_BASE_SHA256_H
#define BN_ENGINE_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { BN_SHA256_HEX = 65 }; /* bytes of the hash in hexadecimal, its NUL included */

typedef struct bn_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
} bn_sha256;

void bn_sha256_init(bn_sha256 *hash);
void bn_sha256_add(bn_sha256 *hash, const void *data, size_t size);
void bn_sha256_end(bn_sha256 *hash, char hex[BN_SHA256_HEX]);

/* Of a whole file, read in pieces. BN_ENOENT, BN_EIO. */
BN_MUST_CHECK bn_status bn_sha256_file(const char *path, char hex[BN_SHA256_HEX], bn_error *err);

#endif
