/* live_home - homes whose runs go on from call to call, made by the store's own calls, with numbers
 * that follow from their place.
 *
 *   live_home HOME create RUNS RECORDS METRICS   running runs with so many records each
 *   live_home HOME append RECORDS                more records for every running run
 *   live_home HOME end STATE EXIT_CODE           every running run ends
 *   live_home HOME again                         every ended run begins another attempt
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "store/history.h"
#include "store/run.h"

enum { METRICS_MAX = 100, CHUNK = 1000 };

static const double BEGIN_S = 1795371430;

static int fail(const bn_error *err)
{
    (void)fprintf(stderr, "live_home: %s\n", err->text);
    return 1;
}

static double number_at(int64_t run, int64_t seq, int metric)
{
    if (metric == 2 && seq % 7 == 3) return NAN;
    if (metric == 2 && seq % 7 == 4) return seq % 2 ? INFINITY : -INFINITY;
    return (double)run + 1.0 / (double)(seq + metric + 1);
}

static bn_status append(bn_store *store, const bn_run *run, int64_t count, int metrics,
                        bn_error *err)
{
    static bn_value values[CHUNK][METRICS_MAX];
    static bn_record records[CHUNK];
    static const char *const known[] = {"train/loss", "val/loss", "odd", "tokens", "mem/rss_bytes"};
    static char names[METRICS_MAX][16];
    for (int64_t done = 0; done < count;) {
        size_t now = count - done < CHUNK ? (size_t)(count - done) : CHUNK;
        for (size_t i = 0; i < now; i++) {
            int64_t seq = run->next_seq + done + (int64_t)i;
            for (int k = 0; k < metrics; k++) {
                (void)snprintf(names[k], sizeof names[k], "m%d", k);
                values[i][k] = (bn_value){k < 5 ? known[k] : names[k], number_at(run->id, seq, k)};
            }
            records[i] = (bn_record){.seq = seq,
                                     .step = seq * 10,
                                     .wall_s = BEGIN_S + (double)seq * 0.25,
                                     .values = values[i],
                                     .count = (size_t)metrics};
        }
        bn_history_batch batch = {run->id, records, now, run->mark_bytes + done + (int64_t)now};
        if (bn_history_append(store, &batch, 1, err) != BN_OK) return err->status;
        done += (int64_t)now;
    }
    return BN_OK;
}

static bn_status begin(bn_store *store, int64_t run, double now_s, bn_error *err)
{
    bn_run_change change = {.from = BN_RUN_PENDING,
                            .to = BN_RUN_RUNNING,
                            .host = "box",
                            .device = "cpu (test)",
                            .exit_code = -1,
                            .now_s = now_s,
                            .begins_attempt = true};
    return bn_run_move(store, run, &change, err);
}

/* stdout.log and stderr.log get a few lines more, the last one unfinished. */
static bn_status write_console(const char *home, const bn_run *run, int attempt, bn_error *err)
{
    char dir[BN_PATH_MAX];
    char path[BN_PATH_MAX];
    if (bn_path_join(dir, home, run->dir, err) != BN_OK) return err->status;
    if (bn_dir_make(dir, 0700, err) != BN_OK) return err->status;
    static const char *const files[] = {"stdout.log", "stderr.log"};
    for (int i = 0; i < 2; i++) {
        if (bn_path_join(path, dir, files[i], err) != BN_OK) return err->status;
        FILE *file = fopen(path, "a");
        if (!file) return bn_fail_errno(err, "open %s", path);
        (void)fprintf(file, "%s attempt %d of \"%s\"\n10 %%\r100 %%\nopen end", files[i], attempt,
                      run->key);
        if (fclose(file) != 0) return bn_fail_errno(err, "write %s", path);
    }
    return BN_OK;
}

