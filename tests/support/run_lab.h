/* run_lab.h - small whole runs: a text, a configuration, and what a run's events said. */
#ifndef BN_TESTS_SUPPORT_RUN_LAB_H
#define BN_TESTS_SUPPORT_RUN_LAB_H

#include <jansson.h>

#include "engine/train.h"
#include "support/scratch.h"

/* A network that a second trains: 16 wide, 1 block, 12 steps of 2 x 16 bytes of generated text
 * under folder, on the reference device. */
bn_config run_lab_config(const char *folder);

/* Sets knobs, "name=value", NULL ends. */
void run_lab_set(bn_config *config, ...);

/* Resolves and trains in folder/name. Fails the test when bn_train does not return BN_OK. */
bn_train_end run_lab_train(const bn_config *config, const char *folder, const char *name);

/* The same, stopped by SIGTERM's flag before step `stop_at` (0: at once). */
bn_train_end run_lab_train_until(const bn_config *config, const char *folder, const char *name,
                                 int stop_at);

/* The lines of folder/name/events.jsonl as a JSON array; the caller releases it. */
json_t *run_lab_events(const char *folder, const char *name);

/* The record of a seq: the last line that said it. NULL: none. Borrowed. */
json_t *run_lab_record(json_t *events, int64_t seq);

/* A value of a record; fails the test when it is missing or no number. */
double run_lab_value(json_t *record, const char *key);

/* The last line of type "end". */
json_t *run_lab_end(json_t *events);

#endif
