/* cmd_generate.c - bnexp generate RUN: text from a trained network, as it is produced. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/generate.h"
#include "runner/cli/checkpoint_of.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "runner/cli/words.h"

typedef struct generate_options {
    const char *run, *home, *prompt, *tokenizer, *head;
    int64_t tokens, seed, threads;
    double temperature, top_p;
    bool best, quiet, help;
} generate_options;

static bn_status parse(int argc, char **argv, generate_options *o, bn_error *err)
{
    const bn_option table[] = {
        {"--prompt", 'p', BN_OPTION_TEXT, &o->prompt, "TEXT",
         "what to go on from; - reads standard\n"
         "input as it is; a line's end"},
        {"--tokens", 'n', BN_OPTION_INT, &o->tokens, "N", "at most so many; 256"},
        {"--temperature", 't', BN_OPTION_REAL, &o->temperature, "X", "0: the likeliest; 0.8"},
        {"--top-p", 0, BN_OPTION_REAL, &o->top_p, "X", "of the likeliest with so much; 0.95"},
        {"--seed", 0, BN_OPTION_INT, &o->seed, "N", "another seed, another text; 0"},
        {"--best", 0, BN_OPTION_FLAG, &o->best, NULL, "the best checkpoint, not the newest"},
        {"--tokenizer", 0, BN_OPTION_TEXT, &o->tokenizer, "T", "instead of the run's own"},
        {"--head", 0, BN_OPTION_TEXT, &o->head, "HEAD", "int8, or trained: exact, slower; int8"},
        {"--threads", 0, BN_OPTION_INT, &o->threads, "N", "0: one a core"},
        {"--quiet", 'q', BN_OPTION_FLAG, &o->quiet, NULL, "no figures on standard error"},
        {"--home", 0, BN_OPTION_TEXT, &o->home, "DIR", "where runs are"},
    };
    const bn_option_range ranges[] = {
        {&o->tokens, 1, INFINITY, false},
        {&o->temperature, 0, 100, false},
        {&o->top_p, 0, 1, true},
        {&o->seed, 0, INFINITY, false},
        {&o->threads, 0, BN_OPTION_THREADS_MAX, false},
    };
    const bn_options options = {
        .usage = "bnexp generate RUN [options]",
        .about = "Goes on from a prompt with a trained network, its ternary weights packed to 2\n"
                 "bits or less. RUN is a run's name or id, its folder, or a checkpoint's file.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &o->help, err);
    if (status == BN_OK && !o->help) o->run = arguments.items[0];
    return status;
}

enum { PROMPT_BYTES_MAX = 1 << 20 };

/* What is printed: the prompt first, once it is known to be one that the network takes. */
typedef struct page {
    const char *prompt;
    size_t prompt_bytes;
    bool begun;
} page;

/* false: nobody reads any more. */
static bool print(void *self, const char *text, size_t bytes)
{
    page *p = self;
    bool begins = !p->begun;
    p->begun = true;
    if (begins && fwrite(p->prompt, 1, p->prompt_bytes, stdout) != p->prompt_bytes) return false;
    return fwrite(text, 1, bytes, stdout) == bytes && fflush(stdout) == 0;
}

/* The prompt as it is to be read; *memory is the caller's to free. */
static bn_status take_prompt(const generate_options *o, page *out, char **memory, bn_error *err)
{
    *out = (page){.prompt = o->prompt, .prompt_bytes = strlen(o->prompt)};
    if (strcmp(o->prompt, "-") != 0) return BN_OK;
    *memory = malloc(PROMPT_BYTES_MAX + 1);
    if (!*memory) return bn_fail(err, BN_ENOMEM, "no memory for a prompt");
    out->prompt = *memory;
    out->prompt_bytes = fread(*memory, 1, PROMPT_BYTES_MAX + 1, stdin);
    if (ferror(stdin)) return bn_fail(err, BN_EIO, "standard input cannot be read");
    if (out->prompt_bytes <= PROMPT_BYTES_MAX) return BN_OK;
    return bn_fail(err, BN_EINVAL, "standard input has more than %d bytes of prompt",
                   PROMPT_BYTES_MAX);
}

static void print_figures(const bn_infer *infer, const bn_generate_result *result)
{
    bn_infer_bytes bytes = bn_infer_measure(infer);
    double decoded = (double)(result->tokens > 1 ? result->tokens : 1);
    char blocks[BN_WORDS_MAX], rest[BN_WORDS_MAX];
    (void)fprintf(stderr,
                  "%lld prompt tokens at %.0f/s, %lld tokens at %.0f/s; %.2f bits a weight of the "
                  "blocks (%s), table and head %s\n",
                  (long long)result->prompt_tokens,
                  (double)result->prompt_tokens / result->prefill_s, (long long)result->tokens,
                  decoded / result->decode_s, 8.0 * (double)bytes.linear / (double)bytes.weights,
                  bn_words_bytes(blocks, (double)bytes.linear),
                  bn_words_bytes(rest, (double)(bytes.table + bytes.head)));
}

static bn_status open_tokenizer(const generate_options *o, const bn_infer *infer,
                                bn_tokenizer **out, bn_error *err)
{
    const bn_config *config = bn_infer_config(infer);
    const char *spec = o->tokenizer ? o->tokenizer : config->data.tokenizer;
    bn_status status = bn_tokenizer_open(out, spec, err);
    if (status != BN_OK) return status;
    if (bn_tokenizer_vocab(*out) <= config->model.vocab) return BN_OK;
    return bn_fail(err, BN_EINVAL, "tokenizer '%.80s' has %d ids, the network %lld", spec,
                   bn_tokenizer_vocab(*out), (long long)config->model.vocab);
}

static bn_status generate(const generate_options *o, bn_error *err)
{
    char path[BN_PATH_MAX];
    bn_infer *infer = NULL;
    bn_tokenizer *tokenizer = NULL;
    bn_generate_result result;
    page out;
    char *memory = NULL;
    bn_infer_options options = {.threads = (int)o->threads};
    bn_status status = bn_infer_head_parse(&options.head, o->head, err);
    if (status == BN_OK) status = take_prompt(o, &out, &memory, err);
    if (status == BN_OK) {
        status = bn_checkpoint_of(path, bn_command_home(o->home), o->run, o->best, err);
    }
    if (status == BN_OK) status = bn_infer_open_file(&infer, path, &options, err);
    if (status == BN_OK) status = open_tokenizer(o, infer, &tokenizer, err);
    if (status == BN_OK) {
        const bn_generate_job job = {.infer = infer,
                                     .tokenizer = tokenizer,
                                     .prompt = out.prompt,
                                     .prompt_bytes = out.prompt_bytes,
                                     .tokens = o->tokens,
                                     .sampling = {o->temperature, o->top_p, (uint64_t)o->seed},
                                     .emit = print,
                                     .self = &out};
        status = bn_generate(&job, &result, err);
        if (status == BN_OK) (void)print(&out, "\n", 1);
    }
    if (status == BN_OK && !o->quiet) print_figures(infer, &result);
    bn_tokenizer_close(tokenizer);
    bn_infer_close(infer);
    free(memory);
    return status;
}

int bn_cmd_generate(int argc, char **argv)
{
    generate_options o = {
        .prompt = "\n", .head = "int8", .tokens = 256, .temperature = 0.8, .top_p = 0.95};
    bn_error err = {0};
    if (parse(argc, argv, &o, &err) != BN_OK) return bn_command_fail(&err);
    if (o.help) return BN_EXIT_OK;
    return generate(&o, &err) == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
