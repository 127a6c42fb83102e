#include "engine/corpus/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/nearest.h"
#include "engine/corpus/hub_api.h"

enum { NAMES_MAX = 512, STATE_LIMIT = 1 << 16 };

typedef struct bn_fetch {
    const bn_hub_job *job;
    bn_hub_api api;
    bn_hub_progress progress;
    char config[256], split[256];
    char rows_path[BN_PATH_MAX], state_path[BN_PATH_MAX];
    int fd;        /* rows.jsonl, locked */
    int64_t next;  /* row to be fetched */
    int64_t total; /* rows that the split has; -1: not known yet */
    bn_text page;  /* lines of the page at hand */
} bn_fetch;

typedef struct bn_names {
    const char *items[NAMES_MAX]; /* borrowed from the reply */
    size_t count;
} bn_names;

static void add_name(bn_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) return;
    }
    if (names->count < NAMES_MAX) names->items[names->count++] = name;
}

/* Names of `member` in the splits of `config` (NULL: of all). */
static void collect(const json_t *splits, const char *config, const char *member, bn_names *out)
{
    size_t index;
    const json_t *row;
    out->count = 0;
    json_array_foreach(splits, index, row)
    {
        const char *of = json_string_value(json_object_get(row, "config"));
        const char *name = json_string_value(json_object_get(row, member));
        if (!of || !name || (config && strcmp(of, config) != 0)) continue;
        add_name(out, name);
    }
}

/* The wanted name if it exists, the only one if none is wanted. */
static bn_status choose(const bn_fetch *fetch, const bn_names *names, const char *what,
                        const char *wanted, char out[256], bn_error *err)
{
    char listed[120] = "";
    size_t used = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (wanted && strcmp(names->items[i], wanted) == 0) {
            (void)snprintf(out, 256, "%s", wanted);
            return BN_OK;
        }
        if (used >= sizeof listed - 1) continue;
        int more =
            snprintf(listed + used, sizeof listed - used, "%s%s", i ? ", " : "", names->items[i]);
        used += more > 0 ? (size_t)more : 0;
    }
    if (!wanted && names->count == 1) {
        (void)snprintf(out, 256, "%s", names->items[0]);
        return BN_OK;
    }
    const char *near =
        wanted ? bn_nearest(wanted, names->items, names->count, sizeof names->items[0]) : NULL;
    return bn_fail(err, BN_EINVAL, "dataset '%.50s' has %s%s%.40s%s%s%s%s; there are: %s%s",
                   fetch->job->dataset, wanted ? "no " : "several ", what, wanted ? " '" : "s",
                   wanted ? wanted : "", wanted ? "'" : "", near ? ", did you mean " : "",
                   near ? near : "", listed, used >= sizeof listed - 1 ? "..." : "");
}

static bn_status choose_split(bn_fetch *fetch, bn_error *err)
{
    const bn_hub_job *job = fetch->job;
    const char *const pairs[] = {"dataset", job->dataset, NULL};
    json_t *reply = NULL;
    bn_names names;
    bn_status status = bn_hub_api_ask(&fetch->api, "/splits", pairs, &reply, err);
    if (status != BN_OK) return status;
    const json_t *splits = json_object_get(reply, "splits");
    collect(splits, NULL, "config", &names);
    if (names.count == 0) {
        status = bn_fail(err, BN_EINVAL, "dataset '%.60s': the reply of %s names no splits",
                         job->dataset, job->url);
    } else {
        status = choose(fetch, &names, "config", job->config, fetch->config, err);
    }
    if (status == BN_OK) {
        collect(splits, fetch->config, "split", &names);
        const char *split = job->split ? job->split : names.count > 1 ? "train" : NULL;
        status = choose(fetch, &names, "split", split, fetch->split, err);
    }
    json_decref(reply);
    return status;
}

