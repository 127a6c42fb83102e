/* wandb_memo.h - what is remembered of a run between two pushes to wandb: where it is there, and
 * how many lines of each stream it has. Kept as JSON in the store, in the ack's transaction. */
#ifndef BN_REPORTERS_WANDB_MEMO_H
#define BN_REPORTERS_WANDB_MEMO_H

#include "reporters/wandb_body.h"

/* Where the reading of the two console files stands. */
typedef struct bn_wandb_log_mark {
    int64_t out_bytes, err_bytes; /* of stdout.log and stderr.log */
    int64_t line;                 /* lines of output.log */
} bn_wandb_log_mark;

/* A sweep at wandb. */
typedef struct bn_wandb_sweep_page {
    int64_t sweep; /* row here; 0: none */
    char name[65]; /* its id in addresses there */
    char id[129];  /* its id in requests there */
} bn_wandb_sweep_page;

typedef struct bn_wandb_memo {
    bn_wandb_place place;      /* as the server calls it; place.run "": it does not know it yet */
    bn_wandb_sweep_page sweep; /* its sweep there; name "": none */
    int attempt;               /* as of the last upsert */
    int64_t metrics;           /* metrics that the last upsert defined */
    int64_t labels;            /* what stood in its tags and notes, as a number */
    bn_wandb_clock clock;      /* where the history stands */
    int64_t events;            /* lines of wandb-events.jsonl */
    bn_wandb_log_mark log;
    bn_wandb_log_mark plan; /* up to here lines may have been sent: a repeat sends the same */
    double plan_read_s;     /* their time stamp; 0: no plan */
    int files;              /* uploads that are done */
    int ended;              /* the final state that was told, plus 1; 0: none */
} bn_wandb_memo;

/* Bits of `files`. What was refused while the run was alive is tried once more at its end. */
enum {
    BN_WANDB_BEGIN_SENT = 1,
    BN_WANDB_END_SENT = 2,
    BN_WANDB_CHECKPOINT_SENT = 4,
    BN_WANDB_BEGIN_REFUSED = 8,
};

/* "" and what is no memo of ours give that of a run the server does not know. */
void bn_wandb_memo_read(bn_wandb_memo *out, const char *text);
void bn_wandb_memo_write(bn_text *out, const bn_wandb_memo *memo);

#endif
