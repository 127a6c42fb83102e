#include "runner/cli/bench_infer.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/infer.h"

enum { ROUNDS = 5, PREFILL_MAX = 512, DECODE_MAX = 128 };

/* Weights from a multiplicative hash of their place: no generator is as fast as this needs, and no
 * product looks at what it multiplies. */
static bn_status make_weights(void *self, const bn_tensor *tensor, float *out, bn_error *err)
{
    (void)self;
    (void)err;
    bool gain = tensor->role == BN_ROLE_NORM || tensor->role == BN_ROLE_FINAL_NORM;
    uint32_t state = (uint32_t)tensor->offset * 2654435761U + 1;
    for (size_t i = 0; i < tensor->count; i++) {
        state = state * 1664525U + 1013904223U;
        out[i] = gain ? 1.0F : ((float)(state >> 8) - 8388608.0F) * (0.02F / 8388608.0F);
    }
    return BN_OK;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Reads or writes `tokens` from an empty context on, ROUNDS times; the median rate [1/s]. */
static bn_status time_tokens(bn_infer *infer, const int32_t *tokens, int count, int step,
                             double *rate, bn_error *err)
{
    const float *logits;
    double seconds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        double start_s = bn_clock_mono_s();
        bn_infer_reset(infer);
        for (int i = 0; i < count; i += step) {
            bn_status status = bn_infer_read(infer, tokens + i, step, false, &logits, err);
            if (status != BN_OK) return status;
        }
        seconds[round] = bn_clock_mono_s() - start_s;
    }
    qsort(seconds, ROUNDS, sizeof *seconds, by_size);
    *rate = count / seconds[ROUNDS / 2];
    return BN_OK;
}

bn_status bn_bench_infer(const bn_config *config, const bn_infer_options *options,
                         bn_infer_figures *out, bn_error *err)
{
    *out = (bn_infer_figures){0};
    bn_infer *infer = NULL;
    int context = (int)config->model.context;
    out->prefill_tokens = context < PREFILL_MAX ? context : PREFILL_MAX;
    out->decode_tokens = context < DECODE_MAX ? context : DECODE_MAX;
    int32_t *prompt = calloc((size_t)context, sizeof *prompt);
    if (!prompt) return bn_fail(err, BN_ENOMEM, "no memory for a prompt");
    for (int i = 0; i < context; i++) prompt[i] = (int32_t)(i * 7919 % config->model.vocab);
    bn_status status =
        bn_infer_open(&infer, config, (bn_infer_source){make_weights, NULL}, options, err);
    if (status == BN_OK) {
        status = time_tokens(infer, prompt, out->prefill_tokens, out->prefill_tokens,
                             &out->prefill_tokens_per_s, err);
    }
    if (status == BN_OK) {
        status = time_tokens(infer, prompt, out->decode_tokens, 1, &out->decode_tokens_per_s, err);
    }
    if (status == BN_OK) {
        bn_infer_bytes bytes = bn_infer_measure(infer);
        size_t head = bytes.head ? bytes.head : bytes.table;
        out->decode_bytes = (double)(bytes.linear + head);
        out->bits_per_weight = 8.0 * (double)bytes.linear / (double)bytes.weights;
        out->weights = bytes.weights;
    }
    bn_infer_close(infer);
    free(prompt);
    return status;
}

void bn_infer_figures_print(const bn_infer_figures *figures, const char *name)
{
    (void)printf("%-24s prefill %8.0f tokens/s   decode %7.1f tokens/s, %.1f MB a token = "
                 "%.1f GB/s   %.2f bits a weight\n",
                 name, figures->prefill_tokens_per_s, figures->decode_tokens_per_s,
                 figures->decode_bytes / 1e6,
                 figures->decode_bytes * figures->decode_tokens_per_s / 1e9,
                 figures->bits_per_weight);
}

void bn_infer_figures_json(const bn_infer_figures *figures, const char *name, bn_json *json)
{
    const struct {
        const char *key;
        double number;
    } members[] = {
        {"prefill_tokens_per_s", figures->prefill_tokens_per_s},
        {"decode_tokens_per_s", figures->decode_tokens_per_s},
        {"decode_bytes_per_token", figures->decode_bytes},
        {"bits_per_weight", figures->bits_per_weight},
        {"prefill_tokens", figures->prefill_tokens},
        {"decode_tokens", figures->decode_tokens},
    };
    bn_json_object(json);
    bn_json_key(json, "variant");
    bn_json_string(json, name);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        bn_json_key(json, members[i].key);
        bn_json_real(json, members[i].number);
    }
    bn_json_end_object(json);
}
