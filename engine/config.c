#include "engine/config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"

#define FIELD(part) offsetof(bn_config, part), sizeof(((bn_config *)0)->part)
#define VARIANTS    "ternary|binary|int8|bf16|fp16|fp32"
#define NORMS       "learned|plain|none"
#define FLOATS      "auto|fp32|bf16|fp16"

/* clang-format off: a table reads by its columns */
static const bn_knob KNOBS[] = {
    /* name, kind, field, min, max, choices, standard, identity, unit, help */
    {"model.vocab", BN_KNOB_INT, FIELD(model.vocab), 0, 1 << 20, NULL, "0", true, "tokens",
     "vocabulary size; 0: the tokenizer's"},
    {"model.width", BN_KNOB_INT, FIELD(model.width), 8, 65536, NULL, "128", true, "",
     "size of the residual stream"},
    {"model.layers", BN_KNOB_INT, FIELD(model.layers), 1, 512, NULL, "4", true, "",
     "number of blocks"},
    {"model.heads", BN_KNOB_INT, FIELD(model.heads), 1, 1024, NULL, "4", true, "",
     "attention heads; must divide the width into even parts"},
    {"model.kv_heads", BN_KNOB_INT, FIELD(model.kv_heads), 0, 1024, NULL, "0", true, "",
     "key and value heads; must divide the heads; 0: as many as heads"},
    {"model.ffn", BN_KNOB_INT, FIELD(model.ffn), 0, 1 << 20, NULL, "0", true, "",
     "width of the feed-forward layer; 0: 8/3 of the width, up to a multiple of 32"},
    {"model.context", BN_KNOB_INT, FIELD(model.context), 2, 1 << 17, NULL, "128", true, "tokens",
     "sequence length"},
    {"model.tied", BN_KNOB_BOOL, FIELD(model.tied), 0, 1, NULL, "true", true, "",
     "output head shares the embedding table"},
    {"model.rope_theta", BN_KNOB_REAL, FIELD(model.rope_theta), 1, 1e9, NULL, "10000", true, "",
     "base of the rotary position embedding"},
    {"model.norm_eps", BN_KNOB_REAL, FIELD(model.norm_eps), 1e-12, 1e-1, NULL, "1e-5", true, "",
     "epsilon of every RMSNorm with a site of its own"},
    {"model.init_std", BN_KNOB_REAL, FIELD(model.init_std), 1e-6, 1, NULL, "0.02", true, "",
     "standard deviation of the initial weights"},
    {"model.embed_std", BN_KNOB_REAL, FIELD(model.embed_std), 0, 1, NULL, "0", true, "",
     "standard deviation of the initial token table; 0: model.init_std"},
    {"model.attn_norm", BN_KNOB_CHOICE, FIELD(model.attn_norm), 0, 0, NORMS, "learned", true, "",
     "RMSNorm before q, k and v: with gain, without, or none"},
    {"model.attn_sub_norm", BN_KNOB_CHOICE, FIELD(model.attn_sub_norm), 0, 0, NORMS, "learned",
     true, "", "RMSNorm before the output projection (SubLN)"},
    {"model.ffn_norm", BN_KNOB_CHOICE, FIELD(model.ffn_norm), 0, 0, NORMS, "learned", true, "",
     "RMSNorm before gate and up"},
    {"model.ffn_sub_norm", BN_KNOB_CHOICE, FIELD(model.ffn_sub_norm), 0, 0, NORMS, "learned", true,
     "", "RMSNorm before down (SubLN)"},
    {"model.inner_norm", BN_KNOB_BOOL, FIELD(model.inner_norm), 0, 1, NULL, "false", true, "",
     "one more gain-free RMSNorm (eps 1e-6) inside every BitLinear, as the seed model has"},
    {"model.activation", BN_KNOB_CHOICE, FIELD(model.activation), 0, 0, "silu|relu2", "silu", true,
     "", "gate's activation"},
    {"model.head", BN_KNOB_CHOICE, FIELD(model.head), 0, 0, "auto|fp32|bf16", "auto", true, "",
     "products of the output head; auto: fp32 for variant fp32, else bf16"},
    {"model.attention", BN_KNOB_CHOICE, FIELD(model.attention), 0, 0, FLOATS, "auto", true, "",
     "products of attention while training; auto: as the variant if fp32 or fp16, else bf16"},

    {"quant.variant", BN_KNOB_CHOICE, FIELD(quant.variant), 0, 0, VARIANTS, "ternary", true, "",
     "number format of the blocks' linear layers"},
    {"quant.act_bits", BN_KNOB_CHOICE, FIELD(quant.act_bits), 0, 0, "8|none", "8", true, "bits",
     "activations of ternary, binary and int8; none: weights only, as TriLM"},
    {"quant.weight_scale", BN_KNOB_CHOICE, FIELD(quant.weight_scale), 0, 0, "absmean|median",
     "absmean", true, "", "ternary scale: mean or median of |W|"},
    {"quant.fp16_scale", BN_KNOB_BOOL, FIELD(quant.fp16_scale), 0, 1, NULL, "true", true, "",
     "round the weight scale to fp16 in training, so that exports are exact"},
    {"quant.backward", BN_KNOB_CHOICE, FIELD(quant.backward), 0, 0, "fp32|bf16|int8", "bf16", true,
     "", "products of the backward pass of ternary, binary and int8"},

    {"optim.lr", BN_KNOB_REAL, FIELD(optim.lr), 0, 10, NULL, "0", true, "",
     "peak learning rate; 0: the variant's published one"},
    {"optim.lr2", BN_KNOB_REAL, FIELD(optim.lr2), 0, 10, NULL, "0", true, "",
     "second peak of the two-stage schedule; 0: 0.625 of the first"},
    {"optim.lr_final", BN_KNOB_REAL, FIELD(optim.lr_final), 0, 1, NULL, "0.1", true, "",
     "last learning rate as a share of the peak (cosine, linear, wsd)"},
    {"optim.warmup_steps", BN_KNOB_INT, FIELD(optim.warmup_steps), -1, 1 << 30, NULL, "-1", true,
     "steps", "linear warm-up; -1: 2 % of the steps, at most 375"},
    {"optim.schedule", BN_KNOB_CHOICE, FIELD(optim.schedule), 0, 0,
     "auto|cosine|linear|wsd|two_stage|constant", "auto", true, "",
     "learning rate over the steps; auto: two_stage for ternary and binary, else cosine"},
    {"optim.decay_fraction", BN_KNOB_REAL, FIELD(optim.decay_fraction), 0, 1, NULL, "0.2", true, "",
     "wsd: share of the steps that decay"},
    {"optim.beta1", BN_KNOB_REAL, FIELD(optim.beta1), 0, 0.9999999, NULL, "0.9", true, "",
     "AdamW first moment"},
    {"optim.beta2", BN_KNOB_REAL, FIELD(optim.beta2), 0, 0.9999999, NULL, "0.95", true, "",
     "AdamW second moment"},
    {"optim.eps", BN_KNOB_REAL, FIELD(optim.eps), 0, 1, NULL, "1e-8", true, "", "AdamW epsilon"},
    {"optim.weight_decay", BN_KNOB_REAL, FIELD(optim.weight_decay), 0, 10, NULL, "0.1", true, "",
     "decoupled weight decay; none on norms and embeddings"},
    {"optim.wd_schedule", BN_KNOB_CHOICE, FIELD(optim.wd_schedule), 0, 0, "auto|constant|two_stage",
     "auto", true, "",
     "two_stage: none in the second half; auto: two_stage for ternary and binary, else constant"},
    {"optim.clip", BN_KNOB_REAL, FIELD(optim.clip), 0, 1e9, NULL, "1", true, "",
     "largest global gradient norm; 0: no clipping"},

    {"train.seed", BN_KNOB_INT, FIELD(train.seed), 0, 9007199254740991.0, NULL, "0", true, "",
     "seed of the initial weights and of the data order"},
    {"train.steps", BN_KNOB_INT, FIELD(train.steps), 1, 1e12, NULL, "1000", true, "steps",
     "optimizer steps"},
    {"train.batch", BN_KNOB_INT, FIELD(train.batch), 1, 1 << 16, NULL, "8", true, "sequences",
     "sequences in a micro-batch"},
    {"train.accum", BN_KNOB_INT, FIELD(train.accum), 1, 1 << 16, NULL, "1", true, "",
     "micro-batches in an optimizer step"},
    {"train.activations", BN_KNOB_CHOICE, FIELD(train.activations), 0, 0, FLOATS, "auto", true, "",
     "format of activations and gradients between operations; auto: fp32 on processors, on a card "
     "as the variant if fp32 or fp16, else bf16"},
    {"train.log_every", BN_KNOB_INT, FIELD(train.log_every), 1, 1e12, NULL, "10", false, "steps",
     "steps between records"},
    {"train.eval_every", BN_KNOB_INT, FIELD(train.eval_every), 0, 1e12, NULL, "100", false, "steps",
     "steps between validations; 0: only at the end"},
    {"train.eval_tokens", BN_KNOB_INT, FIELD(train.eval_tokens), 0, 1e12, NULL, "65536", true,
     "tokens", "validation tokens in one validation; 0: all"},
    {"train.checkpoint_every", BN_KNOB_INT, FIELD(train.checkpoint_every), 0, 1e12, NULL, "500",
     false, "steps", "steps between checkpoints; 0: only at the end and when stopped"},
    {"train.checkpoint_keep", BN_KNOB_INT, FIELD(train.checkpoint_keep), 1, 1000, NULL, "2", false,
     "", "checkpoints kept, besides the best"},
    {"train.quant_every", BN_KNOB_INT, FIELD(train.quant_every), 0, 1e12, NULL, "50", false,
     "steps", "steps between records of zero fraction, flips and latent weights; 0: never"},
    {"train.layer_grad_norms", BN_KNOB_BOOL, FIELD(train.layer_grad_norms), 0, 1, NULL, "false",
     false, "", "record the gradient norm of every group of layers"},
    {"train.threads", BN_KNOB_INT, FIELD(train.threads), 0, 1024, NULL, "0", false, "threads",
     "threads of the cpu backend; 0: one a core. Results do not depend on it"},
    {"train.device", BN_KNOB_TEXT, FIELD(train.device), 0, 0, NULL, "auto", false, "",
     "auto, cpu, cuda, cuda:N or reference; auto: the first card that can be used, else the cpu"},

    {"data.path", BN_KNOB_TEXT, FIELD(data.path), 0, 0, NULL, "synth", true, "",
     "text files or token shards, ':' between them; synth: the built-in corpus"},
    {"data.tokenizer", BN_KNOB_TEXT, FIELD(data.tokenizer), 0, 0, NULL, "bytes", true, "",
     "bytes, or the path of a SentencePiece model"},
    {"data.val_fraction", BN_KNOB_REAL, FIELD(data.val_fraction), 0.001, 0.5, NULL, "0.1", true, "",
     "share of the text held out for validation"},
    {"data.cache", BN_KNOB_TEXT, FIELD(data.cache), 0, 0, NULL, "", false, "",
     "folder of token shards made from text"},
};
/* clang-format on */

