#include "runner/fleet/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/nearest.h"

enum { RUN_TOML_MAX = 256 * 1024, LAST_WORDS_WINDOW = 4096 };

/* Replaces a file at once but without fsync: a run's inputs can always be written again. */
static bn_status replace(const char *dir, const char *name, const bn_text *text, bn_error *err)
{
    char path[BN_PATH_MAX], temporary[BN_PATH_MAX + 8];
    if (text->failed) return bn_fail(err, BN_ENOMEM, "no memory to write %s/%s", dir, name);
    if (bn_path_join(path, dir, name, err) != BN_OK) return err->status;
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *file = fopen(temporary, "we");
    if (!file) return bn_fail_errno(err, "create %s", temporary);
    bool ok = fwrite(text->data, 1, text->length, file) == text->length;
    ok = fclose(file) == 0 && ok;
    if (ok && rename(temporary, path) == 0) return BN_OK;
    (void)bn_fail_errno(err, "write %s", path);
    (void)unlink(temporary);
    return err->status;
}

/* Most often only the last part is missing. */
static bn_status make_folder(const char *dir, bn_error *err)
{
    if (mkdir(dir, 0700) == 0) return BN_OK;
    return bn_dir_make(dir, 0700, err);
}

static void head(const bn_rundir *run, bn_text *out)
{
    bn_text_add(out, "id = ");
    bn_text_quoted(out, run->key);
    bn_text_add(out, "\nname = ");
    bn_text_quoted(out, run->name);
    bn_text_add(out, "\nsweep = ");
    bn_text_quoted(out, run->sweep);
    bn_text_addf(out, "\nattempt = %d\n", run->attempt);
}

/* JSON's strings, numbers and booleans are TOML's too. */
static void knobs(const bn_config *config, bn_text *out)
{
    size_t count = 0;
    const bn_knob *table = bn_knob_table(&count);
    bn_text_add(out, "\n[config]\n");
    for (size_t i = 0; i < count; i++) {
        bn_json json = {.text = out};
        bn_text_addf(out, "\"%s\" = ", table[i].name);
        bn_config_json_value(config, &table[i], &json);
        bn_text_add(out, "\n");
    }
}

bn_status bn_rundir_make(const char *dir, const bn_rundir *run, bn_error *err)
{
    bn_text text = {0};
    bn_text_add(&text,
                "# One run. `bnexp train` on this folder runs it again, or goes on with it.\n");
    head(run, &text);
    knobs(&run->config, &text);
    if (make_folder(dir, err) == BN_OK) (void)replace(dir, BN_RUNDIR_FILE, &text, err);
    bn_text_release(&text);
    return err->status;
}

bn_status bn_rundir_make_external(const char *dir, const bn_rundir *run, const char *json,
                                  bn_error *err)
{
    bn_text text = {0};
    bn_text_add(&text, "# One run of a program that is not bnexp's own; config.json has what it "
                       "was given.\n");
    head(run, &text);
    bn_text_add(&text, "external = true\n");
    if (make_folder(dir, err) == BN_OK) (void)replace(dir, BN_RUNDIR_FILE, &text, err);
    bn_text_clear(&text);
    bn_text_addf(&text, "%s\n", json);
    if (err->status == BN_OK) (void)replace(dir, BN_RUNDIR_CONFIG, &text, err);
    bn_text_release(&text);
    return err->status;
}

bn_status bn_rundir_knob(bn_config *config, const char *name, const bn_toml_node *node,
                         bn_error *err)
{
    bn_text text = {0};
    bn_status status = BN_OK;
    switch (bn_toml_kind_of(node)) {
    case BN_TOML_TEXT:
        bn_text_add(&text, bn_toml_text(node));
        break;
    case BN_TOML_INT:
        bn_text_addf(&text, "%lld", (long long)bn_toml_int(node));
        break;
    case BN_TOML_REAL:
        bn_text_number(&text, bn_toml_real(node), BN_NONFINITE_BARE);
        break;
    case BN_TOML_BOOL:
        bn_text_add(&text, bn_toml_bool(node) ? "true" : "false");
        break;
    case BN_TOML_TABLE:
    case BN_TOML_ARRAY:
    case BN_TOML_TIME:
        status = bn_fail(err, BN_EINVAL, "'%s' must be one value", name);
        break;
    }
    if (status == BN_OK) status = bn_config_set(config, name, text.data ? text.data : "", err);
    bn_text_release(&text);
    return status;
}

