/* entropy.h - how predictable a corpus is from one token and from two: the bar for training.
 *
 * All in nats per token. A part's own entropies are those of its counts (what a table made from the
 * part itself would need, a lower bound for tables). Cross-entropies are of tables fitted on the
 * training part and tried on the held-out part: unigram with add-one, bigram with Witten-Bell
 * smoothing on top of it (Witten & Bell 1991): p(y|x) = (c(x,y) + d(x) p(y)) / (c(x) + d(x)), d(x)
 * the number of different followers of x.
 */
#ifndef BN_ENGINE_CORPUS_ENTROPY_H
#define BN_ENGINE_CORPUS_ENTROPY_H

#include <stdint.h>

#include "engine/base/status.h"
#include "engine/corpus/dataset.h"

typedef struct bn_entropy {
    int64_t distinct;                   /* different tokens in both parts */
    double unigram, bigram;             /* both parts together: H(y), H(y|x) */
    double val_unigram, val_bigram;     /* the held-out part's own */
    double cross_unigram, cross_bigram; /* fitted on training, tried on held-out */
} bn_entropy;

/* Counts every token and pair once; memory is 24 bytes a different pair. BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_entropy_measure(const bn_dataset *dataset, bn_entropy *out,
                                           bn_error *err);

#endif
