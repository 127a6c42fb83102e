#include "engine/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

enum { TAIL_BYTES = 4096, HOST_MAX = 256 };

struct bn_events {
    int fd;
    bn_text line;  /* what was said since the last flush */
    bn_error fail; /* the first failure */
    char path[BN_PATH_MAX];
};

/* Where the last whole line ends: behind the last newline, or 0. */
static bn_status find_end(int fd, off_t size, const char *path, off_t *end, bn_error *err)
{
    char tail[TAIL_BYTES];
    for (off_t at = size; at > 0;) {
        off_t from = at > TAIL_BYTES ? at - TAIL_BYTES : 0;
        ssize_t got = pread(fd, tail, (size_t)(at - from), from);
        if (got != (ssize_t)(at - from)) return bn_fail_errno(err, "read %s", path);
        for (ssize_t i = got; i > 0; i--) {
            if (tail[i - 1] != '\n') continue;
            *end = from + i;
            return BN_OK;
        }
        at = from;
    }
    *end = 0;
    return BN_OK;
}

static bn_status cut_unfinished_line(int fd, const char *path, bn_error *err)
{
    struct stat info;
    off_t end = 0;
    if (fstat(fd, &info) != 0) return bn_fail_errno(err, "stat %s", path);
    if (!S_ISREG(info.st_mode)) return bn_fail(err, BN_EIO, "%s is not a file", path);
    if (find_end(fd, info.st_size, path, &end, err) != BN_OK) return err->status;
    if (end == info.st_size) return BN_OK;
    if (ftruncate(fd, end) != 0) return bn_fail_errno(err, "cut %s", path);
    return BN_OK;
}

/* The name of a new file must survive a power cut as its lines do. */
static bn_status sync_folder(const char *path, bn_error *err)
{
    char folder[BN_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (!slash) return bn_dir_sync(".", err);
    memcpy(folder, path, length);
    folder[length] = '\0';
    return bn_dir_sync(length ? folder : "/", err);
}

bn_status bn_events_open(bn_events **out, const char *path, bn_error *err)
{
    *out = NULL;
    if (strlen(path) >= BN_PATH_MAX) return bn_fail(err, BN_EINVAL, "path too long: %.60s", path);
    bn_events *ev = calloc(1, sizeof *ev);
    if (!ev) return bn_fail(err, BN_ENOMEM, "no memory for events");
    memcpy(ev->path, path, strlen(path));
    ev->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    bn_status status =
        ev->fd < 0 ? bn_fail_errno(err, "open %s", path) : cut_unfinished_line(ev->fd, path, err);
    if (status == BN_OK) status = sync_folder(path, err);
    if (status != BN_OK) {
        bn_events_close(ev);
        return status;
    }
    *out = ev;
    return BN_OK;
}

void bn_events_close(bn_events *ev)
{
    if (!ev) return;
    if (ev->fd >= 0) (void)close(ev->fd);
    bn_text_release(&ev->line);
    free(ev);
}

static bn_json line_start(bn_events *ev, const char *type)
{
    bn_json json = {.text = &ev->line, .nonfinite = BN_NONFINITE_QUOTED};
    bn_json_object(&json);
    bn_json_key(&json, "type");
    bn_json_string(&json, type);
    return json;
}

/* A line over the limit would be unreadable for ever: it is taken back and told of. */
static void line_end(bn_events *ev, bn_json *json, size_t began)
{
    bn_json_end_object(json);
    bn_text_add(&ev->line, "\n");
    if (!ev->line.failed && ev->line.length - began <= BN_EVENTS_LINE_MAX) return;
    (void)bn_fail(&ev->fail, ev->line.failed ? BN_ENOMEM : BN_EINVAL,
                  "%s: a line of more than %d bytes", ev->path, (int)BN_EVENTS_LINE_MAX);
}

static void add_values(bn_json *json, const bn_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bn_json_key(json, values[i].key);
        bn_json_real(json, values[i].number);
    }
}

void bn_events_begin(bn_events *ev, int attempt, const char *device, const bn_value *extra,
                     size_t count)
{
    char host[HOST_MAX] = "", now[BN_CLOCK_TEXT_MAX];
    if (ev->fail.status != BN_OK) return;
    size_t began = ev->line.length;
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    bn_json json = line_start(ev, "begin");
    bn_json_key(&json, "attempt");
    bn_json_int(&json, attempt);
    bn_json_key(&json, "pid");
    bn_json_int(&json, (int64_t)getpid());
    bn_json_key(&json, "start");
    bn_json_string(&json, bn_clock_text(now, bn_clock_wall_s()));
    bn_json_key(&json, "host");
    bn_json_string(&json, host);
    bn_json_key(&json, "device");
    bn_json_string(&json, device);
    add_values(&json, extra, count);
    line_end(ev, &json, began);
}

void bn_events_record(bn_events *ev, const bn_record *record)
{
    if (ev->fail.status != BN_OK) return;
    size_t began = ev->line.length;
    bn_json json = line_start(ev, "record");
    bn_json_key(&json, "seq");
    bn_json_int(&json, record->seq);
    bn_json_key(&json, "step");
    bn_json_int(&json, record->step);
    bn_json_key(&json, "wall_s");
    bn_json_real(&json, record->wall_s);
    bn_json_key(&json, "values");
    bn_json_object(&json);
    add_values(&json, record->values, record->count);
    bn_json_end_object(&json);
    line_end(ev, &json, began);
}

void bn_events_end(bn_events *ev, const char *how, const char *reason)
{
    if (ev->fail.status != BN_OK) return;
    size_t began = ev->line.length;
    bn_json json = line_start(ev, "end");
    bn_json_key(&json, "how");
    bn_json_string(&json, how);
    bn_json_key(&json, "reason");
    bn_json_string(&json, reason);
    line_end(ev, &json, began);
}

static void write_out(bn_events *ev)
{
    for (size_t at = 0; at < ev->line.length;) {
        ssize_t wrote = write(ev->fd, ev->line.data + at, ev->line.length - at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) {
            (void)bn_fail_errno(&ev->fail, "write %s", ev->path);
            return;
        }
        at += (size_t)wrote;
    }
    bn_text_clear(&ev->line);
}

bn_status bn_events_flush(bn_events *ev, bool sync, bn_error *err)
{
    if (ev->fail.status == BN_OK) write_out(ev);
    if (ev->fail.status == BN_OK && sync && fsync(ev->fd) != 0) {
        (void)bn_fail_errno(&ev->fail, "sync %s", ev->path);
    }
    if (ev->fail.status == BN_OK) return BN_OK;
    return bn_fail(err, ev->fail.status, "%s", ev->fail.text);
}
