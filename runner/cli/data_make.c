#include "runner/cli/data_make.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/corpus/hub.h"
#include "engine/corpus/prepare.h"
#include "engine/corpus/tokenizer.h"
#include "runner/cli/command.h"
#include "runner/cli/options.h"
#include "runner/cli/progress.h"

/* One line on stderr: again and again on a terminal, else every few seconds. */
typedef struct bn_ticker {
    bool terminal;
    double started_s, said_s;
    int64_t first; /* rows that were there before */
} bn_ticker;

enum { SAY_EVERY_S = 5 };

static bn_ticker ticker_start(void)
{
    return (bn_ticker){.terminal = isatty(STDERR_FILENO) != 0,
                       .started_s = bn_clock_mono_s(),
                       .said_s = -1e9,
                       .first = -1};
}

/* Is it time for a line? */
static bool ticker_due(bn_ticker *ticker, bool last)
{
    double now = bn_clock_mono_s();
    double gap = ticker->terminal ? 0.1 : SAY_EVERY_S;
    if (!last && now - ticker->said_s < gap) return false;
    ticker->said_s = now;
    return true;
}

static void ticker_line(const bn_ticker *ticker, const char *line, bool last)
{
    (void)fprintf(stderr, ticker->terminal ? "\r%-78s%s" : "%s%s", line,
                  !ticker->terminal || last ? "\n" : "");
    (void)fflush(stderr);
}

/* What is left at the speed so far; "" when that cannot be told. */
static const char *ticker_eta(const bn_ticker *ticker, double done, double left, char out[48])
{
    char words[32];
    double seconds = bn_clock_mono_s() - ticker->started_s;
    out[0] = '\0';
    if (done > 0 && seconds > 0.5) {
        (void)snprintf(out, 48, ", %s left", bn_progress_time(words, left * seconds / done));
    }
    return out;
}

static void tell_fetch(void *self, const bn_hub_progress *progress)
{
    bn_ticker *ticker = self;
    char line[256];
    char eta[48];
    if (ticker->first < 0) ticker->first = progress->rows;
    if (progress->waits_s > 0) {
        (void)snprintf(line, sizeof line, "waiting %.0f s: %s", progress->waits_s,
                       progress->waits_for);
        ticker_line(ticker, line, true);
        return;
    }
    bool last = progress->rows >= progress->wanted;
    if (!ticker_due(ticker, last)) return;
    int64_t left = progress->wanted - progress->rows;
    (void)snprintf(line, sizeof line, "%lld of %lld rows, %.1f MB%s", (long long)progress->rows,
                   (long long)progress->wanted, (double)progress->text_bytes / 1e6,
                   ticker_eta(ticker, (double)progress->fetched, (double)left, eta));
    ticker_line(ticker, line, last);
}

static void sleep_for(void *self, double seconds)
{
    (void)self;
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&time, &time) != 0) {
    }
}

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): before any thread */
    return value && *value ? value : otherwise;
}

static int run_fetch(bn_hub_job *job)
{
    bn_error err = {0};
    bn_hub_progress progress;
    bn_ticker ticker = ticker_start();
    char url[512];
    (void)snprintf(url, sizeof url, "%s", environment("BNEXP_HF_URL", BN_HUB_URL));
    for (size_t end = strlen(url); end > 0 && url[end - 1] == '/'; end--) url[end - 1] = '\0';
    job->url = url;
    job->token = environment("HF_TOKEN", NULL);
    job->tell = tell_fetch;
    job->wait = sleep_for;
    job->self = &ticker;
    if (bn_hub_fetch(job, &progress, &err) != BN_OK) {
        int code = bn_command_fail(&err);
        return err.status == BN_EAGAIN ? BN_EXIT_ERROR : code;
    }
    (void)printf("%s/rows.jsonl: %lld rows, %lld of them new\n", job->out, (long long)progress.rows,
                 (long long)progress.fetched);
    if (progress.cut_rows > 0) {
        (void)printf("the server cut the text of %lld new rows (\"truncated\":true)\n",
                     (long long)progress.cut_rows);
    }
    return BN_EXIT_OK;
}

