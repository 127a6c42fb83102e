#include "engine/formats/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "engine/base/file.h"

enum { PREFIX_BYTES = 8, CHUNK_BYTES = 1 << 20, CRC_DIGITS = 8 };

struct bn_st_reader {
    int fd; /* -1: parsed only */
    char path[BN_PATH_MAX];
    json_t *header; /* owns every name and metadata string */
    bn_st_tensor *tensors;
    size_t count;
    uint64_t data_at, data_bytes;
};

static const struct type_row {
    const char *word;
    size_t bytes;
} TYPES[] = {
    [BN_ST_F64] = {"F64", 8},   [BN_ST_F32] = {"F32", 4}, [BN_ST_F16] = {"F16", 2},
    [BN_ST_BF16] = {"BF16", 2}, [BN_ST_I64] = {"I64", 8}, [BN_ST_I32] = {"I32", 4},
    [BN_ST_I16] = {"I16", 2},   [BN_ST_I8] = {"I8", 1},   [BN_ST_U8] = {"U8", 1},
    [BN_ST_BOOL] = {"BOOL", 1},
};
enum { TYPE_COUNT = sizeof TYPES / sizeof TYPES[0] };

size_t bn_st_type_bytes(bn_st_type type)
{
    return TYPES[type].bytes;
}

const char *bn_st_type_word(bn_st_type type)
{
    return TYPES[type].word;
}

static bn_status read_type(bn_st_tensor *tensor, json_t *row, bn_error *err)
{
    const char *word = json_string_value(json_object_get(row, "dtype"));
    for (int i = 0; word && i < TYPE_COUNT; i++) {
        if (strcmp(TYPES[i].word, word) != 0) continue;
        tensor->type = (bn_st_type)i;
        return BN_OK;
    }
    return bn_fail(err, BN_ECORRUPT, "tensor '%.80s' has no known dtype", tensor->name);
}

/* Dimensions, and the bytes that they ask for; a product that overflows is a lie. */
static bn_status read_shape(bn_st_tensor *tensor, json_t *row, uint64_t *bytes, bn_error *err)
{
    json_t *shape = json_object_get(row, "shape");
    size_t dims = json_array_size(shape);
    if (!json_is_array(shape) || dims > BN_ST_DIMS_MAX) {
        return bn_fail(err, BN_ECORRUPT, "tensor '%.80s' has no shape of at most %d dimensions",
                       tensor->name, BN_ST_DIMS_MAX);
    }
    *bytes = TYPES[tensor->type].bytes;
    tensor->dims = (int)dims;
    for (size_t i = 0; i < dims; i++) {
        json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0 ||
            __builtin_mul_overflow(*bytes, (uint64_t)json_integer_value(size), bytes)) {
            return bn_fail(err, BN_ECORRUPT, "tensor '%.80s' has an impossible shape",
                           tensor->name);
        }
        tensor->shape[i] = (int64_t)json_integer_value(size);
    }
    return BN_OK;
}

static bn_status read_tensor(bn_st_tensor *tensor, const char *name, json_t *row,
                             uint64_t data_bytes, bn_error *err)
{
    uint64_t bytes = 0;
    tensor->name = name;
    if (read_type(tensor, row, err) != BN_OK) return err->status;
    if (read_shape(tensor, row, &bytes, err) != BN_OK) return err->status;
    json_t *offsets = json_object_get(row, "data_offsets");
    json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    bool sound = json_array_size(offsets) == 2 && json_is_integer(begin) && json_is_integer(end) &&
                 json_integer_value(begin) >= 0 &&
                 json_integer_value(end) >= json_integer_value(begin);
    if (!sound) {
        return bn_fail(err, BN_ECORRUPT, "tensor '%.80s' has no data_offsets [begin, end]", name);
    }
    tensor->begin = (uint64_t)json_integer_value(begin);
    tensor->end = (uint64_t)json_integer_value(end);
    if (tensor->end > data_bytes) {
        return bn_fail(err, BN_ECORRUPT, "cut short: tensor '%.80s' ends at byte %llu of %llu",
                       name, (unsigned long long)tensor->end, (unsigned long long)data_bytes);
    }
    if (tensor->end - tensor->begin != bytes) {
        return bn_fail(err, BN_ECORRUPT, "tensor '%.80s' has %llu bytes, its shape needs %llu",
                       name, (unsigned long long)(tensor->end - tensor->begin),
                       (unsigned long long)bytes);
    }
    return BN_OK;
}

static bn_status check_metadata(json_t *metadata, bn_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(metadata)) return bn_fail(err, BN_ECORRUPT, "__metadata__ is no object");
    json_object_foreach(metadata, key, value)
    {
        if (json_is_string(value)) continue;
        return bn_fail(err, BN_ECORRUPT, "metadata '%.80s' is no string", key);
    }
    return BN_OK;
}

