#include "runner/fleet/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/fleet/event_line.h"

enum {
    NAMES_MAX = 4096, /* metrics that all runs of a process may have; a table of twice as many */
    NAMES_TABLE = 2 * NAMES_MAX,
    RECALL_BYTES = 64 * 1024,
};

typedef struct growing {
    void *data;
    size_t count, room, item_bytes;
} growing;

struct bn_ingest {
    char *buffer;             /* BN_INGEST_LOOK_MAX bytes of a file, and a NUL */
    bn_event event;           /* the line being read */
    char *names[NAMES_TABLE]; /* metric names, each once, for the life of the process */
    size_t name_count;
    growing records, values;  /* found since the last commit; values in the records' order */
    growing batches, sources; /* one a look that found something */
};

/* Room for one more item, which the caller fills; NULL: no memory. */
static void *push(growing *list)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        void *data = realloc(list->data, room * list->item_bytes);
        if (!data) return NULL;
        list->data = data;
        list->room = room;
    }
    return (char *)list->data + list->item_bytes * list->count++;
}

bn_status bn_ingest_open(bn_ingest **out, bn_error *err)
{
    bn_ingest *ingest = calloc(1, sizeof *ingest);
    *out = NULL;
    if (ingest) ingest->buffer = malloc(BN_INGEST_LOOK_MAX + 1);
    if (!ingest || !ingest->buffer) {
        bn_ingest_close(ingest);
        return bn_fail(err, BN_ENOMEM, "no memory to read events");
    }
    ingest->records.item_bytes = sizeof(bn_record);
    ingest->values.item_bytes = sizeof(bn_value);
    ingest->batches.item_bytes = sizeof(bn_history_batch);
    ingest->sources.item_bytes = sizeof(bn_source *);
    *out = ingest;
    return BN_OK;
}

void bn_ingest_close(bn_ingest *ingest)
{
    if (!ingest) return;
    for (size_t i = 0; i < NAMES_TABLE; i++) free(ingest->names[i]);
    free(ingest->buffer);
    free(ingest->records.data);
    free(ingest->values.data);
    free(ingest->batches.data);
    free(ingest->sources.data);
    free(ingest);
}

/* The one copy of a metric's name; NULL when there are too many of them (or no memory). */
static const char *intern(bn_ingest *ingest, const char *name)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619U;
    size_t place = hash % NAMES_TABLE;
    while (ingest->names[place]) {
        if (strcmp(ingest->names[place], name) == 0) return ingest->names[place];
        place = (place + 1) % NAMES_TABLE;
    }
    if (ingest->name_count == NAMES_MAX) return NULL;
    ingest->names[place] = strdup(name);
    if (ingest->names[place]) ingest->name_count++;
    return ingest->names[place];
}

/* at_bytes: where in the file the line is, or ends */
static void pass_over(bn_source *source, const char *why, int64_t at_bytes)
{
    if (source->bad_lines++ > 0) return;
    (void)snprintf(source->bad_first, sizeof source->bad_first, "%s", why);
    source->bad_first_at = at_bytes;
}

/* Keeps a value; a metric named twice in one record keeps its last number. */
static const char *keep_value(bn_ingest *ingest, const bn_value *value, size_t first)
{
    const char *key = intern(ingest, value->key);
    if (!key) return "more metrics than can be told apart";
    bn_value *kept = ingest->values.data;
    for (size_t i = first; i < ingest->values.count; i++) {
        if (kept[i].key != key) continue;
        kept[i].number = value->number;
        return NULL;
    }
    kept = push(&ingest->values);
    if (!kept) return "no memory";
    *kept = (bn_value){.key = key, .number = value->number};
    return NULL;
}

static const char *keep_record(bn_ingest *ingest, bn_source *source, double now_s)
{
    const bn_event *event = &ingest->event;
    int64_t seq = event->seq >= 0 ? event->seq : source->place;
    if (seq > source->ahead_seq) return "a seq that leaves a gap";
    source->place = seq + 1;
    if (event->step >= 0) source->last_step = event->step;
    if (seq < source->ahead_seq) return NULL; /* said again after a resume */
    size_t first = ingest->values.count;
    for (size_t i = 0; i < event->count; i++) {
        const char *why = keep_value(ingest, &event->values[i], first);
        if (why) {
            ingest->values.count = first;
            return why;
        }
    }
    bn_record *record = push(&ingest->records);
    if (!record) return "no memory";
    *record = (bn_record){.seq = seq,
                          .step = event->step >= 0 ? event->step : seq,
                          .wall_s = isfinite(event->wall_s) ? event->wall_s : now_s,
                          .count = ingest->values.count - first};
    source->ahead_seq = seq + 1;
    return NULL;
}

