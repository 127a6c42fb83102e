/* synth.h - the built-in corpus: stories, lessons and sums from a probabilistic grammar.
 *
 * Deterministic in (seed, bytes), so a machine without a network has the data that everybody has.
 * Every choice is drawn from known weights and can be read back from the text (synth_grammar.h says
 * why), so -log of the product of the choices' probabilities is the exact information content of
 * the text under its source: no model can code such text in fewer nats, but for luck, and a model
 * with a short context cannot come that low. The only thing not counted is where the corpus stops:
 * at the first end of a document at or after `bytes`.
 */
#ifndef BN_ENGINE_CORPUS_SYNTH_H
#define BN_ENGINE_CORPUS_SYNTH_H

#include <stdint.h>

#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/text.h"

#define BN_SYNTH_NAME "synth" /* in data.path */

enum {
    BN_SYNTH_BYTES = 4 << 20, /* of the built-in corpus */
    BN_SYNTH_BYTES_MIN = 1 << 10,
    BN_SYNTH_BYTES_MAX = 1 << 30,
};

typedef struct bn_synth_report {
    int64_t bytes, documents, sentences, choices;
    double nats; /* of the whole text */
} bn_synth_report;

/* Appends at least `bytes` bytes of text, in whole documents. BN_EINVAL: bytes out of range;
 * BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_synth_make(uint64_t seed, int64_t bytes, bn_text *out,
                                      bn_synth_report *report, bn_error *err);

/* The text into a file, and what is known of it into `path`.json: {"schema_version", "generator",
 * "seed", "bytes", "documents", "sentences", "choices", "entropy_nats", "entropy_nats_per_byte",
 * "entropy_bits_per_byte", "sha256"}. Both atomically, the text last. */
BN_MUST_CHECK bn_status bn_synth_write(const char *path, uint64_t seed, int64_t bytes,
                                       bn_synth_report *report, bn_error *err);

/* The built-in corpus (seed 0, BN_SYNTH_BYTES) in a cache folder, made unless it is there. */
BN_MUST_CHECK bn_status bn_synth_builtin(const char *cache, char path[BN_PATH_MAX], bn_error *err);

#endif
