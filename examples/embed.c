/* embed.c - the engine as a library: train a tiny ternary model on a text file and say how it
 * ended.
 *
 *   cmake --build --preset release --target embed && build/release/embed corpus.txt run-folder
 *
 * Records go to run-folder/events.jsonl, one JSON object a line; the checkpoint beside it. */
#include <stdio.h>

#include "engine/base/file.h"
#include "engine/train.h"

static bn_status train_tiny(const char *text, const char *folder, bn_train_end *end, bn_error *err)
{
    static const char *const settings[][2] = {
        {"quant.variant", "ternary"}, {"train.steps", "100"}, {"data.cache", "embed-cache"}};
    volatile sig_atomic_t stop = 0;
    bn_config config;
    bn_config_init(&config);
    if (bn_config_preset(&config, "tiny", err) != BN_OK) return err->status;
    if (bn_config_set(&config, "data.path", text, err) != BN_OK) return err->status;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        bn_status status = bn_config_set(&config, settings[i][0], settings[i][1], err);
        if (status != BN_OK) return status;
    }
    if (bn_config_resolve(&config, err) != BN_OK) return err->status;
    if (bn_dir_make(folder, 0700, err) != BN_OK) return err->status;
    bn_train_job job = {.config = &config, .dir = folder, .attempt = 1, .stop = &stop};
    return bn_train(&job, end, err);
}

int main(int argc, char **argv)
{
    static const char *const ends[] = {"finished", "stopped", "diverged"};
    bn_train_end end = BN_TRAIN_FINISHED;
    bn_error err = {0};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: embed TEXT FOLDER\n");
        return 2;
    }
    if (train_tiny(argv[1], argv[2], &end, &err) != BN_OK) {
        (void)fprintf(stderr, "embed: %s\n", err.text);
        return 1;
    }
    (void)printf("%s; see %s/events.jsonl\n", ends[end], argv[2]);
    return 0;
}
