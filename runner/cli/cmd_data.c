/* cmd_data.c - bnexp data: text in, numbers about it and corpora out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "engine/base/text.h"
#include "engine/corpus/dataset.h"
#include "engine/corpus/entropy.h"
#include "engine/corpus/synth.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/data_make.h"
#include "runner/cli/options.h"

typedef struct bn_data_numbers {
    const char *path;
    const bn_dataset_info *info;
    bn_entropy entropy;
} bn_data_numbers;

/* One row a rate: its JSON name, nats per token, of which part, and what it is in words. */
typedef struct bn_rate {
    const char *name;
    double nats;
    bool held_out;
    const char *words;
} bn_rate;

enum { RATE_COUNT = 6 };

static void list_rates(const bn_entropy *e, bn_rate out[RATE_COUNT])
{
    const bn_rate rows[RATE_COUNT] = {
        {"unigram", e->unigram, false, "unigram entropy of the whole text"},
        {"bigram", e->bigram, false, "bigram entropy of the whole text"},
        {"val_unigram", e->val_unigram, true, "unigram entropy of the validation part"},
        {"val_bigram", e->val_bigram, true, "bigram entropy of the validation part"},
        {"cross_unigram", e->cross_unigram, true,
         "unigram model of the training part, on validation"},
        {"cross_bigram", e->cross_bigram, true, "bigram model of the training part, on validation"},
    };
    memcpy(out, rows, sizeof rows);
}

/* Bytes of text a token of the part stands for; 0: not known. */
static double bytes_per_token(const bn_dataset_info *info, bool held_out)
{
    if (held_out) return info->val_bytes_per_token;
    return (double)info->text_bytes / (double)(info->train_tokens + info->val_tokens);
}

static void print_json(const bn_data_numbers *numbers, bn_text *out)
{
    const bn_dataset_info *info = numbers->info;
    bn_rate rates[RATE_COUNT];
    list_rates(&numbers->entropy, rates);
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "path");
    bn_json_string(&json, numbers->path);
    bn_json_key(&json, "bytes");
    bn_json_int(&json, info->text_bytes);
    bn_json_key(&json, "tokens");
    bn_json_int(&json, info->train_tokens + info->val_tokens);
    bn_json_key(&json, "train_tokens");
    bn_json_int(&json, info->train_tokens);
    bn_json_key(&json, "val_tokens");
    bn_json_int(&json, info->val_tokens);
    bn_json_key(&json, "vocab");
    bn_json_int(&json, info->vocab);
    bn_json_key(&json, "distinct_tokens");
    bn_json_int(&json, numbers->entropy.distinct);
    for (size_t i = 0; i < RATE_COUNT; i++) {
        double bytes = bytes_per_token(info, rates[i].held_out);
        double per_byte = bytes > 0 ? rates[i].nats / bytes : (double)NAN;
        bn_json_key(&json, rates[i].name);
        bn_json_object(&json);
        bn_json_key(&json, "nats_per_token");
        bn_json_real(&json, rates[i].nats);
        bn_json_key(&json, "nats_per_byte");
        bn_json_real(&json, per_byte);
        bn_json_key(&json, "bits_per_byte");
        bn_json_real(&json, per_byte / log(2.0));
        bn_json_end_object(&json);
    }
    bn_json_key(&json, "entropy_floor_nats_per_byte");
    bn_json_real(&json, info->entropy_floor);
    bn_json_key(&json, "hash");
    bn_json_string(&json, info->hash);
    bn_json_end_object(&json);
    bn_text_add(out, "\n");
}

static void print_table(const bn_data_numbers *numbers, bn_text *out)
{
    const bn_dataset_info *info = numbers->info;
    bn_rate rates[RATE_COUNT];
    list_rates(&numbers->entropy, rates);
    bn_text_addf(out, "%s\n", numbers->path);
    bn_text_addf(out, "  bytes   %lld\n", (long long)info->text_bytes);
    long long train = info->train_tokens;
    long long val = info->val_tokens;
    bn_text_addf(out, "  tokens  %lld (training %lld, validation %lld)\n", train + val, train, val);
    bn_text_addf(out, "  vocabulary %d, of which %lld occur\n\n", info->vocab,
                 (long long)numbers->entropy.distinct);
    bn_text_addf(out, "  %-50s %10s %10s %10s\n", "", "nats/token", "nats/byte", "bits/byte");
    for (size_t i = 0; i < RATE_COUNT; i++) {
        double bytes = bytes_per_token(info, rates[i].held_out);
        bn_text_addf(out, "  %-50s %10.4f", rates[i].words, rates[i].nats);
        if (bytes > 0) {
            double per_byte = rates[i].nats / bytes;
            bn_text_addf(out, " %10.4f %10.4f", per_byte, per_byte / log(2.0));
        } else {
            bn_text_addf(out, " %10s %10s", "unknown", "unknown");
        }
        bn_text_add(out, "\n");
    }
    if (!isnan(info->entropy_floor)) {
        bn_text_addf(out, "  %-50s %10s %10.4f %10.4f\n", "true entropy of the source, as recorded",
                     "", info->entropy_floor, info->entropy_floor / log(2.0));
    }
    bn_text_add(out, "\n  A model has learned something when its val/loss is below the last two "
                     "models' figures.\n");
}