enum { KNOB_COUNT = sizeof KNOBS / sizeof KNOBS[0] };

static const char *const TINY[] = {
    "model.width=64",        "model.layers=2",
    "model.heads=2",         "model.context=64",
    "train.steps=200",       "train.batch=8",
    "train.eval_every=50",   "train.eval_tokens=8192",
    "optim.schedule=cosine", NULL,
};
/* BitNet-LLama-70M as published: docs/seed.md has its arithmetic (77,468,928 parameters). */
static const char *const SEED70M[] = {
    "model.vocab=32000",
    "model.width=768",
    "model.layers=6",
    "model.heads=6",
    "model.ffn=1024",
    "model.context=256",
    "model.tied=false",
    "model.attn_norm=none",
    "model.attn_sub_norm=none",
    "model.ffn_norm=learned",
    "model.ffn_sub_norm=none",
    "model.inner_norm=true",
    "quant.fp16_scale=false",
    "optim.lr=1.5e-4",
    "optim.lr_final=0",
    "optim.schedule=cosine",
    "optim.warmup_steps=0",
    "optim.beta2=0.999",
    "optim.weight_decay=0.01",
    "optim.wd_schedule=constant",
    "train.steps=29794",
    "train.batch=16",
    "train.accum=2",
    NULL,
};
/* The tied model of the same class whose shape suits every export (70,610,688 parameters). */
static const char *const BITNET70M[] = {
    "model.vocab=32000",
    "model.width=768",
    "model.layers=6",
    "model.heads=12",
    "model.ffn=2304",
    "model.tied=true",
    "model.context=256",
    "train.batch=8",
    "train.accum=4",
    "train.steps=30000",
    NULL,
};