static bn_status read_knobs(const bn_toml_node *table, bn_config *config, const char *path,
                            bn_error *err)
{
    if (bn_toml_kind_of(table) != BN_TOML_TABLE) {
        return bn_fail(err, BN_EINVAL, "%s:%d: 'config' must be a table", path,
                       bn_toml_line(table));
    }
    for (size_t i = 0; i < bn_toml_count(table); i++) {
        const char *name = bn_toml_key(table, i);
        if (bn_rundir_knob(config, name, bn_toml_at(table, i), err) != BN_OK) {
            return bn_fail_in(err, "%s:%d", path, bn_toml_key_line(table, i));
        }
    }
    return BN_OK;
}

static bn_status read_text(const bn_toml_node *node, char *out, size_t size, bn_error *err)
{
    if (bn_toml_kind_of(node) != BN_TOML_TEXT || strlen(bn_toml_text(node)) >= size) {
        return bn_fail(err, BN_EINVAL, "expected a text shorter than %zu bytes", size);
    }
    (void)snprintf(out, size, "%s", bn_toml_text(node));
    return BN_OK;
}

static bn_status read_member(const char *key, const bn_toml_node *node, const char *path,
                             bn_rundir *out, bn_error *err)
{
    static const char *const keys[] = {"id", "name", "sweep", "attempt", "external", "config"};
    bn_toml_kind kind = bn_toml_kind_of(node);
    if (strcmp(key, "id") == 0) return read_text(node, out->key, sizeof out->key, err);
    if (strcmp(key, "name") == 0) return read_text(node, out->name, sizeof out->name, err);
    if (strcmp(key, "sweep") == 0) return read_text(node, out->sweep, sizeof out->sweep, err);
    if (strcmp(key, "attempt") == 0 && kind == BN_TOML_INT) {
        out->attempt = (int)bn_toml_int(node);
        return BN_OK;
    }
    if (strcmp(key, "attempt") == 0) return bn_fail(err, BN_EINVAL, "expected a whole number");
    if (strcmp(key, "config") == 0) return read_knobs(node, &out->config, path, err);
    if (strcmp(key, "external") == 0) {
        return bn_fail(err, BN_EINVAL, "this run is another program's; it cannot be trained here");
    }
    const char *near = bn_nearest(key, keys, sizeof keys / sizeof keys[0], sizeof keys[0]);
    return bn_fail(err, BN_EINVAL, "there is no key '%.60s' in a run%s%s%s", key,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bn_status read_document(const bn_toml *document, const char *path, bn_rundir *out,
                               bn_error *err)
{
    const bn_toml_node *root = bn_toml_root(document);
    for (size_t i = 0; i < bn_toml_count(root); i++) {
        const char *key = bn_toml_key(root, i);
        bool placed = strcmp(key, "config") == 0; /* its errors carry their own line */
        if (read_member(key, bn_toml_at(root, i), path, out, err) == BN_OK) continue;
        return placed ? err->status
                      : bn_fail_in(err, "%s:%d: '%s'", path, bn_toml_key_line(root, i), key);
    }
    if (bn_config_resolve(&out->config, err) != BN_OK) return bn_fail_in(err, "%s", path);
    return BN_OK;
}

bn_status bn_rundir_read(const char *dir, bn_rundir *out, bn_error *err)
{
    char path[BN_PATH_MAX];
    char *text = NULL;
    size_t bytes = 0;
    bn_toml *document = NULL;
    *out = (bn_rundir){.attempt = 1};
    bn_config_init(&out->config);
    bn_status status = bn_path_join(path, dir, BN_RUNDIR_FILE, err);
    if (status != BN_OK) goto done;
    status = bn_file_read(path, RUN_TOML_MAX, &text, &bytes, err);
    if (status != BN_OK) goto done;
    status = bn_toml_parse(&document, text, bytes, path, err);
    if (status != BN_OK) goto done;
    status = read_document(document, path, out, err);
done:
    bn_toml_close(document);
    free(text);
    return status;
}

bn_status bn_rundir_lock(const char *dir, int *fd, bn_error *err)
{
    char path[BN_PATH_MAX];
    *fd = -1;
    if (bn_path_join(path, dir, BN_RUNDIR_PROCESS, err) != BN_OK) return err->status;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0) return bn_fail_errno(err, "open %s", path);
    if (flock(opened, LOCK_EX | LOCK_NB) == 0) {
        *fd = opened;
        return BN_OK;
    }
    int cause = errno;
    (void)close(opened);
    if (cause == EWOULDBLOCK) {
        return bn_fail(err, BN_EAGAIN, "the run in %s is running already", dir);
    }
    errno = cause;
    return bn_fail_errno(err, "lock %s", path);
}

/* Where the last complete line of a file ends: 0 when there is none. Looks backwards, piece by
 * piece. */
static off_t end_of_lines(int fd, off_t size)
{
    char piece[4096];
    while (size > 0) {
        size_t bytes = size < (off_t)sizeof piece ? (size_t)size : sizeof piece;
        ssize_t got = pread(fd, piece, bytes, size - (off_t)bytes);
        if (got != (ssize_t)bytes) return size; /* unreadable: leave it as it is */
        for (size_t i = bytes; i > 0; i--) {
            if (piece[i - 1] == '\n') return size - (off_t)(bytes - i);
        }
        size -= (off_t)bytes;
    }
    return 0;
}

bn_status bn_rundir_clear_events(const char *dir, bn_error *err)
{
    char path[BN_PATH_MAX], old[BN_PATH_MAX];
    bn_error held = {0};
    int fd = -1;
    if (bn_path_join(path, dir, BN_RUNDIR_EVENTS, err) != BN_OK) return err->status;
    if (bn_path_join(old, dir, BN_RUNDIR_EVENTS ".old", err) != BN_OK) return err->status;
    if (!bn_file_exists(path)) return BN_OK;
    bn_status status = bn_rundir_lock(dir, &fd, &held);
    if (status != BN_OK) return status == BN_EAGAIN ? BN_OK : bn_fail(err, status, "%s", held.text);
    if (rename(path, old) != 0) (void)bn_fail_errno(err, "rename %s", path);
    (void)close(fd);
    return err->status;
}

bn_status bn_rundir_mend_events(const char *dir, bn_error *err)
{
    char path[BN_PATH_MAX];
    struct stat info;
    if (bn_path_join(path, dir, BN_RUNDIR_EVENTS, err) != BN_OK) return err->status;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return BN_OK;
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    bool ok = fstat(fd, &info) == 0;
    off_t end = ok && S_ISREG(info.st_mode) ? end_of_lines(fd, info.st_size) : -1;
    if (end >= 0 && end < info.st_size) ok = ftruncate(fd, end) == 0;
    if (!ok) (void)bn_fail_errno(err, "mend %s", path);
    (void)close(fd);
    return ok ? BN_OK : err->status;
}

/* The last line of text that is not empty; NULL when there is none. Cuts text. */
static char *last_line(char *text, size_t length)
{
    while (length > 0 && (unsigned char)text[length - 1] <= ' ') length--;
    text[length] = '\0';
    if (length == 0) return NULL;
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

void bn_rundir_last_words(const char *dir, char *out, size_t size_bytes)
{
    char path[BN_PATH_MAX], window[LAST_WORDS_WINDOW + 1];
    bn_error ignored = {0};
    struct stat info;
    out[0] = '\0';
    if (bn_path_join(path, dir, BN_RUNDIR_STDERR, &ignored) != BN_OK) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    off_t from = fstat(fd, &info) == 0 && info.st_size > LAST_WORDS_WINDOW
                     ? info.st_size - LAST_WORDS_WINDOW
                     : 0;
    ssize_t got = pread(fd, window, LAST_WORDS_WINDOW, from);
    (void)close(fd);
    for (ssize_t i = 0; i < got; i++) {
        if (window[i] == '\0' || window[i] == '\r' || window[i] == '\033') window[i] = ' ';
    }
    const char *line = got > 0 ? last_line(window, (size_t)got) : NULL;
    if (line) (void)snprintf(out, size_bytes, "%s", line);
}
