/* libFuzzer target: any bytes as a run's events file. Whatever they are, the store is handed whole
 * records without gaps, a second look finds nothing more, and what is passed over has a reason. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/fleet/event_line.h"
#include "runner/fleet/ingest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void demand(bool holds)
{
    if (!holds) abort();
}

static bool is_name(const char *key)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    size_t length = strlen(key);
    return length > 0 && length < BN_METRIC_NAME_MAX && strspn(key, fine) == length;
}

/* In the store's place: what it may rely on. */
bn_status bn_history_append(bn_store *store, const bn_history_batch *batches, size_t count,
                            bn_error *err)
{
    (void)store;
    (void)err;
    demand(count == 1 && batches[0].mark_bytes > 0);
    for (size_t i = 0; i < batches[0].count; i++) {
        const bn_record *record = &batches[0].records[i];
        demand(record->seq == (int64_t)i && record->step >= 0);
        demand(record->count <= BN_RECORD_VALUES_MAX);
        for (size_t v = 0; v < record->count; v++) demand(is_name(record->values[v].key));
    }
    return BN_OK;
}

/* A file without a name holds the input; its path stays the same. */
static const char *write_file(const uint8_t *bytes, size_t size)
{
    static FILE *file;
    static char path[64];
    if (!file) {
        file = tmpfile();
        demand(file != NULL);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
    }
    demand(ftruncate(fileno(file), 0) == 0);
    demand(pwrite(fileno(file), bytes, size, 0) == (ssize_t)size);
    return path;
}

/* Each line alone, in memory that ends behind it. */
static void parse_line(const uint8_t *bytes, size_t size)
{
    static bn_event event;
    char *line = malloc(size + 1);
    demand(line != NULL);
    if (size > 0) memcpy(line, bytes, size);
    line[size] = '\0';
    const char *why = bn_event_line_parse(line, size, &event);
    demand(!why || *why);
    if (!why && event.kind == BN_EVENT_RECORD) demand(event.count > 0);
    free(line);
}

/* Opening one takes longer than an input does; it keeps names, so it is not kept for ever. */
static bn_ingest *open_reader(void)
{
    static bn_ingest *reader;
    static int inputs;
    bn_error err = {0};
    if (inputs++ % 256 == 0) {
        bn_ingest_close(reader);
        demand(bn_ingest_open(&reader, &err) == BN_OK);
    }
    return reader;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bn_ingest *ingest = open_reader();
    bn_error err = {0};
    int64_t records = 0;
    bn_source source = {.run = 1};
    parse_line(bytes, size);
    (void)snprintf(source.path, sizeof source.path, "%s", write_file(bytes, size));
    demand(bn_ingest_look(ingest, &source, 0, &err) == BN_OK);
    demand(bn_ingest_commit(ingest, NULL, &records, &err) == BN_OK);
    demand(records == source.next_seq && source.mark_bytes <= (int64_t)size);
    demand(source.mark_bytes == 0 || bytes[source.mark_bytes - 1] == '\n');
    demand((source.bad_lines == 0) == (source.bad_first[0] == '\0') && !source.refused);
    demand(bn_ingest_look(ingest, &source, 0, &err) == BN_OK);
    demand(bn_ingest_commit(ingest, NULL, &records, &err) == BN_OK && records == 0);
    bn_ingest_recall(ingest, &source);
    return 0;
}
