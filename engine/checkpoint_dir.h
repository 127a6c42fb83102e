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

/* Makes best.safetensors a second name of the file at path, in one move; a copy of it where the
 * file system gives no file two names. */
BN_MUST_CHECK bn_status bn_checkpoint_dir_best(const char *dir, const char *path, bn_error *err);

/* Removes all step files up to `step` but the newest `keep` of them, and what a killed attempt left
 * half-written. A run that is at `step` has refused the files of later ones: they take no place
 * from its own. */
BN_MUST_CHECK bn_status bn_checkpoint_dir_trim(const char *dir, int64_t step, int keep,
                                               bn_error *err);

#endif
