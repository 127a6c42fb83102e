/* judge.h - what became of a run that is gone, by its evidence alone. Pure. */
#ifndef BN_RUNNER_FLEET_JUDGE_H
#define BN_RUNNER_FLEET_JUDGE_H

#include <stdbool.h>

#include "runner/fleet/launcher.h"
#include "store/run.h"

/* Why a run was asked to stop. */
typedef enum bn_ask {
    BN_ASK_NOTHING,
    BN_ASK_LATER,    /* the manager goes away: the next one goes on with it */
    BN_ASK_CANCEL,   /* a person does not want it any more */
    BN_ASK_PRUNE,    /* the sweep's rule */
    BN_ASK_TIMEOUT,  /* it took too long */
    BN_ASK_STALL,    /* it said nothing for too long */
    BN_ASK_DIVERGED, /* its metric is no number any more */
} bn_ask;

/* While a run is being stopped its reason says so, "stopping (pruned): why", so that a manager
 * that takes over knows too. Writes it, and reads it back (BN_ASK_NOTHING: it is none; *why is the
 * place behind the colon). */
void bn_ask_text(bn_ask ask, const char *why, char out[240]);
bn_ask bn_ask_parse(const char *reason, const char **why);

typedef struct bn_evidence {
    bn_ask ask;
    const char *ask_why; /* "median of 5 runs at step 100: 2.31" */
    bool external;       /* its exit status is its end; it need not write an end line */
    const char *how;     /* of its end line, NULL: there is none */
    const char *reason;  /* of its end line */
    bn_exit exit;
    const char *last_words; /* of stderr, "" none */
} bn_evidence;

enum { BN_EXIT_REQUEUE = 75 }; /* EX_TEMPFAIL: the run asks for another attempt */

typedef struct bn_verdict {
    bn_run_state state;
    char reason[240];
} bn_verdict;

/* In this order: a finished or diverged end line; an answer to what was asked of it; the exit
 * status; nothing at all: the machine went down with its manager, so it is queued again. */
bn_verdict bn_judge(const bn_evidence *evidence);

#endif
