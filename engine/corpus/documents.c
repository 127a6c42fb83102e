#include "engine/corpus/documents.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/corpus/text_source.h"

enum { FILES_MAX = 65536 };

struct bn_documents {
    char **files;
    size_t count, current; /* current: the next to open */
    const char *column;
    int64_t bytes, done_bytes, file_bytes; /* done_bytes: of the files before the open one */
    bool open;
    FILE *lines; /* an open .jsonl, else */
    bn_source text;
    int64_t text_at, line_number;
    char *line;
    size_t line_size;
    json_t *row; /* owns the last line's text */
};

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name);
    size_t tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

static bn_status add_file(bn_documents *documents, const char *path, int64_t bytes, bn_error *err)
{
    if (documents->count == FILES_MAX) {
        return bn_fail(err, BN_EINVAL, "more than %d files", FILES_MAX);
    }
    char **files = realloc(documents->files, (documents->count + 1) * sizeof *files);
    if (files) documents->files = files;
    char *copy = files ? strdup(path) : NULL;
    if (!copy) return bn_fail(err, BN_ENOMEM, "no memory for the list of files");
    documents->files[documents->count++] = copy;
    documents->bytes += bytes;
    return BN_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bn_status add_entries(bn_documents *documents, DIR *entries, const char *folder,
                             bn_error *err)
{
    for (;;) {
        char path[BN_PATH_MAX];
        struct stat info;
        const struct dirent *entry = readdir(entries); /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (!entry) return BN_OK;
        if (entry->d_name[0] == '.') continue;
        if (!ends_with(entry->d_name, ".jsonl") && !ends_with(entry->d_name, ".txt")) continue;
        if (bn_path_join(path, folder, entry->d_name, err) != BN_OK) return err->status;
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) continue;
        if (add_file(documents, path, info.st_size, err) != BN_OK) return err->status;
    }
}

static bn_status add_path(bn_documents *documents, const char *path, bn_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return bn_fail(err, BN_EINVAL, "%s: no such file or folder, expected text or .jsonl", path);
    }
    if (!S_ISDIR(info.st_mode)) return add_file(documents, path, info.st_size, err);
    size_t before = documents->count;
    DIR *entries = opendir(path);
    if (!entries) return bn_fail_errno(err, "open folder %s", path);
    bn_status status = add_entries(documents, entries, path, err);
    (void)closedir(entries);
    if (status != BN_OK) return status;
    if (documents->count == before) {
        return bn_fail(err, BN_EINVAL, "folder %s holds no .jsonl and no .txt file", path);
    }
    qsort(documents->files + before, documents->count - before, sizeof *documents->files, by_name);
    return BN_OK;
}

bn_status bn_documents_open(bn_documents **out, const char *const *paths, size_t count,
                            const char *column, bn_error *err)
{
    *out = NULL;
    bn_documents *documents = calloc(1, sizeof *documents);
    if (!documents) return bn_fail(err, BN_ENOMEM, "no memory to read documents");
    documents->column = column;
    for (size_t i = 0; i < count; i++) {
        if (add_path(documents, paths[i], err) != BN_OK) {
            bn_documents_close(documents);
            return err->status;
        }
    }
    *out = documents;
    return BN_OK;
}

static void close_file(bn_documents *documents)
{
    if (documents->lines) (void)fclose(documents->lines);
    documents->lines = NULL;
    bn_source_release(&documents->text);
    documents->open = false;
}

void bn_documents_close(bn_documents *documents)
{
    if (!documents) return;
    close_file(documents);
    for (size_t i = 0; i < documents->count; i++) free(documents->files[i]);
    free(documents->files);
    free(documents->line);
    json_decref(documents->row);
    free(documents);
}

int64_t bn_documents_bytes(const bn_documents *documents)
{
    return documents->bytes;
}

int64_t bn_documents_read(const bn_documents *documents)
{
    return documents->done_bytes + documents->file_bytes;
}

static bn_status open_next(bn_documents *documents, bn_error *err)
{
    const char *path = documents->files[documents->current++];
    documents->done_bytes += documents->file_bytes;
    documents->file_bytes = 0;
    documents->line_number = 0;
    documents->text_at = 0;
    documents->open = true;
    if (!ends_with(path, ".jsonl")) return bn_source_open_one(&documents->text, path, err);
    documents->lines = fopen(path, "re");
    return documents->lines ? BN_OK : bn_fail_errno(err, "open %s", path);
}

/* The text of one line, kept alive by documents->row; what is wrong, or NULL. */
static const char *read_row(bn_documents *documents, size_t bytes, bn_passage *out)
{
    if (bytes > BN_DOCUMENTS_LINE_MAX) return "the line is longer than 64 MiB";
    json_decref(documents->row);
    documents->row = json_loadb(documents->line, bytes, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(documents->row)) return "expected a JSON object a line";
    const json_t *text = json_object_get(documents->row, documents->column);
    if (!text) return "the object has no column of that name";
    if (!json_is_string(text)) return "the column is not a string";
    *out = (bn_passage){json_string_value(text), json_string_length(text), false};
    return NULL;
}

/* true: a passage, or *status tells of a failure; false: the file is at its end. */
static bool next_line(bn_documents *documents, bn_passage *out, bn_status *status, bn_error *err)
{
    const char *path = documents->files[documents->current - 1];
    for (;;) {
        errno = 0;
        ssize_t got = getline(&documents->line, &documents->line_size, documents->lines);
        if (got < 0 && feof(documents->lines)) return false;
        if (got < 0) {
            *status = bn_fail_errno(err, "read %s", path);
            return true;
        }
        documents->line_number++;
        documents->file_bytes += got;
        if (strspn(documents->line, " \t\r\n") == (size_t)got) continue;
        const char *wrong = read_row(documents, (size_t)got, out);
        if (wrong) {
            *status = bn_fail(err, BN_EINVAL, "%s:%lld: column '%s': %s", path,
                              (long long)documents->line_number, documents->column, wrong);
        }
        return true;
    }
}

static bool next_piece(bn_documents *documents, bn_passage *out, bn_status *status, bn_error *err)
{
    bool opens;
    if (documents->text_at == documents->text.bytes) return false;
    *status = bn_source_read(&documents->text, &documents->text_at, documents->text.bytes, out,
                             &opens, err);
    documents->file_bytes = documents->text_at;
    return true;
}

bn_status bn_documents_next(bn_documents *documents, bn_passage *out, bn_error *err)
{
    *out = (bn_passage){0};
    bn_status status = BN_OK;
    for (;;) {
        if (documents->open) {
            bool more = documents->lines ? next_line(documents, out, &status, err)
                                         : next_piece(documents, out, &status, err);
            if (more) return status;
            close_file(documents);
        }
        if (documents->current == documents->count) return BN_OK;
        status = open_next(documents, err);
        if (status != BN_OK) return status;
    }
}
