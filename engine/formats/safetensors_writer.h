/* safetensors_writer.h - a safetensors file written in one pass, checksummed, whole or not at all.
 */
#ifndef BN_ENGINE_FORMATS_SAFETENSORS_WRITER_H
#define BN_ENGINE_FORMATS_SAFETENSORS_WRITER_H

#include "engine/formats/safetensors.h"

typedef struct bn_st_meta {
    const char *key, *value;
} bn_st_meta;

typedef struct bn_st_writer bn_st_writer;

/* Writes beside path and puts it in path's place at the end: a crash leaves the old file.
 *   tensors  in the order they will be written; name, type, dims and shape are read */
typedef struct bn_st_plan {
    const bn_st_tensor *tensors;
    size_t count;
    const bn_st_meta *meta;
    size_t meta_count;
} bn_st_plan;
BN_MUST_CHECK bn_status bn_st_create(bn_st_writer **out, const char *path, const bn_st_plan *plan,
                                     bn_error *err);

/* The next bytes of the data; errors stick until bn_st_commit. */
void bn_st_append(bn_st_writer *writer, const void *data, size_t bytes);

/* Everything on disk under its name, or nothing; frees the writer either way. */
BN_MUST_CHECK bn_status bn_st_commit(bn_st_writer *writer, bn_error *err);

/* Gives up: nothing is left on disk. NULL is fine. */
void bn_st_abandon(bn_st_writer *writer);

#endif