static int by_place(const void *a, const void *b)
{
    const bn_st_tensor *left = a, *right = b;
    if (left->begin != right->begin) return left->begin < right->begin ? -1 : 1;
    return left->end < right->end ? -1 : left->end > right->end;
}

/* The tensors must cover the data from the first byte to the last, each byte once. */
static bn_status check_cover(const bn_st_reader *reader, bn_error *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < reader->count; i++) {
        const bn_st_tensor *tensor = &reader->tensors[i];
        if (tensor->begin != at) {
            return bn_fail(err, BN_ECORRUPT, "tensor '%.80s' begins at byte %llu, expected %llu",
                           tensor->name, (unsigned long long)tensor->begin, (unsigned long long)at);
        }
        at = tensor->end;
    }
    if (at == reader->data_bytes) return BN_OK;
    return bn_fail(err, BN_ECORRUPT, "the tensors end at byte %llu of %llu", (unsigned long long)at,
                   (unsigned long long)reader->data_bytes);
}

static bn_status read_header(bn_st_reader *reader, bn_error *err)
{
    const char *name = NULL;
    json_t *row = NULL;
    reader->tensors = calloc(json_object_size(reader->header) + 1, sizeof *reader->tensors);
    if (!reader->tensors) return bn_fail(err, BN_ENOMEM, "no memory for a header");
    json_object_foreach(reader->header, name, row)
    {
        bool meta = strcmp(name, "__metadata__") == 0;
        bn_status status =
            meta ? check_metadata(row, err)
                 : read_tensor(&reader->tensors[reader->count], name, row, reader->data_bytes, err);
        if (status != BN_OK) return status;
        if (!meta) reader->count++;
    }
    qsort(reader->tensors, reader->count, sizeof *reader->tensors, by_place);
    return check_cover(reader, err);
}

bn_status bn_st_parse(bn_st_reader **out, const char *json, size_t size, uint64_t data_bytes,
                      bn_error *err)
{
    *out = NULL;
    json_error_t why;
    bn_st_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return bn_fail(err, BN_ENOMEM, "no memory for a header");
    reader->fd = -1;
    reader->data_bytes = data_bytes;
    reader->header = json_loadb(json, size, JSON_REJECT_DUPLICATES, &why);
    bn_status status = BN_OK;
    if (!json_is_object(reader->header)) {
        status = bn_fail(err, BN_ECORRUPT, "the header is not a JSON object");
    }
    if (status == BN_OK) status = read_header(reader, err);
    if (status != BN_OK) {
        bn_st_close(reader);
        return status;
    }
    *out = reader;
    return BN_OK;
}

void bn_st_close(bn_st_reader *reader)
{
    if (!reader) return;
    if (reader->fd >= 0) (void)close(reader->fd);
    json_decref(reader->header);
    free(reader->tensors);
    free(reader);
}

