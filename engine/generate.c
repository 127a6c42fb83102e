#include "engine/generate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/rng.h"

static int32_t likeliest(const float *logits, int count)
{
    int32_t best = 0;
    for (int32_t i = 1; i < count; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

/* Moves the largest of the heap order[0 ... count-1] to its root. */
static void sift(const float *logits, int32_t *order, int count, int root)
{
    for (int child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && logits[order[child + 1]] > logits[order[child]]) child++;
        if (logits[order[root]] >= logits[order[child]]) return;
        int32_t held = order[root];
        order[root] = order[child];
        order[child] = held;
        root = child;
    }
}

/* Tokens are taken from a heap, likeliest first: only as many are sorted as the draw needs. */
int32_t bn_sample(const float *logits, int count, const bn_sampling *sampling, uint64_t index,
                  int32_t *order)
{
    int32_t best = likeliest(logits, count);
    if (sampling->temperature <= 0) return best;
    double total = 0;
    double peak = (double)logits[best];
    for (int32_t i = 0; i < count; i++) {
        total += exp(((double)logits[i] - peak) / sampling->temperature);
        order[i] = i;
    }
    for (int root = count / 2 - 1; root >= 0; root--) sift(logits, order, count, root);
    double bound = sampling->top_p < 1 ? sampling->top_p * total : total;
    double uniform = bn_rng_uniform(bn_rng_key(sampling->seed, "sample", 0), index);
    double kept = 0;
    int taken = 0;
    while (kept < bound && taken < count) { /* the taken ones gather at the end of order */
        int last = count - 1 - taken;
        int32_t token = order[0];
        order[0] = order[last];
        order[last] = token;
        kept += exp(((double)logits[token] - peak) / sampling->temperature);
        taken++;
        sift(logits, order, last, 0);
    }
    double place = uniform * kept;
    for (int i = count - 1; i > count - taken; i--) {
        place -= exp(((double)logits[order[i]] - peak) / sampling->temperature);
        if (place < 0) return order[i];
    }
    return order[count - taken];
}

typedef struct session {
    const bn_generate_job *job;
    bn_generate_result *result;
    bn_ids ids; /* prompt and what was generated */
    int32_t *order;
    const float *logits;
} session;

/* Reads the last `most` tokens from position 0 on. */
static bn_status begin(session *s, size_t most, bn_error *err)
{
    size_t count = s->ids.count < most ? s->ids.count : most;
    bn_infer_reset(s->job->infer);
    return bn_infer_read(s->job->infer, s->ids.data + s->ids.count - count, (int)count, false,
                         &s->logits, err);
}

static size_t context_of(const session *s)
{
    return (size_t)bn_infer_config(s->job->infer)->model.context;
}

static bn_status check_prompt(const session *s, bn_error *err)
{
    size_t context = context_of(s);
    if (s->ids.count == 0) {
        return bn_fail(err, BN_EINVAL, "the prompt is empty; a network goes on from something");
    }
    if (s->ids.count <= context) return BN_OK;
    return bn_fail(err, BN_EINVAL,
                   "the prompt has %zu tokens, the network reads at most %zu ('model.context')",
                   s->ids.count, context);
}

/* Room for the next token: half a context is kept when it is full. */
static bn_status advance(session *s, int32_t token, bn_error *err)
{
    if (bn_ids_reserve(&s->ids, 1, err) != BN_OK) return err->status;
    s->ids.data[s->ids.count++] = token;
    s->result->tokens++;
    if ((size_t)bn_infer_position(s->job->infer) < context_of(s)) {
        return bn_infer_read(s->job->infer, &token, 1, false, &s->logits, err);
    }
    return begin(s, context_of(s) > 1 ? context_of(s) / 2 : 1, err);
}

static bn_status decode(session *s, bn_error *err)
{
    const bn_generate_job *job = s->job;
    int vocab = bn_tokenizer_vocab(job->tokenizer);
    for (uint64_t i = 0; (int64_t)i < job->tokens; i++) {
        bn_passage piece = {"", 0, false};
        int32_t token = bn_sample(s->logits, vocab, &job->sampling, i, s->order);
        if (token == bn_tokenizer_separator(job->tokenizer)) return BN_OK;
        bn_status status = bn_tokenizer_piece(job->tokenizer, token, &piece, true, err);
        if (status != BN_OK) return status;
        if (!job->emit(job->self, piece.text, piece.bytes)) return BN_OK;
        status = advance(s, token, err);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

bn_status bn_generate(const bn_generate_job *job, bn_generate_result *result, bn_error *err)
{
    *result = (bn_generate_result){0};
    int vocab = bn_tokenizer_vocab(job->tokenizer);
    assert(vocab <= bn_infer_config(job->infer)->model.vocab);
    session s = {.job = job, .result = result};
    s.order = malloc((size_t)vocab * sizeof *s.order);
    bn_passage prompt = {job->prompt, job->prompt_bytes, false};
    bn_status status = s.order ? bn_tokenizer_encode(job->tokenizer, prompt, &s.ids, err)
                               : bn_fail(err, BN_ENOMEM, "no memory to sample");
    if (status == BN_OK) status = check_prompt(&s, err);
    double start_s = bn_clock_mono_s();
    result->prompt_tokens = (int64_t)s.ids.count;
    if (status == BN_OK) status = begin(&s, s.ids.count, err);
    result->prefill_s = bn_clock_mono_s() - start_s;
    if (status == BN_OK) status = decode(&s, err);
    result->decode_s = bn_clock_mono_s() - start_s - result->prefill_s;
    free(s.order);
    free(s.ids.data);
    return status;
}

/* -log softmax(logits)[target] */
static double loss_of(const float *logits, int64_t count, int32_t target)
{
    double peak = (double)logits[0];
    double total = 0;
    for (int64_t i = 1; i < count; i++) {
        if ((double)logits[i] > peak) peak = (double)logits[i];
    }
    for (int64_t i = 0; i < count; i++) total += exp((double)logits[i] - peak);
    return log(total) + peak - (double)logits[target];
}

static bn_status evaluate_window(bn_infer *infer, const int32_t *tokens, const int32_t *targets,
                                 bn_evaluation *out, bn_error *err)
{
    int context = (int)bn_infer_config(infer)->model.context;
    int64_t vocab = bn_infer_config(infer)->model.vocab;
    int used = 0;
    while (used < context && targets[used] >= 0) used++;
    bn_infer_reset(infer);
    for (int at = 0; at < used; at += BN_INFER_ROWS) {
        const float *logits = NULL;
        int rows = used - at < BN_INFER_ROWS ? used - at : BN_INFER_ROWS;
        bn_status status = bn_infer_read(infer, tokens + at, rows, true, &logits, err);
        if (status != BN_OK) return status;
        for (int r = 0; r < rows; r++) {
            out->loss += loss_of(logits + (size_t)r * (size_t)vocab, vocab, targets[at + r]);
        }
    }
    out->tokens += used;
    return BN_OK;
}

bn_status bn_evaluate(bn_infer *infer, const bn_dataset *dataset, int64_t tokens,
                      bn_evaluation *out, bn_error *err)
{
    *out = (bn_evaluation){0};
    int64_t context = bn_infer_config(infer)->model.context;
    int64_t all = bn_dataset_val_windows(dataset);
    int64_t wanted = (tokens + context - 1) / context;
    int64_t windows = wanted == 0 || wanted > all ? all : wanted;
    int32_t *window = calloc(2 * (size_t)context, sizeof *window);
    if (!window) return bn_fail(err, BN_ENOMEM, "no memory for a window");
    bn_status status = BN_OK;
    double start_s = bn_clock_mono_s();
    for (int64_t i = 0; i < windows && status == BN_OK; i++) {
        bn_dataset_val(dataset, i * all / windows, window, window + context);
        status = evaluate_window(infer, window, window + context, out, err);
    }
    out->loss /= (double)out->tokens;
    out->seconds = bn_clock_mono_s() - start_s;
    free(window);
    return status;
}