/* Whose weights outgrow every cache: what inference is timed with (777,991,680 parameters). */
static const char *const BITNET778M[] = {
    "model.vocab=32000",
    "model.width=1536",
    "model.layers=24",
    "model.heads=16",
    "model.ffn=4096",
    "model.tied=false",
    "model.context=2048",
    "train.batch=2",
    "train.accum=16",
    "train.steps=100000",
    NULL,
};

static const char *const PRESET_NAMES[] = {"tiny", "seed70m", "bitnet70m", "bitnet778m"};
static const char *const *const PRESETS[] = {TINY, SEED70M, BITNET70M, BITNET778M};
enum { PRESET_COUNT = sizeof PRESETS / sizeof PRESETS[0] };

const bn_knob *bn_knob_table(size_t *count)
{
    *count = KNOB_COUNT;
    return KNOBS;
}

const bn_knob *bn_knob_find(const char *name)
{
    for (size_t i = 0; i < KNOB_COUNT; i++) {
        if (strcmp(KNOBS[i].name, name) == 0) return &KNOBS[i];
    }
    return NULL;
}

static void *field_of(bn_config *config, const bn_knob *knob)
{
    return (char *)config + knob->offset;
}

static const void *field_in(const bn_config *config, const bn_knob *knob)
{
    return (const char *)config + knob->offset;
}