/* Rows that /size knows of; the pages tell again, so no answer here is no failure. */
static void ask_size(bn_fetch *fetch)
{
    bn_error ignored = {0};
    const char *const pairs[] = {"dataset", fetch->job->dataset, "config", fetch->config, NULL};
    json_t *reply = NULL;
    size_t index;
    const json_t *row;
    if (bn_hub_api_ask(&fetch->api, "/size", pairs, &reply, &ignored) != BN_OK) return;
    json_array_foreach(json_object_get(json_object_get(reply, "size"), "splits"), index, row)
    {
        const char *name = json_string_value(json_object_get(row, "split"));
        const json_t *rows = json_object_get(row, "num_rows");
        if (!name || strcmp(name, fetch->split) != 0 || !json_is_integer(rows)) continue;
        fetch->total = json_integer_value(rows);
    }
    json_decref(reply);
}

static bn_status check_state(const bn_fetch *fetch, const json_t *state, bn_error *err)
{
    const struct {
        const char *name, *value;
    } members[] = {{"dataset", fetch->job->dataset},
                   {"config", fetch->config},
                   {"split", fetch->split},
                   {"column", fetch->job->column}};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *held = json_string_value(json_object_get(state, members[i].name));
        if (held && strcmp(held, members[i].value) == 0) continue;
        return bn_fail(err, BN_EINVAL, "%s holds %s '%.60s', not '%.60s'; name another --out",
                       fetch->job->out, members[i].name, held ? held : "?", members[i].value);
    }
    return BN_OK;
}

static bn_status write_state(const bn_fetch *fetch, bn_error *err)
{
    json_t *state =
        json_pack("{s:i,s:s,s:s,s:s,s:s}", "schema_version", 1, "dataset", fetch->job->dataset,
                  "config", fetch->config, "split", fetch->split, "column", fetch->job->column);
    char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
    bn_status status = text ? bn_file_write(fetch->state_path, text, strlen(text), 0666, err)
                            : bn_fail(err, BN_EINVAL, "the dataset's name is not UTF-8");
    free(text);
    json_decref(state);
    return status;
}

static bn_status read_state(const bn_fetch *fetch, bn_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    if (!bn_file_exists(fetch->state_path)) return write_state(fetch, err);
    bn_status status = bn_file_read(fetch->state_path, STATE_LIMIT, &text, &bytes, err);
    if (status != BN_OK) return status;
    json_t *state = json_loadb(text, bytes, 0, NULL);
    status = check_state(fetch, state, err);
    json_decref(state);
    free(text);
    return status;
}

/* Bytes up to and with the last newline: what comes after it was cut off by a crash. */
static bn_status whole_bytes(const bn_fetch *fetch, off_t *end, bn_error *err)
{
    char tail[4096];
    struct stat info;
    if (fstat(fetch->fd, &info) != 0) return bn_fail_errno(err, "stat %s", fetch->rows_path);
    for (*end = info.st_size; *end > 0;) {
        size_t count = *end < (off_t)sizeof tail ? (size_t)*end : sizeof tail;
        if (pread(fetch->fd, tail, count, *end - (off_t)count) != (ssize_t)count) {
            return bn_fail_errno(err, "read %s", fetch->rows_path);
        }
        for (size_t i = count; i > 0; i--, (*end)--) {
            if (tail[i - 1] == '\n') return BN_OK;
        }
    }
    return BN_OK;
}

/* The row's number stands at the beginning of its line: {"row":123, */
static bn_status last_row(bn_fetch *fetch, off_t end, bn_error *err)
{
    char head[64] = "";
    off_t start = end - 1;
    char c = 0;
    fetch->next = 0;
    if (end == 0) return BN_OK;
    while (start > 0 && pread(fetch->fd, &c, 1, start - 1) == 1 && c != '\n') start--;
    long long row = -1;
    if (pread(fetch->fd, head, sizeof head - 1, start) < 1 ||
        sscanf(head, "{\"row\":%lld,", &row) != 1 || row < 0) { /* NOLINT(cert-err34-c): checked */
        return bn_fail(err, BN_EINVAL, "%s: its last line is no row", fetch->rows_path);
    }
    fetch->next = row + 1;
    return BN_OK;
}

