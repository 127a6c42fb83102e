/* rank_head.h - several ranks of one run on this machine: starts them, waits, ends with them.
 *
 * Each rank is a process of this program. A request to stop is passed on to all; when one has
 * failed the others end by themselves with its reason, and are killed if they do not. The ranks
 * never outlive their head.
 */
#ifndef BN_RUNNER_RANK_HEAD_H
#define BN_RUNNER_RANK_HEAD_H

typedef struct bn_rank_head {
    const char *dir;         /* the run's folder */
    int count;               /* of ranks, at most BN_RANKS_MAX */
    const char *const *gpus; /* [count], each rank's only GPU; NULL: ranks on processors */
} bn_rank_head;

/* Returns the run's exit code, as bn_worker_run does. Speaks on stderr. */
int bn_rank_head_run(const bn_rank_head *head);

#endif
