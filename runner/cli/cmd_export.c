/* cmd_export.c - bnexp export: every number of the home, none sampled away. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/text.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "store/history.h"
#include "store/run.h"

typedef struct export_flags {
    const char *home, *format, *out, *sweep;
    bn_option_list runs, metrics;
} export_flags;

typedef struct exporter {
    const export_flags *flags;
    bn_store *store;
    bn_history_reader *reader;
    FILE *file;
    bn_text text; /* one stretch of records */
    void (*add)(struct exporter *self, const bn_run *run, const bn_record *record);
} exporter;

static bool wanted(const export_flags *flags, const char *key)
{
    for (size_t i = 0; i < flags->metrics.count; i++) {
        if (strcmp(flags->metrics.items[i], key) == 0) return true;
    }
    return flags->metrics.count == 0;
}

/* As events.jsonl says it, so that NaN and infinities survive the way out and back. */
static void add_jsonl(exporter *self, const bn_run *run, const bn_record *record)
{
    bn_json json = {.text = &self->text, .nonfinite = BN_NONFINITE_QUOTED};
    bn_json_object(&json);
    bn_json_key(&json, "run");
    bn_json_string(&json, run->key);
    bn_json_key(&json, "seq");
    bn_json_int(&json, record->seq);
    bn_json_key(&json, "step");
    bn_json_int(&json, record->step);
    bn_json_key(&json, "wall_s");
    bn_json_real(&json, record->wall_s);
    bn_json_key(&json, "values");
    bn_json_object(&json);
    for (size_t i = 0; i < record->count; i++) {
        if (!wanted(self->flags, record->values[i].key)) continue;
        bn_json_key(&json, record->values[i].key);
        bn_json_real(&json, record->values[i].number);
    }
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    bn_text_add(&self->text, "\n");
}

/* RFC 4180: quoted when it holds a comma, a quote or a line's end. */
static void add_csv_words(bn_text *text, const char *words)
{
    if (words[strcspn(words, ",\"\r\n")] == '\0') {
        bn_text_add(text, words);
        return;
    }
    bn_text_add(text, "\"");
    for (const char *c = words; *c; c++) {
        if (*c == '"') bn_text_add(text, "\"");
        bn_text_add_bytes(text, c, 1);
    }
    bn_text_add(text, "\"");
}

static void add_csv(exporter *self, const bn_run *run, const bn_record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        if (!wanted(self->flags, record->values[i].key)) continue;
        add_csv_words(&self->text, run->key);
        bn_text_add(&self->text, ",");
        add_csv_words(&self->text, run->name);
        bn_text_addf(&self->text, ",%lld,%lld,", (long long)record->seq, (long long)record->step);
        bn_text_number(&self->text, record->wall_s, BN_NONFINITE_BARE);
        bn_text_add(&self->text, ",");
        add_csv_words(&self->text, record->values[i].key);
        bn_text_add(&self->text, ",");
        bn_text_number(&self->text, record->values[i].number, BN_NONFINITE_BARE);
        bn_text_add(&self->text, "\n");
    }
}

static bn_status flush(exporter *self, bn_error *err)
{
    if (self->text.failed) return bn_fail(err, BN_ENOMEM, "export: out of memory");
    size_t length = self->text.length;
    if (length && fwrite(self->text.data, 1, length, self->file) != length) {
        return bn_fail_errno(err, "write %s", self->flags->out ? self->flags->out : "to stdout");
    }
    bn_text_clear(&self->text);
    return BN_OK;
}

static bn_status export_run(exporter *self, const bn_run *run, bn_error *err)
{
    const bn_record *records = NULL;
    size_t count = 0;
    int64_t next = 0;
    do {
        if (bn_history_read(self->reader, run->id, next, &records, &count, err) != BN_OK) {
            return bn_fail_in(err, "run %s", run->key);
        }
        for (size_t i = 0; i < count; i++) self->add(self, run, &records[i]);
        if (flush(self, err) != BN_OK) return err->status;
        next += (int64_t)count;
    } while (count > 0);
    return BN_OK;
}

static bn_status export_named(exporter *self, bn_error *err)
{
    const bn_option_list *names = &self->flags->runs;
    bn_status status = BN_OK;
    bn_run *runs = calloc(names->count, sizeof *runs);
    if (!runs) return bn_fail(err, BN_ENOMEM, "export: out of memory");
    for (size_t i = 0; status == BN_OK && i < names->count; i++) {
        status = bn_run_find(self->store, names->items[i], &runs[i], err);
    }
    for (size_t i = 0; status == BN_OK && i < names->count; i++) {
        status = export_run(self, &runs[i], err);
    }
    free(runs);
    return status;
}

static bn_status export_all(exporter *self, bn_error *err)
{
    bn_sweep sweep = {0};
    bn_run *runs = NULL;
    size_t count = 0;
    bn_status status = BN_OK;
    if (self->flags->sweep) status = bn_sweep_find(self->store, self->flags->sweep, &sweep, err);
    if (status == BN_OK) status = bn_run_list(self->store, sweep.id, &runs, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        status = export_run(self, &runs[i], err);
    }
    free(runs);
    return status;
}

static bn_status choose_format(exporter *self, bn_error *err)
{
    const char *format = self->flags->format;
    if (strcmp(format, "jsonl") == 0) {
        self->add = add_jsonl;
    } else if (strcmp(format, "csv") == 0) {
        self->add = add_csv;
        bn_text_add(&self->text, "run,name,seq,step,wall_s,key,value\n");
    } else {
        return bn_fail(err, BN_EINVAL,
                       "--format must be csv, jsonl, tensorboard or wandb-offline, is '%.40s'",
                       format);
    }
    if (self->flags->sweep && self->flags->runs.count) {
        return bn_fail(err, BN_EINVAL, "--sweep and --run exclude each other");
    }
    return BN_OK;
}