static bn_status open_rows(bn_fetch *fetch, bn_error *err)
{
    const char *out = fetch->job->out;
    off_t end = 0;
    if (bn_dir_make(out, 0777, err) != BN_OK ||
        bn_path_join(fetch->rows_path, out, "rows.jsonl", err) != BN_OK ||
        bn_path_join(fetch->state_path, out, "fetch.json", err) != BN_OK) {
        return err->status;
    }
    fetch->fd = open(fetch->rows_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fetch->fd < 0) return bn_fail_errno(err, "open %s", fetch->rows_path);
    if (flock(fetch->fd, LOCK_EX | LOCK_NB) != 0) {
        return bn_fail(err, BN_EAGAIN, "another fetch is writing %s", out);
    }
    if (read_state(fetch, err) != BN_OK || whole_bytes(fetch, &end, err) != BN_OK) {
        return err->status;
    }
    if (ftruncate(fetch->fd, end) != 0) return bn_fail_errno(err, "cut %s", fetch->rows_path);
    if (lseek(fetch->fd, end, SEEK_SET) < 0) return bn_fail_errno(err, "seek %s", fetch->rows_path);
    return last_row(fetch, end, err);
}

static bn_status refuse_column(const bn_fetch *fetch, json_t *row, bn_error *err)
{
    char listed[120] = "";
    size_t used = 0;
    const char *name;
    json_t *value;
    json_object_foreach(row, name, value)
    {
        if (!json_is_string(value) || used >= sizeof listed - 1) continue;
        int more = snprintf(listed + used, sizeof listed - used, "%s%s", used ? ", " : "", name);
        used += more > 0 ? (size_t)more : 0;
    }
    return bn_fail(err, BN_EINVAL, "dataset '%.60s' has no text in column '%.40s'; text is in: %s",
                   fetch->job->dataset, fetch->job->column, used ? listed : "none");
}

static bool is_cut(const json_t *row, const char *column)
{
    size_t index;
    const json_t *cell;
    json_array_foreach(json_object_get(row, "truncated_cells"), index, cell)
    {
        const char *name = json_string_value(cell);
        if (name && strcmp(name, column) == 0) return true;
    }
    return false;
}

static bn_status add_row(bn_fetch *fetch, const json_t *row, int64_t expected, bn_error *err)
{
    json_t *cells = json_object_get(row, "row");
    const json_t *text = json_object_get(cells, fetch->job->column);
    const json_t *number = json_object_get(row, "row_idx");
    if (!json_is_integer(number) || json_integer_value(number) != expected) {
        return bn_fail(err, BN_EIO, "the hub sent row %lld where row %lld was due",
                       (long long)json_integer_value(number), (long long)expected);
    }
    if (!json_is_string(text) && !json_is_null(text)) return refuse_column(fetch, cells, err);
    char *quoted = json_is_string(text) ? json_dumps(text, JSON_ENCODE_ANY) : strdup("\"\"");
    if (!quoted) return bn_fail(err, BN_ENOMEM, "no memory for row %lld", (long long)expected);
    bool cut = is_cut(row, fetch->job->column);
    bn_text_addf(&fetch->page, "{\"row\":%lld,\"text\":", (long long)expected);
    bn_text_add(&fetch->page, quoted);
    bn_text_add(&fetch->page, cut ? ",\"truncated\":true}\n" : "}\n");
    fetch->progress.cut_rows += cut;
    fetch->progress.text_bytes += (int64_t)json_string_length(text);
    free(quoted);
    return BN_OK;
}

/* The page reaches the disk whole or, after a crash, is cut back to its last whole line. */
static bn_status append_page(bn_fetch *fetch, bn_error *err)
{
    if (fetch->page.failed) return bn_fail(err, BN_ENOMEM, "no memory for a page of rows");
    const char *bytes = fetch->page.data;
    for (size_t left = fetch->page.length; left > 0;) {
        ssize_t done = write(fetch->fd, bytes, left);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return bn_fail_errno(err, "write %s", fetch->rows_path);
        bytes += done;
        left -= (size_t)done;
    }
    if (fsync(fetch->fd) != 0) return bn_fail_errno(err, "fsync %s", fetch->rows_path);
    return BN_OK;
}