static int info(int argc, char **argv)
{
    bn_error err = {0};
    bool json = false;
    bool help = false;
    double val_fraction = 0.1;
    const char *tokenizer = "bytes";
    const char *cache = NULL;
    bn_option_list files;
    const bn_option table[] = {
        {"--json", 0, BN_OPTION_FLAG, &json, NULL, "one JSON object instead of a table"},
        {"--tokenizer", 0, BN_OPTION_TEXT, &tokenizer, "T", "bytes, or a SentencePiece model"},
        {"--val-fraction", 0, BN_OPTION_REAL, &val_fraction, "X", "held-out share; 0.1"},
        {"--cache", 0, BN_OPTION_TEXT, &cache, "DIR", "where token shards are kept"},
    };
    const bn_option_range ranges[] = {{&val_fraction, 0.001, 0.5, false}};
    const bn_options options = {
        .usage = "bnexp data info [FILE[:FILE...]] [options]",
        .about =
            "Bytes, tokens, and how well tables of one and of two tokens predict the text.\n"
            "FILE is what data.path takes: text, .bin shards, a prepared folder, or 'synth'\n"
            "(the default). The figures are empirical entropies, and the cross-entropy on the\n"
            "validation part of a unigram (add-one) and a bigram (Witten-Bell) table fitted on\n"
            "the training part: the bar that training must beat.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_max = 1,
    };
    if (bn_options_parse(&options, argc, argv, &files, &help, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    if (help) return BN_EXIT_OK;
    const bn_dataset_spec spec = {files.count ? files.items[0] : BN_SYNTH_NAME, tokenizer, cache,
                                  val_fraction};
    bn_data_numbers numbers = {.path = spec.path};
    bn_dataset *dataset = NULL;
    bn_text out = {0};
    bn_status status = bn_dataset_open(&dataset, &spec, 1, &err);
    if (status == BN_OK) status = bn_entropy_measure(dataset, &numbers.entropy, &err);
    if (status == BN_OK) {
        numbers.info = bn_dataset_info_of(dataset);
        (json ? print_json : print_table)(&numbers, &out);
        (void)fputs(out.data, stdout);
    }
    bn_text_release(&out);
    bn_dataset_close(dataset);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}

static int synth(int argc, char **argv)
{
    bn_error err = {0};
    bool help = false;
    const char *path = "synth.txt";
    int64_t bytes = BN_SYNTH_BYTES;
    int64_t seed = 0;
    bn_option_list none;
    const bn_option table[] = {
        {"--out", 'o', BN_OPTION_TEXT, &path, "FILE",
         "the text; FILE.json describes it; synth.txt"},
        {"--bytes", 0, BN_OPTION_INT, &bytes, "N", "at least so many, in whole documents; 4194304"},
        {"--seed", 0, BN_OPTION_INT, &seed, "N", "another seed, another text; 0"},
    };
    const bn_option_range ranges[] = {
        {&bytes, BN_SYNTH_BYTES_MIN, BN_SYNTH_BYTES_MAX, false},
        {&seed, 0, INFINITY, false},
    };
    const bn_options options = {
        .usage = "bnexp data synth [options]",
        .about = "Writes a deterministic corpus of stories, lessons and sums from a probabilistic\n"
                 "grammar, and its true entropy (exact: every choice can be read back from the\n"
                 "text) into FILE.json, where training finds it.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
    };
    if (bn_options_parse(&options, argc, argv, &none, &help, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    if (help) return BN_EXIT_OK;
    bn_synth_report report;
    if (bn_synth_write(path, (uint64_t)seed, bytes, &report, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    double per_byte = report.nats / (double)report.bytes;
    (void)printf("%s: %lld bytes, %lld documents, %lld sentences; entropy %.4f nats = %.4f bits "
                 "per byte\n",
                 path, (long long)report.bytes, (long long)report.documents,
                 (long long)report.sentences, per_byte, per_byte / log(2.0));
    return BN_EXIT_OK;
}

static const bn_command SUBCOMMANDS[] = {
    {"fetch", bn_data_fetch, "DATASET --out DIR", "rows of a Hugging Face dataset, resumable"},
    {"info", info, "[FILE]", "bytes, tokens, entropies: the bar for training"},
    {"prepare", bn_data_prepare, "DIR|FILE... --out DIR", "documents to token shards"},
    {"synth", synth, "[--out FILE]", "write the built-in corpus, or another of its kind"},
    {"tokenizer", bn_data_tokenizer, "--vocab N FILE...", "train a SentencePiece model"},
};
enum { SUBCOMMAND_COUNT = sizeof SUBCOMMANDS / sizeof SUBCOMMANDS[0] };

static void list(FILE *out)
{
    (void)fprintf(out, "usage: bnexp data SUBCOMMAND [arguments]\n\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        (void)fprintf(out, "  %-10s %-22s %s\n", SUBCOMMANDS[i].name, SUBCOMMANDS[i].arguments,
                      SUBCOMMANDS[i].help);
    }
}

int bn_cmd_data(int argc, char **argv)
{
    if (argc < 2) {
        list(stderr);
        return BN_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        list(stdout);
        return BN_EXIT_OK;
    }
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(SUBCOMMANDS[i].name, argv[1]) == 0) {
            return SUBCOMMANDS[i].run(argc - 1, argv + 1);
        }
    }
    const char *near =
        bn_nearest(argv[1], &SUBCOMMANDS[0].name, SUBCOMMAND_COUNT, sizeof SUBCOMMANDS[0]);
    bn_error err = {0};
    (void)bn_fail(&err, BN_EINVAL, "there is no 'bnexp data %.40s'; %s%s%s", argv[1],
                  near ? "did you mean '" : "'bnexp data --help' lists what there is",
                  near ? near : "", near ? "'?" : "");
    return bn_command_fail(&err);
}
