/* store_home.h - a home in a folder of its own, with a sweep and runs to write to. */
#ifndef BN_TESTS_STORE_HOME_H
#define BN_TESTS_STORE_HOME_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "store/history.h"
#include "store/run.h"
#include "support/cmocka_all.h"

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        if ((call) != BN_OK) fail_msg("%s: %s", #call, err.text);                                  \
    } while (0)

static inline void home_make(char home[BN_PATH_MAX])
{
    (void)snprintf(home, BN_PATH_MAX, "/tmp/bn_store_XXXXXX");
    assert_non_null(mkdtemp(home));
}

/* Only what a store leaves: a test that leaves more must say so itself. */
static inline void home_remove(const char *home)
{
    static const char *const files[] = {"bnexp.db", "bnexp.db-wal", "bnexp.db-shm",
                                        "bnexp.db.v1-backup"};
    char path[BN_PATH_MAX];
    bn_error err = {0};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (bn_path_join(path, home, files[i], &err) == BN_OK) (void)unlink(path);
    }
    (void)rmdir(home);
}

/* A folder that holds nothing but files, such as a page's. */
static inline void home_remove_files(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        char path[2 * BN_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(dir);
    (void)rmdir(folder);
}

static inline bn_store *home_open(const char *home, bn_store_mode mode)
{
    bn_store *store = NULL;
    bn_error err = {0};
    ASSERT_OK(bn_store_open(&store, home, mode, &err));
    return store;
}

static inline int64_t home_sweep(bn_store *store, const char *name)
{
    bn_sweep sweep = {.hash = "aa", .method = "grid", .metric = "val/loss", .seed = 7};
    bn_error err = {0};
    bool found = false;
    (void)snprintf(sweep.name, sizeof sweep.name, "%s", name);
    ASSERT_OK(bn_sweep_add(store, &sweep, "name = \"x\"\n", &found, &err));
    return sweep.id;
}

static inline bn_run home_run(bn_store *store, int64_t sweep, int number)
{
    bn_param params[] = {{"optim.lr", "0.001", true}, {"quant.variant", "\"ternary\"", true}};
    char name[32], dir[64];
    (void)snprintf(name, sizeof name, "run-%d", number);
    (void)snprintf(dir, sizeof dir, "sweep/run-%d", number);
    bn_run_new fresh = {.sweep = sweep,
                        .number = number,
                        .name = name,
                        .config_json = "{\"optim.lr\":0.001,\"quant.variant\":\"ternary\"}",
                        .params = params,
                        .param_count = 2,
                        .variant = "ternary",
                        .config_hash = "c0ffee",
                        .dir = dir};
    bn_run run;
    bn_error err = {0};
    ASSERT_OK(bn_run_add(store, &fresh, &run, &err));
    return run;
}

/* Appends records first ... first + count - 1, each {"a": seq, "b": -seq}, mark = 100 bytes each.
 */
static inline bn_status home_append(bn_store *store, int64_t run, int64_t first, size_t count,
                                    bn_error *err)
{
    bn_record *records = calloc(count, sizeof *records);
    bn_value *values = calloc(2 * count, sizeof *values);
    assert_non_null(records);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        int64_t seq = first + (int64_t)i;
        values[2 * i] = (bn_value){"a", (double)seq};
        values[2 * i + 1] = (bn_value){"b", (double)-seq};
        records[i] = (bn_record){seq, seq * 10, 1e9 + (double)seq, values + 2 * i, 2};
    }
    bn_history_batch batch = {run, records, count, (first + (int64_t)count) * 100};
    bn_status status = bn_history_append(store, &batch, 1, err);
    free(values);
    free(records);
    return status;
}

#endif
