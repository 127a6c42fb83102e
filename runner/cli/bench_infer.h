/* bench_infer.h - how fast a network of random weights reads a prompt and writes tokens. */
#ifndef BN_RUNNER_CLI_BENCH_INFER_H
#define BN_RUNNER_CLI_BENCH_INFER_H

#include "engine/infer.h"

typedef struct bn_infer_figures {
    double prefill_tokens_per_s;
    double decode_tokens_per_s;
    double decode_bytes;    /* of weights that one token reads: blocks and head */
    double bits_per_weight; /* of the blocks */
    int64_t weights;        /* of the blocks */
    int prefill_tokens, decode_tokens;
} bn_infer_figures;

/* config: resolved, its vocabulary known. Reads a prompt of up to 512 tokens, and writes up to 128
 * tokens from an empty context on; the median of five times each. BN_ENOMEM, BN_EINVAL. */
BN_MUST_CHECK bn_status bn_bench_infer(const bn_config *config, const bn_infer_options *options,
                                       bn_infer_figures *out, bn_error *err);

/* One variant's figures as a line for people, or as an object of a JSON array. */
void bn_infer_figures_print(const bn_infer_figures *figures, const char *name);
void bn_infer_figures_json(const bn_infer_figures *figures, const char *name, bn_json *json);

#endif