static bn_status read_at(int fd, void *out, size_t bytes, uint64_t at, bn_error *err)
{
    char *to = out;
    while (bytes > 0) {
        ssize_t got = pread(fd, to, bytes, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bn_fail_errno(err, "read");
        if (got == 0) return bn_fail(err, BN_ECORRUPT, "cut short");
        to += got;
        at += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return BN_OK;
}

/* Reads prefix and header of an open file of `size` bytes; *json belongs to the caller. */
static bn_status load_header(int fd, uint64_t size, char **json, uint64_t *length, bn_error *err)
{
    unsigned char prefix[PREFIX_BYTES];
    *length = 0;
    const char *why = size ? "cut short" : "empty, expected a safetensors file";
    if (size < PREFIX_BYTES) return bn_fail(err, BN_ECORRUPT, "%s", why);
    if (read_at(fd, prefix, sizeof prefix, 0, err) != BN_OK) return err->status;
    for (int i = PREFIX_BYTES - 1; i >= 0; i--) *length = *length << 8 | prefix[i];
    if (*length < 2 || *length > BN_ST_HEADER_MAX) {
        return bn_fail(err, BN_ECORRUPT, "not a safetensors file (header of %llu bytes)",
                       (unsigned long long)*length);
    }
    if (*length > size - PREFIX_BYTES) return bn_fail(err, BN_ECORRUPT, "cut short in its header");
    *json = malloc(*length);
    if (!*json) return bn_fail(err, BN_ENOMEM, "no memory for a header");
    return read_at(fd, *json, *length, PREFIX_BYTES, err);
}

static bn_status open_file(bn_st_reader **out, int fd, bn_error *err)
{
    struct stat info;
    char *json = NULL;
    uint64_t length = 0;
    if (fstat(fd, &info) != 0) return bn_fail_errno(err, "stat");
    if (!S_ISREG(info.st_mode)) return bn_fail(err, BN_EINVAL, "not a file");
    uint64_t size = (uint64_t)info.st_size;
    bn_status status = load_header(fd, size, &json, &length, err);
    if (status == BN_OK) {
        status = bn_st_parse(out, json, length, size - PREFIX_BYTES - length, err);
    }
    if (*out) (*out)->data_at = PREFIX_BYTES + length;
    free(json);
    return status;
}

bn_status bn_st_open(bn_st_reader **out, const char *path, bn_error *err)
{
    *out = NULL;
    if (strlen(path) >= BN_PATH_MAX) return bn_fail(err, BN_EINVAL, "path too long: %.60s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    if (fd < 0 && errno == ENOENT) return bn_fail(err, BN_ENOENT, "%s: no such file", path);
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    (void)open_file(out, fd, err);
    if (!*out) {
        (void)close(fd);
        return bn_fail_in(err, "%s", path);
    }
    (*out)->fd = fd;
    memcpy((*out)->path, path, strlen(path) + 1);
    return BN_OK;
}

size_t bn_st_count(const bn_st_reader *reader)
{
    return reader->count;
}

const bn_st_tensor *bn_st_at(const bn_st_reader *reader, size_t index)
{
    return &reader->tensors[index];
}

const bn_st_tensor *bn_st_find(const bn_st_reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->count; i++) {
        if (strcmp(reader->tensors[i].name, name) == 0) return &reader->tensors[i];
    }
    return NULL;
}

const char *bn_st_meta_of(const bn_st_reader *reader, const char *key)
{
    return json_string_value(json_object_get(json_object_get(reader->header, "__metadata__"), key));
}

bn_status bn_st_read(bn_st_reader *reader, const bn_st_tensor *tensor, uint64_t offset, void *out,
                     size_t bytes, bn_error *err)
{
    uint64_t length = tensor->end - tensor->begin;
    if (offset > length || bytes > length - offset) {
        return bn_fail(err, BN_EINVAL, "%s: tensor '%.80s' has only %llu bytes", reader->path,
                       tensor->name, (unsigned long long)length);
    }
    bn_status status =
        read_at(reader->fd, out, bytes, reader->data_at + tensor->begin + offset, err);
    return status == BN_OK ? BN_OK : bn_fail_in(err, "%s", reader->path);
}

/* The checksum is of the whole file with its own digits as '0'. They stand behind this mark, which
 * no string of ours can hold unescaped elsewhere. */
static const char CRC_MARK[] = "\"crc32\":\"";

static char *crc_digits(char *header, size_t size)
{
    size_t mark = sizeof CRC_MARK - 1;
    for (size_t i = 0; i + mark + CRC_DIGITS <= size; i++) {
        if (memcmp(header + i, CRC_MARK, mark) == 0) return header + i + mark;
    }
    return NULL;
}

static bn_status crc_of_data(bn_st_reader *reader, uLong *crc, bn_error *err)
{
    unsigned char *chunk = malloc(CHUNK_BYTES);
    if (!chunk) return bn_fail(err, BN_ENOMEM, "no memory to verify");
    bn_status status = BN_OK;
    for (uint64_t at = 0; at < reader->data_bytes && status == BN_OK; at += CHUNK_BYTES) {
        uint64_t left = reader->data_bytes - at;
        size_t bytes = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
        status = read_at(reader->fd, chunk, bytes, reader->data_at + at, err);
        if (status == BN_OK) *crc = crc32(*crc, chunk, (uInt)bytes);
    }
    free(chunk);
    return status;
}

static bn_status crc_of_file(bn_st_reader *reader, char said[CRC_DIGITS + 1], uLong *crc,
                             bn_error *err)
{
    size_t size = (size_t)reader->data_at;
    char *header = malloc(size);
    if (!header) return bn_fail(err, BN_ENOMEM, "no memory to verify");
    bn_status status = read_at(reader->fd, header, size, 0, err);
    char *digits = status == BN_OK ? crc_digits(header, size) : NULL;
    if (status == BN_OK && !digits) status = bn_fail(err, BN_ECORRUPT, "it has no checksum");
    if (digits) {
        memcpy(said, digits, CRC_DIGITS);
        said[CRC_DIGITS] = '\0';
        memset(digits, '0', CRC_DIGITS);
        *crc = crc32(crc32(0, NULL, 0), (const unsigned char *)header, (uInt)size);
        status = crc_of_data(reader, crc, err);
    }
    free(header);
    return status;
}

bn_status bn_st_verify(bn_st_reader *reader, bn_error *err)
{
    char said[CRC_DIGITS + 1] = "", found[CRC_DIGITS + 1];
    uLong crc = 0;
    bn_status status = crc_of_file(reader, said, &crc, err);
    if (status == BN_OK) {
        (void)snprintf(found, sizeof found, "%08lx", crc & 0xffffffffUL);
        if (strcmp(found, said) != 0) {
            status =
                bn_fail(err, BN_ECORRUPT, "its checksum is %s, its header says %.8s", found, said);
        }
    }
    return status == BN_OK ? BN_OK : bn_fail_in(err, "%s", reader->path);
}
