/* checkpoint_dir.h - the folder of checkpoints: names, order, and which are kept. */
#ifndef BN_ENGINE_CHECKPOINT_DIR_H
#define BN_ENGINE_CHECKPOINT_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/file.h"

#define BN_CHECKPOINT_BEST "best.safetensors"

/* Steps of the checkpoints in a folder, newest first. */
typedef struct bn_checkpoint_list {
    int64_t *steps;
    size_t count, room;
} bn_checkpoint_list;

/* The caller frees list->steps, whatever is returned. A missing folder is an empty one. */
BN_MUST_CHECK bn_status bn_checkpoint_dir_list(bn_checkpoint_list *list, const char *dir,
                                               bn_error *err);

/* dir/step-000000000500.safetensors */
BN_MUST_CHECK bn_status bn_checkpoint_dir_step(char out[BN_PATH_MAX], const char *dir, int64_t step,
                                               bn_error *err);

/* The path of the newest checkpoint, or of the best one. BN_ENOENT. */
BN_MUST_CHECK bn_status bn_checkpoint_dir_path(char out[BN_PATH_MAX], const char *dir, bool best,
                                               bn_error *err);

/* Makes best.safetensors a second name of the file at path, in one move. */
BN_MUST_CHECK bn_status bn_checkpoint_dir_best(const char *dir, const char *path, bn_error *err);

/* Removes all step files but the newest `keep`, and what a killed attempt left half-written. */
BN_MUST_CHECK bn_status bn_checkpoint_dir_trim(const char *dir, int keep, bn_error *err);

#endif
