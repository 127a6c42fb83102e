/* ranks_lab.h - one small run trained by several processes of the test's own. */
#ifndef BN_TESTS_SUPPORT_RANKS_LAB_H
#define BN_TESTS_SUPPORT_RANKS_LAB_H

#include <sys/types.h>

#include "support/run_lab.h"

enum { RANKS_LAB_MAX = 8 };

/* How a rank ended. */
typedef enum ranks_lab_end {
    RANK_FINISHED,
    RANK_STOPPED,
    RANK_DIVERGED,
    RANK_FAILED, /* ranks_lab_words has why */
    RANK_KILLED,
} ranks_lab_end;

typedef struct ranks_lab {
    const char *folder, *name; /* the run is in folder/name */
    int world;
    pid_t pids[RANKS_LAB_MAX];
} ranks_lab;

/* Starts rank `rank` of lab->world, which trains config. */
void ranks_lab_start(ranks_lab *lab, const bn_config *config, int rank);

/* Starts them all. */
void ranks_lab_start_all(ranks_lab *lab, const bn_config *config);

/* Waits for a rank; a minute at most, then the test fails. */
ranks_lab_end ranks_lab_wait(ranks_lab *lab, int rank);

/* Starts all, and fails the test unless every rank ends as expected. */
void ranks_lab_train(ranks_lab *lab, const bn_config *config, ranks_lab_end expected);

/* Waits until the run has said `records` records; a minute at most. */
void ranks_lab_hear(const ranks_lab *lab, size_t records);

/* What a rank failed of, "" when it did not. Valid until the next call. */
const char *ranks_lab_words(const ranks_lab *lab, int rank);

#endif
