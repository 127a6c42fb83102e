#include "reporters/wandb_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"

/* Of both files together in one plan. Escaped twice, the worst byte takes eight, and each line has
 * less than 100 bytes around it: a plan always fits a request. */
enum { PLAN_BYTES_MAX = 512 << 10, PLAN_LINES_MAX = 32 << 10 };

typedef struct stretch {
    char *data;
    size_t length;
    bool to_end; /* nothing is behind it in the file */
} stretch;

/* At most limit bytes of a file from `from` on; none when it cannot be read. */
static stretch read_stretch(const char *dir, const char *name, int64_t from, size_t limit)
{
    stretch got = {0};
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    struct stat info;
    if (bn_path_join(path, dir, name, &ignored) != BN_OK) return got;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return got;
    bool readable = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > from;
    got.data = readable && limit > 0 ? malloc(limit) : NULL;
    while (got.data && got.length < limit) {
        ssize_t count =
            pread(fd, got.data + got.length, limit - got.length, (off_t)from + (off_t)got.length);
        if (count <= 0) break;
        got.length += (size_t)count;
    }
    got.to_end = got.length < limit;
    (void)close(fd);
    return got;
}

static int64_t size_of(const char *dir, const char *name)
{
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    struct stat info;
    if (bn_path_join(path, dir, name, &ignored) != BN_OK || stat(path, &info) != 0) return 0;
    return info.st_size;
}

static int64_t count_lines(const stretch *text)
{
    int64_t lines = 0;
    for (size_t i = 0; i < text->length; i++) lines += text->data[i] == '\n';
    return lines + (text->length > 0 && text->data[text->length - 1] != '\n');
}

/* Cuts the stretch behind its last newline. What has no newline at all is taken when it fills the
 * whole stretch (an endless line goes in pieces) or when nothing can follow. */
static void cut_to_lines(stretch *text, bool whole)
{
    size_t length = text->length;
    if (whole && text->to_end) return;
    while (length > 0 && text->data[length - 1] != '\n') length--;
    if (length > 0 || text->to_end) text->length = length;
}

/* Cuts the stretch behind its first `count` lines. */
static void cut_to_count(stretch *text, int64_t count)
{
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] == '\n' && --count <= 0) text->length = i + 1;
    }
}

typedef struct budget {
    size_t bytes;
    int64_t lines;
} budget;

static void plan_file(const char *dir, const char *name, bool whole, int64_t *bytes, budget *left)
{
    if (left->lines == 0) return;
    stretch text = read_stretch(dir, name, *bytes, left->bytes);
    cut_to_lines(&text, whole);
    cut_to_count(&text, left->lines);
    *bytes += (int64_t)text.length;
    left->bytes -= text.length;
    left->lines -= count_lines(&text);
    free(text.data);
}

bool bn_wandb_log_plan(bn_wandb_memo *memo, const char *dir, bool whole, double now_s)
{
    if (memo->plan_read_s != 0) return true;
    /* A file that has shrunk was begun anew by another attempt. */
    if (size_of(dir, "stdout.log") < memo->log.out_bytes) memo->log.out_bytes = 0;
    if (size_of(dir, "stderr.log") < memo->log.err_bytes) memo->log.err_bytes = 0;
    bn_wandb_log_mark plan = memo->log;
    budget left = {.bytes = PLAN_BYTES_MAX, .lines = PLAN_LINES_MAX};
    plan_file(dir, "stdout.log", whole, &plan.out_bytes, &left);
    plan_file(dir, "stderr.log", whole, &plan.err_bytes, &left);
    plan.line += PLAN_LINES_MAX - left.lines;
    if (plan.line == memo->log.line) return false;
    memo->plan = plan;
    memo->plan_read_s = now_s;
    return true;
}

static void show_lines(const stretch *text, bool from_stderr, bn_wandb_log_seen *seen, void *self)
{
    for (size_t at = 0; at < text->length;) {
        const char *words = text->data + at;
        const char *end = memchr(words, '\n', text->length - at);
        size_t length = end ? (size_t)(end - words) : text->length - at;
        seen(self, words, length, from_stderr);
        at += length + 1;
    }
}

void bn_wandb_log_each(const bn_wandb_memo *memo, const char *dir, bn_wandb_log_seen *seen,
                       void *self)
{
    stretch text = read_stretch(dir, "stdout.log", memo->log.out_bytes,
                                (size_t)(memo->plan.out_bytes - memo->log.out_bytes));
    show_lines(&text, false, seen, self);
    free(text.data);
    text = read_stretch(dir, "stderr.log", memo->log.err_bytes,
                        (size_t)(memo->plan.err_bytes - memo->log.err_bytes));
    show_lines(&text, true, seen, self);
    free(text.data);
}

typedef struct list {
    bn_text *out;
    bn_text line;
    int64_t count;
    bn_wandb_log log;
} list;

static void add_line(void *self, const char *words, size_t length, bool from_stderr)
{
    list *to = self;
    to->log.words = words;
    to->log.length = length;
    to->log.from_stderr = from_stderr;
    bn_text_clear(&to->line);
    bn_wandb_log_line(&to->line, &to->log);
    if (to->count++) bn_text_add(to->out, ",");
    bn_text_quoted(to->out, to->line.data ? to->line.data : "");
    if (to->line.failed) to->out->failed = true;
}

int64_t bn_wandb_log_lines(bn_text *out, const bn_wandb_memo *memo, const char *dir,
                           bool structured)
{
    list to = {.out = out, .log = {.read_s = memo->plan_read_s, .structured = structured}};
    bn_wandb_log_each(memo, dir, add_line, &to);
    bn_text_release(&to.line);
    return to.count;
}

void bn_wandb_log_done(bn_wandb_memo *memo)
{
    memo->log = memo->plan;
    memo->plan = (bn_wandb_log_mark){0};
    memo->plan_read_s = 0;
}