static bn_status read_page(bn_fetch *fetch, const json_t *reply, size_t *count, bn_error *err)
{
    const json_t *rows = json_object_get(reply, "rows");
    const json_t *total = json_object_get(reply, "num_rows_total");
    if (!json_is_array(rows)) return bn_fail(err, BN_EIO, "the hub's reply has no rows");
    if (json_is_integer(total)) fetch->total = json_integer_value(total);
    *count = json_array_size(rows);
    bn_text_clear(&fetch->page);
    for (size_t i = 0; i < *count; i++) {
        bn_status status = add_row(fetch, json_array_get(rows, i), fetch->next + (int64_t)i, err);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

static bn_status fetch_page(bn_fetch *fetch, int64_t want, size_t *count, bn_error *err)
{
    char offset[32];
    char length[32];
    json_t *reply = NULL;
    (void)snprintf(offset, sizeof offset, "%lld", (long long)fetch->next);
    (void)snprintf(length, sizeof length, "%lld", (long long)want);
    const char *const pairs[] = {"dataset", fetch->job->dataset,
                                 "config",  fetch->config,
                                 "split",   fetch->split,
                                 "offset",  offset,
                                 "length",  length,
                                 NULL};
    bn_status status = bn_hub_api_ask(&fetch->api, "/rows", pairs, &reply, err);
    if (status == BN_OK) status = read_page(fetch, reply, count, err);
    if (status == BN_OK) status = append_page(fetch, err);
    json_decref(reply);
    return status;
}

static int64_t wanted(const bn_fetch *fetch)
{
    int64_t asked = fetch->job->rows;
    if (fetch->total < 0) return asked > 0 ? asked : INT64_MAX;
    return asked > 0 && asked < fetch->total ? asked : fetch->total;
}

static void tell(bn_fetch *fetch)
{
    fetch->progress.rows = fetch->next;
    fetch->progress.wanted = wanted(fetch);
    if (fetch->job->tell) fetch->job->tell(fetch->job->self, &fetch->progress);
}

static bn_status fetch_rows(bn_fetch *fetch, bn_error *err)
{
    tell(fetch);
    while (fetch->next < wanted(fetch)) {
        size_t count = 0;
        int64_t left = wanted(fetch) - fetch->next;
        int64_t want = left < BN_HUB_PAGE_ROWS ? left : BN_HUB_PAGE_ROWS;
        bn_status status = fetch_page(fetch, want, &count, err);
        if (status != BN_OK) return status;
        if (count == 0 && fetch->next < fetch->total) {
            return bn_fail(err, BN_EAGAIN, "the hub has %lld rows but gives none from row %lld on",
                           (long long)fetch->total, (long long)fetch->next);
        }
        if (count == 0) fetch->total = fetch->next;
        fetch->next += (int64_t)count;
        fetch->progress.fetched += (int64_t)count;
        tell(fetch);
    }
    return BN_OK;
}

bn_status bn_hub_fetch(const bn_hub_job *job, bn_hub_progress *result, bn_error *err)
{
    bn_fetch fetch = {.job = job, .fd = -1, .total = -1};
    bn_status status = bn_hub_api_open(&fetch.api, job, &fetch.progress, err);
    if (status == BN_OK) status = choose_split(&fetch, err);
    if (status == BN_OK) status = open_rows(&fetch, err);
    if (status == BN_OK) {
        ask_size(&fetch);
        status = fetch_rows(&fetch, err);
    }
    *result = fetch.progress;
    result->rows = fetch.next;
    if (fetch.fd >= 0) (void)close(fetch.fd);
    bn_text_release(&fetch.page);
    bn_hub_api_close(&fetch.api);
    return status;
}