void bn_config_init(bn_config *config)
{
    bn_error err = {0};
    memset(config, 0, sizeof *config); /* padding too: two equal configs are equal bytes */
    for (size_t i = 0; i < KNOB_COUNT; i++) {
        if (bn_config_set(config, KNOBS[i].name, KNOBS[i].standard, &err) != BN_OK) abort();
    }
}

/* The whole of text as a number; 1_000_000 is allowed, as TOML allows it. */
static bool parse_number(const char *text, double *out)
{
    char plain[64];
    size_t length = 0;
    for (const char *c = text; *c; c++) {
        bool digits_around = c > text && c[-1] >= '0' && c[-1] <= '9' && c[1] >= '0' && c[1] <= '9';
        if (*c == '_' && digits_around) continue;
        if (length + 1 >= sizeof plain) return false;
        plain[length++] = *c;
    }
    plain[length] = '\0';
    char *end = NULL;
    errno = 0;
    *out = strtod(plain, &end);
    return length > 0 && *end == '\0' && plain[0] != ' ' && !isnan(*out) && !isinf(*out);
}

static bn_status set_number(void *field, const bn_knob *knob, const char *text, bn_error *err)
{
    double number = 0;
    bool whole = knob->kind == BN_KNOB_INT;
    if (!parse_number(text, &number) || (whole && number != floor(number))) {
        return bn_fail(err, BN_EINVAL, "'%s' must be %s, is '%.40s'", knob->name,
                       whole ? "a whole number" : "a number", text);
    }
    if (number < knob->min || number > knob->max) {
        return bn_fail(err, BN_EINVAL, "'%s' must be from %.12g to %.12g, is %.12g", knob->name,
                       knob->min, knob->max, number);
    }
    if (whole) {
        *(int64_t *)field = (int64_t)number;
    } else {
        *(double *)field = number;
    }
    return BN_OK;
}

/* The place of a word in "a|b|c", or -1. */
static int choice_index(const char *choices, const char *word)
{
    size_t length = strlen(word);
    int index = 0;
    for (const char *c = choices;; index++) {
        size_t span = strcspn(c, "|");
        if (span == length && strncmp(c, word, span) == 0) return index;
        if (c[span] == '\0') return -1;
        c += span + 1;
    }
}