static bn_status write_all(exporter *self, bn_error *err)
{
    bn_status status = self->flags->runs.count ? export_named(self, err) : export_all(self, err);
    if (status == BN_OK) status = flush(self, err); /* the heading of an export without records */
    if (status == BN_OK && fflush(self->file) != 0) {
        status = bn_fail_errno(err, "write %s", self->flags->out ? self->flags->out : "to stdout");
    }
    return status;
}

/* Into a file beside it that takes the name only when it is whole. */
static bn_status write_file(exporter *self, bn_error *err)
{
    char part[BN_PATH_MAX];
    const char *out = self->flags->out;
    int length = snprintf(part, sizeof part, "%s.part", out);
    if (length < 0 || (size_t)length >= sizeof part) {
        return bn_fail(err, BN_EINVAL, "--out is too long a path");
    }
    if (bn_file_check_name(out, err) != BN_OK) return bn_fail_in(err, "--out");
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    self->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!self->file) {
        (void)bn_fail_errno(err, "create %s", part);
        if (fd >= 0) (void)close(fd);
        return err->status;
    }
    bn_status status = write_all(self, err);
    if (status == BN_OK && fsync(fd) != 0) status = bn_fail_errno(err, "write %s", part);
    if (fclose(self->file) != 0 && status == BN_OK) status = bn_fail_errno(err, "write %s", part);
    if (status == BN_OK && rename(part, out) != 0) status = bn_fail_errno(err, "rename to %s", out);
    if (status != BN_OK) (void)unlink(part);
    return status;
}

static bn_status export_home(const export_flags *flags, bn_error *err)
{
    exporter self = {.flags = flags, .file = stdout};
    bn_status status = choose_format(&self, err);
    if (status == BN_OK) {
        status = bn_store_open(&self.store, bn_command_home(flags->home), BN_STORE_READ, err);
    }
    if (status == BN_OK) status = bn_history_reader_open(&self.reader, self.store, err);
    if (status == BN_OK) {
        status = flags->out ? write_file(&self, err) : write_all(&self, err);
    }
    bn_history_reader_close(self.reader);
    bn_store_close(self.store);
    bn_text_release(&self.text);
    return status;
}

/* Formats that are folders of files are reporters: what was written once is not written again. */
static int export_folder(const export_flags *flags, const char *dir)
{
    const char *const words[] = {"sync",  flags->format, "--home", bn_command_home(flags->home),
                                 "--out", dir,           NULL};
    char *arguments[sizeof words / sizeof words[0] + 2]; /* nothing writes to them */
    memcpy(arguments, words, sizeof words);
    int count = sizeof words / sizeof words[0] - 1;
    const char *const sweep[] = {"--", flags->sweep, NULL};
    if (flags->sweep) {
        memcpy(&arguments[count], sweep, sizeof sweep);
        count += 2;
    }
    return bn_cmd_sync(count, arguments);
}

static bool is_folder_format(const char *format)
{
    return strcmp(format, "tensorboard") == 0 || strcmp(format, "wandb-offline") == 0;
}

/* The folder: --out, or the one argument. */
static bn_status find_folder(const export_flags *flags, const bn_option_list *arguments,
                             const char **dir, bn_error *err)
{
    *dir = arguments->count ? arguments->items[0] : flags->out;
    if (flags->runs.count || flags->metrics.count) {
        return bn_fail(err, BN_EINVAL, "--run and --metric do not go with --format %s",
                       flags->format);
    }
    if (*dir) return BN_OK;
    return bn_fail(err, BN_EINVAL, "--format %s needs a folder: --out DIR", flags->format);
}

int bn_cmd_export(int argc, char **argv)
{
    export_flags flags = {.format = "jsonl"};
    bool help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--format", 'f', BN_OPTION_TEXT, &flags.format, "FORMAT",
         "csv, jsonl, tensorboard or wandb-offline"},
        {"--out", 'o', BN_OPTION_TEXT, &flags.out, "PATH",
         "a file, whole or not at all; of the last two a folder"},
        {"--run", 0, BN_OPTION_LIST, &flags.runs, "RUN", "only this run; repeatable"},
        {"--sweep", 0, BN_OPTION_TEXT, &flags.sweep, "NAME", "only runs of this sweep"},
        {"--metric", 'm', BN_OPTION_LIST, &flags.metrics, "KEY", "only this metric; repeatable"},
    };
    const bn_options options = {
        .usage = "bnexp export --format FORMAT [DIR] [options]",
        .about =
            "Writes every record, none sampled away:\n"
            "  jsonl  {\"run\":ID,\"seq\":..,\"step\":..,\"wall_s\":..,\"values\":{..}}, with\n"
            "         \"NaN\" \"Infinity\" \"-Infinity\" for what JSON cannot say\n"
            "  csv    run,name,seq,step,wall_s,key,value\n"
            "  tensorboard, wandb-offline\n"
            "         a folder of event files, or of files for 'wandb sync'; another call adds\n"
            "         what is new",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_error err = {0};
    const char *dir = NULL;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help && is_folder_format(flags.format)) {
        status = find_folder(&flags, &arguments, &dir, &err);
        return status == BN_OK ? export_folder(&flags, dir) : bn_command_fail(&err);
    }
    if (status == BN_OK && arguments.count) {
        status = bn_fail(&err, BN_EINVAL,
                         "a folder goes with --format tensorboard or "
                         "wandb-offline only; say --out FILE");
    }
    if (status == BN_OK && !help) status = export_home(&flags, &err);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
