/* checkpoint.h - where a run goes on: everything it needs to continue to the same last bit.
 *
 * One safetensors file a checkpoint, checkpoint/step-000000000500.safetensors: the weights under
 * their own names, "adamw.m." and "adamw.v." before the moments' names, "codes." before what the
 * diagnostics last saw, the counters and every knob in the metadata. best.safetensors is a second
 * name of the one whose last validation was best. Files appear whole or not at all, and one that is
 * damaged or of another configuration is refused before a weight is touched.
 */
#ifndef BN_ENGINE_CHECKPOINT_H
#define BN_ENGINE_CHECKPOINT_H

#include "engine/config.h"
#include "engine/diagnostics.h"
#include "engine/formats/safetensors.h"
#include "engine/optimizer.h"

/* The counters of a run. The data position follows from the step; random numbers have no state. */
typedef struct bn_progress {
    int64_t step;    /* optimizer steps done */
    int64_t seq;     /* of the next record */
    double loss_sum; /* of the mean losses of `loss_steps` steps since the last record */
    int64_t loss_steps;
    double val_loss;      /* last measured; NaN before the first */
    double best_val_loss; /* of the checkpoint that best.safetensors names; NaN: none */
    double energy_j;      /* measured over all attempts; NaN: cannot be measured */
    bn_optimizer_state optimizer;
} bn_progress;

/* All that is written and read. codes: NULL where the run has none. */
typedef struct bn_checkpoint {
    const bn_config *config; /* resolved, vocabulary known */
    const char *data_hash;   /* of text and tokenizer: another text is another run */
    bn_model *model;
    bn_optimizer *optimizer;
    bn_codes *codes;
    bn_progress *progress;
} bn_checkpoint;

/* Somebody who wants to know why a file was passed over; say NULL: nobody. */
typedef struct bn_listener {
    void (*say)(void *self, const char *line);
    void *self;
} bn_listener;

/* Writes the checkpoint of progress->step into dir, updates progress->best_val_loss and the best
 * name, then removes all but the newest `keep`. dir exists. BN_EIO: the older ones are untouched.
 */
BN_MUST_CHECK bn_status bn_checkpoint_write(const bn_checkpoint *what, const char *dir, int keep,
                                            bn_error *err);

/* Goes on from the newest checkpoint in dir that is sound and of this configuration; *found false:
 * there is none to go on from and nothing was changed. Files that are cut short, altered or foreign
 * are told of and passed over. BN_EINVAL: only checkpoints of another configuration are there (err
 * names the knob and both values). */
BN_MUST_CHECK bn_status bn_checkpoint_resume(const bn_checkpoint *what, const char *dir,
                                             bn_listener listener, bool *found, bn_error *err);

/* The configuration that a checkpoint was trained with, resolved, vocabulary known. BN_ECORRUPT. */
BN_MUST_CHECK bn_status bn_checkpoint_config(bn_config *config, const bn_st_reader *file,
                                             bn_error *err);

#endif