/* NULL, or why the line says nothing. */
static const char *take_line(bn_ingest *ingest, bn_source *source, const char *line, size_t bytes,
                             double now_s)
{
    bn_event *event = &ingest->event;
    if (bytes == 0) return NULL; /* an empty line says nothing wrong */
    const char *why = bn_event_line_parse(line, bytes, event);
    if (!why && event->kind == BN_EVENT_RECORD) {
        why = keep_record(ingest, source, now_s);
    } else if (!why && event->kind == BN_EVENT_BEGIN) {
        source->begun = true;
        source->ended = false;
        (void)snprintf(source->host, sizeof source->host, "%s", event->host);
        (void)snprintf(source->device, sizeof source->device, "%s", event->device);
    } else if (!why) {
        source->ended = true;
        (void)snprintf(source->how, sizeof source->how, "%s", event->how);
        (void)snprintf(source->reason, sizeof source->reason, "%s", event->reason);
    }
    return why;
}

/* All complete lines of the buffer; moves source->ahead_bytes behind the last of them. */
static void take_lines(bn_ingest *ingest, bn_source *source, size_t got, double now_s)
{
    char *line = ingest->buffer, *end = ingest->buffer + got;
    while (line < end) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline) break;
        size_t bytes = (size_t)(newline - line);
        const char *why = "longer than a line may be";
        if (!source->skipping && bytes < BN_INGEST_LINE_MAX) {
            why = take_line(ingest, source, line, bytes, now_s);
        }
        source->skipping = false;
        if (why) pass_over(source, why, source->ahead_bytes + (line - ingest->buffer));
        line = newline + 1;
    }
    if (end - line >= BN_INGEST_LINE_MAX) { /* no newline in sight: give the bytes up */
        source->skipping = true;
        line = end;
    }
    source->ahead_bytes += line - ingest->buffer;
    source->more = got == BN_INGEST_LOOK_MAX;
}

/* Bytes `from` and on of a file, `size` of them or up to its end, into the buffer. */
static bn_status read_at(bn_ingest *ingest, int fd, size_t size, int64_t from, size_t *got,
                         bn_error *err)
{
    char *out = ingest->buffer;
    *got = 0;
    while (*got < size) {
        ssize_t count = pread(fd, out + *got, size - *got, (off_t)from + (off_t)*got);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return bn_fail_errno(err, "read events");
        if (count == 0) break;
        *got += (size_t)count;
    }
    return BN_OK;
}

/* The number of the first bad line: the file is read once more up to there, once a run. */
static void number_first_bad(int fd, bn_source *source)
{
    char chunk[16 * 1024];
    int64_t at = 0, line = 1;
    while (at < source->bad_first_at) {
        int64_t left = source->bad_first_at - at;
        size_t wanted = left < (int64_t)sizeof chunk ? (size_t)left : sizeof chunk;
        ssize_t got = pread(fd, chunk, wanted, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        for (ssize_t i = 0; i < got; i++) line += chunk[i] == '\n';
        at += got;
    }
    source->bad_first_line = line;
}

/* True when the file is not the one that the mark was set in: shorter, or no line ends there. Then
 * it was written anew (by a program that does not append) and is read from its beginning; the
 * places of its lines are what they were, so what is known already changes nothing. */
static bool written_anew(int fd, const bn_source *source)
{
    char before = '\n';
    if (source->ahead_bytes == 0 || source->skipping) return false;
    ssize_t got = pread(fd, &before, 1, (off_t)source->ahead_bytes - 1);
    return got != 1 || before != '\n';
}

static void first_look(bn_source *source)
{
    source->ahead_bytes = source->mark_bytes;
    source->ahead_seq = source->place = source->next_seq;
    if (!source->looked) source->last_step = -1;
    source->looked = true;
}

/* Opens without waiting: a path that is a pipe or a device must not stop the manager. */
static bn_status open_events(const bn_source *source, int *fd, bn_error *err)
{
    struct stat info;
    *fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 && errno == ENOENT) return BN_OK;
    if (*fd < 0) return bn_fail_errno(err, "open %s", source->path);
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode)) return BN_OK;
    (void)close(*fd);
    *fd = -1;
    return bn_fail(err, BN_EINVAL, "%s is not a file", source->path);
}

