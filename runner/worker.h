/* worker.h - the run process: one folder in, its events out. Knows no store and no sweep.
 *
 * SIGTERM or SIGINT asks it to stop: it ends the step, keeps a checkpoint and exits 75, "queue me
 * again". Other exits: 0 finished, 1 diverged or a failure of the machine, 2 bad knobs or data,
 * 5 somebody else runs this folder.
 */
#ifndef BN_RUNNER_WORKER_H
#define BN_RUNNER_WORKER_H

/* Trains the run of a folder in this process and returns its exit code. Speaks on stderr. */
int bn_worker_run(const char *dir);

#endif
