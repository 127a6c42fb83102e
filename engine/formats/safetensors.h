/* safetensors.h - named tensors in a file: the format of huggingface/safetensors, read.
 *
 *   u64 little-endian N | N bytes of JSON | the tensors' bytes, without holes
 *   {"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},...,"__metadata__":{"k":"v"}}
 *
 * Files of ours carry a CRC-32 of all their bytes in the metadata ("crc32"), so a torn or flipped
 * file is known before a byte of it is used. Files of others may lack it. A header is believed only
 * after everything in it was checked against the file: it may come from anywhere.
 */
#ifndef BN_ENGINE_FORMATS_SAFETENSORS_H
#define BN_ENGINE_FORMATS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum {
    BN_ST_DIMS_MAX = 8,
    BN_ST_HEADER_MAX = 100 * 1000 * 1000, /* bytes, as the format's own limit */
};

typedef enum bn_st_type {
    BN_ST_F64,
    BN_ST_F32,
    BN_ST_F16,
    BN_ST_BF16,
    BN_ST_I64,
    BN_ST_I32,
    BN_ST_I16,
    BN_ST_I8,
    BN_ST_U8,
    BN_ST_BOOL,
} bn_st_type;

typedef struct bn_st_tensor {
    const char *name;
    bn_st_type type;
    int dims;
    int64_t shape[BN_ST_DIMS_MAX];
    uint64_t begin, end; /* byte offsets behind the header */
} bn_st_tensor;

typedef struct bn_st_reader bn_st_reader;

/* BN_ENOENT; BN_EIO; BN_ECORRUPT says what is wrong: not safetensors, cut short, holes, overlap. */
BN_MUST_CHECK bn_status bn_st_open(bn_st_reader **out, const char *path, bn_error *err);
void bn_st_close(bn_st_reader *reader); /* NULL is fine */

/* The header alone: `size` bytes of JSON that describe data_bytes of data. For bn_st_open and for
 * who has a header from elsewhere. The reader made has no data to read. */
BN_MUST_CHECK bn_status bn_st_parse(bn_st_reader **out, const char *json, size_t size,
                                    uint64_t data_bytes, bn_error *err);

size_t bn_st_count(const bn_st_reader *reader);
const bn_st_tensor *bn_st_at(const bn_st_reader *reader, size_t index);       /* ordered by begin */
const bn_st_tensor *bn_st_find(const bn_st_reader *reader, const char *name); /* NULL: none */
const char *bn_st_meta_of(const bn_st_reader *reader, const char *key);       /* NULL: none */

/* Reads the whole file once against its checksum. BN_ECORRUPT: no checksum, or another one. */
BN_MUST_CHECK bn_status bn_st_verify(bn_st_reader *reader, bn_error *err);

/* `bytes` bytes of a tensor from its byte `offset` on. */
BN_MUST_CHECK bn_status bn_st_read(bn_st_reader *reader, const bn_st_tensor *tensor,
                                   uint64_t offset, void *out, size_t bytes, bn_error *err);

size_t bn_st_type_bytes(bn_st_type type);
const char *bn_st_type_word(bn_st_type type); /* "F32" */

#endif
