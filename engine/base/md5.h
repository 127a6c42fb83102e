/* md5.h - RFC 1321 MD5, for protocols that ask for it. It protects from no attacker: what
 * identifies anything of ours is hashed with sha256.h. */
#ifndef BN_ENGINE_BASE_MD5_H
#define BN_ENGINE_BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the hash as text, its NUL included. */
enum { BN_MD5_HEX = 33, BN_MD5_BASE64 = 25 };

typedef struct bn_md5 {
    uint32_t state[4];
    uint64_t bytes;
    uint8_t block[64];
} bn_md5;

void bn_md5_init(bn_md5 *hash);
void bn_md5_add(bn_md5 *hash, const void *data, size_t size);

/* Either of these ends it. */
void bn_md5_hex(bn_md5 *hash, char out[BN_MD5_HEX]);
void bn_md5_base64(bn_md5 *hash, char out[BN_MD5_BASE64]);

#endif