bn_status bn_ingest_look(bn_ingest *ingest, bn_source *source, double now_s, bn_error *err)
{
    int fd = -1;
    size_t got = 0;
    if (!source->looked) first_look(source);
    source->more = false;
    if (source->refused) return BN_OK;
    if (open_events(source, &fd, err) != BN_OK) return err->status;
    if (fd < 0) return BN_OK;
    if (written_anew(fd, source)) source->ahead_bytes = source->place = 0;
    bn_status status = read_at(ingest, fd, BN_INGEST_LOOK_MAX, source->ahead_bytes, &got, err);
    ingest->buffer[got] = '\0';
    int64_t from = source->ahead_bytes, bad = source->bad_lines;
    size_t first = ingest->records.count;
    if (status == BN_OK) take_lines(ingest, source, got, now_s);
    if (bad == 0 && source->bad_lines > 0) number_first_bad(fd, source);
    (void)close(fd);
    if (status != BN_OK) return bn_fail_in(err, "%s", source->path);
    if (source->ahead_bytes == from) return BN_OK; /* no complete line yet */
    bn_history_batch *batch = push(&ingest->batches);
    bn_source **slot = batch ? push(&ingest->sources) : NULL;
    if (!slot) return bn_fail(err, BN_ENOMEM, "no memory for the events of %s", source->path);
    *slot = source;
    *batch = (bn_history_batch){.run = source->run,
                                .count = ingest->records.count - first,
                                .mark_bytes = source->ahead_bytes};
    return BN_OK;
}

/* The lists have stopped growing: what was counted becomes pointers. */
static void join(bn_ingest *ingest)
{
    bn_record *records = ingest->records.data;
    const bn_value *values = ingest->values.data;
    bn_history_batch *batches = ingest->batches.data;
    size_t record = 0, value = 0;
    for (size_t i = 0; i < ingest->batches.count; i++) {
        batches[i].records = records ? records + record : NULL;
        record += batches[i].count;
    }
    for (size_t i = 0; records && i < ingest->records.count; i++) {
        records[i].values = values + value;
        value += records[i].count;
    }
}

static bool is_about_the_run(bn_status status)
{
    return status == BN_ECORRUPT || status == BN_ENOENT || status == BN_ESTALE ||
           status == BN_EINVAL;
}

static void settle(bn_source *source, bool written)
{
    if (written) {
        source->mark_bytes = source->ahead_bytes;
        source->next_seq = source->ahead_seq;
    } else {
        first_look(source);
    }
}

/* One transaction a run: finds the one that the store refuses. */
static bn_status append_each(bn_ingest *ingest, bn_store *store, bn_error *err)
{
    const bn_history_batch *batches = ingest->batches.data;
    bn_source **sources = ingest->sources.data;
    for (size_t i = 0; i < ingest->batches.count; i++) {
        if (sources[i]->refused) continue;
        bn_error why = {0};
        bn_status status = bn_history_append(store, &batches[i], 1, &why);
        if (status == BN_OK) {
            continue;
        }
        if (is_about_the_run(status)) {
            sources[i]->refused = true;
            (void)snprintf(sources[i]->bad_first, sizeof sources[i]->bad_first, "%s", why.text);
            sources[i]->bad_lines++;
            continue;
        }
        return bn_fail(err, status, "%s", why.text);
    }
    return BN_OK;
}

bn_status bn_ingest_commit(bn_ingest *ingest, bn_store *store, int64_t *records, bn_error *err)
{
    bn_status status = BN_OK;
    bn_error whole = {0};
    bn_source **sources = ingest->sources.data;
    if (records) *records = (int64_t)ingest->records.count;
    if (ingest->batches.count > 0) {
        join(ingest);
        status = bn_history_append(store, ingest->batches.data, ingest->batches.count, &whole);
        if (is_about_the_run(status)) {
            status = append_each(ingest, store, err);
        } else if (status != BN_OK) {
            (void)bn_fail(err, status, "%s", whole.text);
        }
    }
    for (size_t i = 0; i < ingest->sources.count; i++) settle(sources[i], status == BN_OK);
    ingest->records.count = ingest->values.count = 0;
    ingest->batches.count = ingest->sources.count = 0;
    return status;
}

/* Cuts what follows the last newline; the line before it, or NULL. */
static const char *last_complete_line(char *text, size_t got, size_t *bytes)
{
    char *end = text + got;
    while (end > text && end[-1] != '\n') end--;
    if (end == text) return NULL;
    char *line = --end;
    while (line > text && line[-1] != '\n') line--;
    *bytes = (size_t)(end - line);
    return line;
}

void bn_ingest_recall(bn_ingest *ingest, bn_source *source)
{
    bn_error ignored = {0};
    int fd = -1;
    size_t got = 0, bytes = 0;
    if (open_events(source, &fd, &ignored) != BN_OK || fd < 0) return;
    int64_t size = (int64_t)lseek(fd, 0, SEEK_END);
    int64_t from = size > RECALL_BYTES ? size - RECALL_BYTES : 0;
    bn_status status = read_at(ingest, fd, RECALL_BYTES, from, &got, &ignored);
    (void)close(fd);
    ingest->buffer[got] = '\0';
    const char *line = status == BN_OK ? last_complete_line(ingest->buffer, got, &bytes) : NULL;
    if (!line || bn_event_line_parse(line, bytes, &ingest->event) != NULL) return;
    if (ingest->event.kind == BN_EVENT_END) (void)take_line(ingest, source, line, bytes, 0);
}
