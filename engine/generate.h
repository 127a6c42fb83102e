/* generate.h - text from a trained network, and how well it predicts a text. */
#ifndef BN_ENGINE_GENERATE_H
#define BN_ENGINE_GENERATE_H

#include "engine/corpus/dataset.h"
#include "engine/corpus/tokenizer.h"
#include "engine/infer.h"

typedef struct bn_sampling {
    double temperature; /* 0: always the likeliest */
    double top_p;       /* of the likeliest tokens that together have so much; 1: of all */
    uint64_t seed;
} bn_sampling;

/* The index-th token drawn from logits [count]: softmax(logits / temperature), cut to the smallest
 * set of the likeliest that has top_p. A pure function. order: [count] scratch. */
int32_t bn_sample(const float *logits, int count, const bn_sampling *sampling, uint64_t index,
                  int32_t *order);

typedef struct bn_generate_job {
    bn_infer *infer;
    const bn_tokenizer *tokenizer; /* its vocabulary is at most the network's */
    const char *prompt;            /* at least one token of it */
    size_t prompt_bytes;
    int64_t tokens; /* at most so many; a document's end ends it too */
    bn_sampling sampling;
    bool (*emit)(void *self, const char *text, size_t bytes); /* as produced; false: enough */
    void *self;
} bn_generate_job;

typedef struct bn_generate_result {
    int64_t prompt_tokens, tokens;
    double prefill_s, decode_s;
} bn_generate_result;

/* When the network's context is full, the second half of it is read again as the new beginning.
 * BN_EINVAL: an empty prompt, or one longer than the context; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_generate(const bn_generate_job *job, bn_generate_result *result,
                                    bn_error *err);

typedef struct bn_evaluation {
    double loss; /* nats per token */
    int64_t tokens;
    double seconds;
} bn_evaluation;

/* The mean loss over windows of the validation part, spread as training spreads them.
 *   tokens  about so many; 0: all of the part */
BN_MUST_CHECK bn_status bn_evaluate(bn_infer *infer, const bn_dataset *dataset, int64_t tokens,
                                    bn_evaluation *out, bn_error *err);

#endif
