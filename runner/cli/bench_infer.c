#include "runner/cli/bench_infer.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/infer.h"

enum { PREFILL_ROUNDS = 3, DECODE_MAX = 256 };

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

static bn_status time_prefill(bn_infer *infer, const int32_t *prompt, bn_infer_figures *out,
                              bn_error *err)
{
    const float *logits;
    for (int round = 0; round < PREFILL_ROUNDS; round++) {
        double start_s = bn_clock_mono_s();
        bn_infer_reset(infer);
        bn_status status = bn_infer_read(infer, prompt, out->prefill_tokens, false, &logits, err);
        if (status != BN_OK) return status;
        double rate = out->prefill_tokens / (bn_clock_mono_s() - start_s);
        if (rate > out->prefill_tokens_per_s) out->prefill_tokens_per_s = rate;
    }
    return BN_OK;
}

static bn_status time_decode(bn_infer *infer, bn_infer_figures *out, bn_error *err)
{
    const float *logits;
    double seconds[DECODE_MAX];
    for (int i = 0; i < out->decode_tokens; i++) {
        int32_t token = i;
        double start_s = bn_clock_mono_s();
        bn_status status = bn_infer_read(infer, &token, 1, false, &logits, err);
        if (status != BN_OK) return status;
        seconds[i] = bn_clock_mono_s() - start_s;
    }
    qsort(seconds, (size_t)out->decode_tokens, sizeof *seconds, by_size);
    out->decode_tokens_per_s = 1 / seconds[out->decode_tokens / 2];
    return BN_OK;
}

bn_status bn_bench_infer(const bn_config *config, int threads, bn_infer_figures *out, bn_error *err)
{
    *out = (bn_infer_figures){0};
    bn_infer *infer = NULL;
    int context = (int)config->model.context;
    out->prefill_tokens = context / 2;
    out->decode_tokens = context - out->prefill_tokens;
    if (out->decode_tokens > DECODE_MAX) out->decode_tokens = DECODE_MAX;
    if (out->decode_tokens > config->model.vocab) out->decode_tokens = (int)config->model.vocab;
    int32_t *prompt = calloc((size_t)context, sizeof *prompt);
    if (!prompt) return bn_fail(err, BN_ENOMEM, "no memory for a prompt");
    for (int i = 0; i < context; i++) prompt[i] = (int32_t)(i * 7919 % config->model.vocab);
    bn_status status =
        bn_infer_open(&infer, config, (bn_infer_source){make_weights, NULL}, threads, err);
    if (status == BN_OK) status = time_prefill(infer, prompt, out, err);
    if (status == BN_OK) status = time_decode(infer, out, err);
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
    (void)printf("%-16s prefill %8.0f tokens/s   decode %7.1f tokens/s, %.1f MB a token = "
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
