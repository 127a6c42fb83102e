#include "runner/cli/checkpoint_of.h"

#include <stdio.h>
#include <sys/stat.h>

#include "engine/checkpoint_dir.h"
#include "store/run.h"
#include "store/store.h"

static bn_status folder_of(char out[BN_PATH_MAX], const char *home, const char *word, bn_error *err)
{
    bn_store *store = NULL;
    bn_run run;
    bn_status status = bn_store_open(&store, home, BN_STORE_READ, err);
    if (status == BN_OK) status = bn_run_find(store, word, &run, err);
    if (status == BN_OK) status = bn_path_join(out, home, run.dir, err);
    bn_store_close(store);
    return status;
}

bn_status bn_checkpoint_of(char out[BN_PATH_MAX], const char *home, const char *word, bool best,
                           bn_error *err)
{
    char folder[BN_PATH_MAX];
    char checkpoints[BN_PATH_MAX];
    struct stat info;
    bool exists = stat(word, &info) == 0;
    if (exists && !S_ISDIR(info.st_mode)) return bn_path_join(out, "", word, err);
    bn_status status =
        exists ? bn_path_join(folder, "", word, err) : folder_of(folder, home, word, err);
    if (status == BN_OK) status = bn_path_join(checkpoints, folder, "checkpoint", err);
    if (status != BN_OK) return status;
    if (bn_checkpoint_dir_path(out, checkpoints, best, err) == BN_OK) return BN_OK;
    return bn_fail_in(err, "run '%.60s'", word);
}
