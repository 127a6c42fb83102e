/* train.h - one run, from its configuration to its last event. Knows a folder, nothing above it. */
#ifndef BN_ENGINE_TRAIN_H
#define BN_ENGINE_TRAIN_H

#include <signal.h>

#include "engine/config.h"
#include "engine/ranks.h"

/* How a run ended when nothing went wrong with the machine. */
typedef enum bn_train_end {
    BN_TRAIN_FINISHED,
    BN_TRAIN_STOPPED,  /* asked to; a checkpoint is kept, the next attempt goes on from it */
    BN_TRAIN_DIVERGED, /* loss or gradients not finite; the end line names the step */
} bn_train_end;

typedef struct bn_train_job {
    const bn_config *config; /* resolved */
    const char *dir;         /* holds events.jsonl and checkpoint/; continues what it finds there */
    int attempt;             /* 1, 2, ... */
    const volatile sig_atomic_t *stop; /* set by a signal; read between steps */
    /* NULL: alone. With several ranks each calls bn_train with the same configuration and folder;
     * train.batch is of all ranks together. Rank 0 writes; a rank that is asked to stop stops all.
     */
    const bn_ranks *ranks;
    /* Told of what the run got over, e.g. a damaged checkpoint that was passed over. NULL: nobody.
     */
    void (*say)(void *self, const char *line);
    void *say_self;
} bn_train_job;

/* Trains; every line of events.jsonl is on disk before a checkpoint that names the next seq.
 * Writes the begin line, the records and, unless it fails, the end line.
 * BN_EINVAL: data or knobs; BN_EIO, BN_ENOMEM: the machine. */
BN_MUST_CHECK bn_status bn_train(const bn_train_job *job, bn_train_end *end, bn_error *err);

/* The dry run: tensor table, parameter counts (total, low-bit) and bytes needed, without data.
 * As text for people, or as one JSON object
 * {"params","ternary_params","bytes":{...},"tensors":[...]}. */
BN_MUST_CHECK bn_status bn_train_plan(const bn_config *config, bool json, bn_text *out,
                                      bn_error *err);

#endif