static bn_status set_choice(int *field, const bn_knob *knob, const char *text, bn_error *err)
{
    int index = choice_index(knob->choices, text);
    if (index < 0) {
        return bn_fail(err, BN_EINVAL, "'%s' must be one of %s, is '%.40s'", knob->name,
                       knob->choices, text);
    }
    *field = index;
    return BN_OK;
}

static bn_status set_bool(bool *field, const bn_knob *knob, const char *text, bn_error *err)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0) {
        return bn_fail(err, BN_EINVAL, "'%s' must be true or false, is '%.40s'", knob->name, text);
    }
    *field = yes;
    return BN_OK;
}

static bn_status set_text(char *field, const bn_knob *knob, const char *text, bn_error *err)
{
    if (strlen(text) >= knob->size_bytes) {
        return bn_fail(err, BN_EINVAL, "'%s' must be shorter than %zu bytes", knob->name,
                       knob->size_bytes);
    }
    memset(field, 0, knob->size_bytes);
    memcpy(field, text, strlen(text));
    return BN_OK;
}

bn_status bn_config_set(bn_config *config, const char *name, const char *text, bn_error *err)
{
    const bn_knob *knob = bn_knob_find(name);
    if (!knob) {
        const char *near = bn_nearest(name, &KNOBS[0].name, KNOB_COUNT, sizeof KNOBS[0]);
        return bn_fail(err, BN_EINVAL, "there is no knob '%.60s'%s%s%s", name,
                       near ? "; did you mean '" : " (bnexp train --help lists them)",
                       near ? near : "", near ? "'?" : "");
    }
    switch (knob->kind) {
    case BN_KNOB_INT:
    case BN_KNOB_REAL:
        return set_number(field_of(config, knob), knob, text, err);
    case BN_KNOB_BOOL:
        return set_bool(field_of(config, knob), knob, text, err);
    case BN_KNOB_CHOICE:
        return set_choice(field_of(config, knob), knob, text, err);
    case BN_KNOB_TEXT:
        return set_text(field_of(config, knob), knob, text, err);
    }
    return BN_OK;
}

const char *const *bn_config_preset_names(size_t *count)
{
    *count = PRESET_COUNT;
    return PRESET_NAMES;
}

bn_status bn_config_preset(bn_config *config, const char *preset, bn_error *err)
{
    for (size_t i = 0; i < PRESET_COUNT; i++) {
        if (strcmp(PRESET_NAMES[i], preset) != 0) continue;
        for (const char *const *row = PRESETS[i]; *row; row++) {
            char name[64];
            size_t span = strcspn(*row, "=");
            (void)snprintf(name, sizeof name, "%.*s", (int)span, *row);
            if (bn_config_set(config, name, *row + span + 1, err) != BN_OK) return err->status;
        }
        return BN_OK;
    }
    const char *near = bn_nearest(preset, PRESET_NAMES, PRESET_COUNT, sizeof PRESET_NAMES[0]);
    return bn_fail(err, BN_ENOENT, "there is no preset '%.60s'%s%s%s", preset,
                   near ? "; did you mean '" : "; expected tiny, seed70m, bitnet70m or bitnet778m",
                   near ? near : "", near ? "'?" : "");
}

static bool low_bit_weights(int variant)
{
    return variant == BN_VARIANT_TERNARY || variant == BN_VARIANT_BINARY;
}