static bn_status create(bn_store *store, const char *home, char **argv, bn_error *err)
{
    int64_t runs = strtoll(argv[0], NULL, 10);
    int64_t records = strtoll(argv[1], NULL, 10);
    int metrics = (int)strtol(argv[2], NULL, 10);
    bn_sweep sweep = {.name = "lr", .hash = "h", .method = "grid", .metric = "val/loss"};
    bool found = false;
    bn_status status = bn_sweep_add(store, &sweep, "name = \"lr\"\n", &found, err);
    for (int i = 0; status == BN_OK && i < runs; i++) {
        char name[32];
        char dir[32];
        char config[160];
        (void)snprintf(name, sizeof name, "ternary-s%d", i);
        (void)snprintf(dir, sizeof dir, "lr/%s", name);
        (void)snprintf(config, sizeof config,
                       "{\"optim.lr\":0.0003,\"quant.variant\":\"ternary\",\"train.seed\":%d}", i);
        bn_run_new fresh = {.sweep = sweep.id,
                            .number = i,
                            .name = name,
                            .config_json = config,
                            .variant = "ternary",
                            .config_hash = name,
                            .dir = dir};
        bn_run run;
        status = bn_run_add(store, &fresh, &run, err);
        if (status == BN_OK) status = begin(store, run.id, BEGIN_S - 1, err);
        if (status == BN_OK) status = append(store, &run, records, metrics, err);
        if (status == BN_OK) status = write_console(home, &run, 1, err);
    }
    return status;
}

static bn_status end(bn_store *store, const bn_run *run, char **argv, bn_error *err)
{
    bn_run_change change = {.from = BN_RUN_RUNNING,
                            .exit_code = (int)strtol(argv[1], NULL, 10),
                            .now_s = BEGIN_S + 1000,
                            .ends_attempt = true};
    if (bn_run_state_parse(argv[0], &change.to, err) != BN_OK) return err->status;
    return bn_run_move(store, run->id, &change, err);
}

static bn_status again(bn_store *store, const char *home, const bn_run *run, bn_error *err)
{
    bn_run_change change = {
        .from = run->state, .to = BN_RUN_PENDING, .exit_code = -1, .now_s = BEGIN_S + 2000};
    if (bn_run_move(store, run->id, &change, err) != BN_OK) return err->status;
    if (begin(store, run->id, BEGIN_S + 2001, err) != BN_OK) return err->status;
    return write_console(home, run, run->attempt + 1, err);
}

static bn_status for_all(bn_store *store, const char *home, char **argv, bn_error *err)
{
    bn_run *runs = NULL;
    size_t count = 0;
    bn_status status = bn_run_list(store, 0, &runs, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        bool live = runs[i].state == BN_RUN_RUNNING;
        if (live && strcmp(argv[0], "append") == 0) {
            status = append(store, &runs[i], strtoll(argv[1], NULL, 10), 5, err);
        } else if (live && strcmp(argv[0], "end") == 0) {
            status = end(store, &runs[i], argv + 1, err);
        } else if (!live && strcmp(argv[0], "again") == 0) {
            status = again(store, home, &runs[i], err);
        }
    }
    free(runs);
    return status;
}

int main(int argc, char **argv)
{
    bn_error err = {0};
    bn_store *store = NULL;
    bool creates = argc == 6 && strcmp(argv[2], "create") == 0;
    bool known = creates || (argc == 4 && strcmp(argv[2], "append") == 0) ||
                 (argc == 5 && strcmp(argv[2], "end") == 0) ||
                 (argc == 3 && strcmp(argv[2], "again") == 0);
    if (!known) {
        (void)fprintf(stderr, "usage: live_home HOME create|append|end|again ...\n");
        return 2;
    }
    bn_status status = bn_store_open(&store, argv[1], BN_STORE_WRITE, &err);
    if (status == BN_OK && creates) status = create(store, argv[1], argv + 3, &err);
    if (status == BN_OK && !creates) status = for_all(store, argv[1], argv + 2, &err);
    bn_store_close(store);
    return status == BN_OK ? 0 : fail(&err);
}