int bn_data_fetch(int argc, char **argv)
{
    bn_error err = {0};
    bool help = false;
    bn_hub_job job = {.column = "text"};
    bn_option_list arguments;
    const bn_option table[] = {
        {"--config", 0, BN_OPTION_TEXT, &job.config, "C", "which of the dataset's parts"},
        {"--split", 0, BN_OPTION_TEXT, &job.split, "S", "train, unless there is no choice"},
        {"--column", 0, BN_OPTION_TEXT, &job.column, "NAME", "which column is the text; text"},
        {"--rows", 0, BN_OPTION_INT, &job.rows, "N", "so many from the first on; 0: all"},
        {"--out", 'o', BN_OPTION_TEXT, &job.out, "DIR", "folder for rows.jsonl"},
    };
    const bn_option_range ranges[] = {{&job.rows, 0, INFINITY, false}};
    const bn_options options = {
        .usage = "bnexp data fetch DATASET --out DIR [options]",
        .about = "Fetches rows of a Hugging Face dataset through its viewer's API, 100 at a time.\n"
                 "Stopped or killed, the same command goes on where it was; no row comes twice.\n"
                 "HF_TOKEN is sent to huggingface.co only; BNEXP_HF_URL names another server.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && help) return BN_EXIT_OK;
    if (status == BN_OK && !job.out) status = bn_fail(&err, BN_EINVAL, "--out DIR is missing");
    if (status != BN_OK) return bn_command_fail(&err);
    job.dataset = arguments.items[0];
    return run_fetch(&job);
}

static void tell_prepare(void *self, const bn_prepare_progress *progress)
{
    bn_ticker *ticker = self;
    char line[256];
    char eta[48];
    bool last = progress->bytes_read >= progress->bytes_total;
    if (!ticker_due(ticker, last)) return;
    double left = (double)(progress->bytes_total - progress->bytes_read);
    long long tokens = progress->train_tokens;
    tokens += progress->val_tokens;
    (void)snprintf(line, sizeof line, "%.1f of %.1f MB, %lld documents, %lld tokens%s",
                   (double)progress->bytes_read / 1e6, (double)progress->bytes_total / 1e6,
                   (long long)progress->documents, tokens,
                   ticker_eta(ticker, (double)progress->bytes_read, left, eta));
    ticker_line(ticker, line, last);
}

static int run_prepare(bn_prepare_job *job)
{
    bn_error err = {0};
    bn_prepare_progress progress;
    bn_ticker ticker = ticker_start();
    job->tell = tell_prepare;
    job->self = &ticker;
    if (bn_prepare(job, &progress, &err) != BN_OK) return bn_command_fail(&err);
    (void)printf("%s: %lld documents, %lld held out; %lld + %lld tokens of %.2f bytes each\n",
                 job->out, (long long)progress.documents, (long long)progress.held_out,
                 (long long)progress.train_tokens, (long long)progress.val_tokens,
                 (double)progress.text_bytes /
                     (double)(progress.train_tokens + progress.val_tokens));
    return BN_EXIT_OK;
}

int bn_data_prepare(int argc, char **argv)
{
    bn_error err = {0};
    bool help = false;
    int64_t threads = 0;
    bn_prepare_job job = {.column = "text", .tokenizer = "bytes", .val_fraction = 0.01};
    bn_option_list files;
    const bn_option table[] = {
        {"--tokenizer", 0, BN_OPTION_TEXT, &job.tokenizer, "T", "bytes, or a SentencePiece model"},
        {"--out", 'o', BN_OPTION_TEXT, &job.out, "DIR", "folder for the shards; must not exist"},
        {"--val-fraction", 0, BN_OPTION_REAL, &job.val_fraction, "X", "of documents; 0.01"},
        {"--column", 0, BN_OPTION_TEXT, &job.column, "NAME", "text of a .jsonl's rows; text"},
        {"--threads", 0, BN_OPTION_INT, &threads, "N", "0: one a core"},
    };
    const bn_option_range ranges[] = {
        {&job.val_fraction, 0, 0.5, true},
        {&threads, 0, BN_PREPARE_THREADS_MAX, false},
    };
    const bn_options options = {
        .usage = "bnexp data prepare DIR|FILE... --out DIR [options]",
        .about = "Tokenizes documents into shards that data.path can name. A .jsonl holds a\n"
                 "document a line, any other file is one; a folder stands for its .jsonl and .txt\n"
                 "files. Whole documents are held out for validation.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = BN_OPTION_LIST_MAX,
    };
    bn_status status = bn_options_parse(&options, argc, argv, &files, &help, &err);
    if (status == BN_OK && help) return BN_EXIT_OK;
    if (status == BN_OK && !job.out) status = bn_fail(&err, BN_EINVAL, "--out DIR is missing");
    if (status != BN_OK) return bn_command_fail(&err);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads == 0) threads = cores < 1 ? 1 : cores;
    job.threads = threads > BN_PREPARE_THREADS_MAX ? BN_PREPARE_THREADS_MAX : (int)threads;
    job.paths = files.items;
    job.path_count = files.count;
    return run_prepare(&job);
}

int bn_data_tokenizer(int argc, char **argv)
{
    bn_error err = {0};
    bool help = false;
    int64_t vocab = 4096;
    bn_tokenizer_training training = {.column = "text", .out_path = "tokenizer.model"};
    bn_option_list files;
    const bn_option table[] = {
        {"--vocab", 0, BN_OPTION_INT, &vocab, "N", "pieces; 4096"},
        {"--out", 'o', BN_OPTION_TEXT, &training.out_path, "FILE", "tokenizer.model"},
        {"--column", 0, BN_OPTION_TEXT, &training.column, "NAME", "text of a .jsonl's rows; text"},
    };
    const bn_option_range ranges[] = {{&vocab, 1, 1 << 24, false}};
    const bn_options options = {
        .usage = "bnexp data tokenizer --vocab N [options] DIR|FILE...",
        .about = "Trains a SentencePiece BPE model as Llama's was: byte fallback, digits apart,\n"
                 "nothing normalized away. Use it as data.tokenizer.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = BN_OPTION_LIST_MAX,
    };
    bn_status status = bn_options_parse(&options, argc, argv, &files, &help, &err);
    if (status == BN_OK && help) return BN_EXIT_OK;
    if (status != BN_OK) return bn_command_fail(&err);
    training.vocab = (int)vocab;
    training.paths = files.items;
    training.path_count = files.count;
    if (bn_tokenizer_train(&training, &err) != BN_OK) return bn_command_fail(&err);
    (void)printf("%s: %lld pieces\n", training.out_path, (long long)vocab);
    return BN_EXIT_OK;
}