/* What a knob leaves to the engine, by the published rules. */
static void fill_blanks(bn_config *c)
{
    bool low = low_bit_weights(c->quant.variant);
    if (c->model.kv_heads == 0) c->model.kv_heads = c->model.heads;
    if (c->model.embed_std == 0) c->model.embed_std = c->model.init_std;
    if (c->model.ffn == 0) c->model.ffn = (c->model.width * 8 / 3 + 31) / 32 * 32;
    /* TriLM 99M (arXiv:2407.12327): 2.4e-3 then 1.5e-3 for ternary, 4e-4 for its float twin. */
    if (c->optim.lr == 0) c->optim.lr = low ? 2.4e-3 : 4e-4;
    if (c->optim.lr2 == 0) c->optim.lr2 = c->optim.lr * 0.625;
    if (c->optim.warmup_steps < 0) {
        int64_t share = c->train.steps / 50;
        c->optim.warmup_steps = share > 375 ? 375 : share;
    }
    if (c->optim.schedule == BN_LR_AUTO) c->optim.schedule = low ? BN_LR_TWO_STAGE : BN_LR_COSINE;
    if (c->optim.wd_schedule == BN_WD_AUTO) {
        c->optim.wd_schedule = low ? BN_WD_TWO_STAGE : BN_WD_CONSTANT;
    }
}

bn_status bn_config_resolve(bn_config *config, bn_error *err)
{
    fill_blanks(config);
    long long width = config->model.width, heads = config->model.heads;
    long long kv_heads = config->model.kv_heads;
    if (width % heads != 0 || (width / heads) % 2 != 0) {
        return bn_fail(err, BN_EINVAL,
                       "'model.heads' must divide 'model.width' into even parts, is %lld for %lld",
                       heads, width);
    }
    if (heads % kv_heads != 0) {
        return bn_fail(err, BN_EINVAL,
                       "'model.kv_heads' must divide 'model.heads', is %lld for %lld", kv_heads,
                       heads);
    }
    if (config->optim.warmup_steps > config->train.steps) {
        return bn_fail(err, BN_EINVAL,
                       "'optim.warmup_steps' must be at most 'train.steps', is %lld for %lld",
                       (long long)config->optim.warmup_steps, (long long)config->train.steps);
    }
    return BN_OK;
}

void bn_config_get(const bn_config *config, const bn_knob *knob, bn_text *out)
{
    const void *field = field_in(config, knob);
    char word[32];
    switch (knob->kind) {
    case BN_KNOB_INT:
        bn_text_addf(out, "%lld", (long long)*(const int64_t *)field);
        return;
    case BN_KNOB_REAL:
        bn_text_number(out, *(const double *)field, BN_NONFINITE_BARE);
        return;
    case BN_KNOB_BOOL:
        bn_text_add(out, *(const bool *)field ? "true" : "false");
        return;
    case BN_KNOB_CHOICE:
        bn_text_add(out, bn_config_word(config, knob->name, word));
        return;
    case BN_KNOB_TEXT:
        bn_text_add(out, field);
        return;
    }
}

const char *bn_config_word(const bn_config *config, const char *name, char out[32])
{
    const bn_knob *knob = bn_knob_find(name);
    out[0] = '\0';
    if (!knob || knob->kind != BN_KNOB_CHOICE) return out;
    const char *c = knob->choices;
    for (int skip = *(const int *)field_in(config, knob); skip > 0; skip--) {
        c += strcspn(c, "|") + 1;
    }
    (void)snprintf(out, 32, "%.*s", (int)strcspn(c, "|"), c);
    return out;
}

void bn_config_json_value(const bn_config *config, const bn_knob *knob, bn_json *out)
{
    const void *field = field_in(config, knob);
    char word[32];
    switch (knob->kind) {
    case BN_KNOB_INT:
        bn_json_int(out, *(const int64_t *)field);
        return;
    case BN_KNOB_REAL:
        bn_json_real(out, *(const double *)field);
        return;
    case BN_KNOB_BOOL:
        bn_json_bool(out, *(const bool *)field);
        return;
    case BN_KNOB_CHOICE:
        bn_json_string(out, bn_config_word(config, knob->name, word));
        return;
    case BN_KNOB_TEXT:
        bn_json_string(out, field);
        return;
    }
}

void bn_config_json(const bn_config *config, bool only_identity, bn_json *out)
{
    bn_json_object(out);
    for (size_t i = 0; i < KNOB_COUNT; i++) {
        if (only_identity && !KNOBS[i].identity) continue;
        bn_json_key(out, KNOBS[i].name);
        bn_config_json_value(config, &KNOBS[i], out);
    }
    bn_json_end_object(out);
}
