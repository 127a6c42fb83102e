/* store_bench.c - what the store costs: appends at several commit sizes, a cold curve, a tick.
 *
 *   store_bench HOME    makes HOME, which must not exist, fills it and prints one line a figure
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "store/history.h"
#include "store/run.h"

enum { METRICS = 20 };

static void need(bn_status status, const bn_error *err)
{
    if (status == BN_OK) return;
    (void)fprintf(stderr, "store_bench: %s\n", err->text);
    _Exit(1);
}

static int64_t make_run(bn_store *store, int64_t sweep, int number)
{
    char name[32];
    bn_run run;
    bn_error err = {0};
    (void)snprintf(name, sizeof name, "bench-%d", number);
    bn_run_new fresh = {
        .sweep = sweep, .number = number, .name = name, .dir = name, .config_json = "{}"};
    need(bn_run_add(store, &fresh, &run, &err), &err);
    return run.id;
}

/* Appends `records` records of METRICS values, `per_commit` at a time; returns seconds. */
static double append(bn_store *store, int64_t run, int records, int per_commit)
{
    static char names[METRICS][16];
    bn_value *values = calloc((size_t)per_commit * METRICS, sizeof *values);
    bn_record *list = calloc((size_t)per_commit, sizeof *list);
    bn_error err = {0};
    if (!values || !list) _Exit(1);
    for (int m = 0; m < METRICS; m++) (void)snprintf(names[m], sizeof names[m], "metric/%02d", m);
    double start_s = bn_clock_mono_s();
    for (int seq = 0; seq < records; seq += per_commit) {
        for (int i = 0; i < per_commit; i++) {
            bn_value *row = values + (size_t)i * METRICS;
            for (int m = 0; m < METRICS; m++) {
                row[m] = (bn_value){names[m], 1.0 / (seq + i + m + 1)};
            }
            list[i] = (bn_record){seq + i, seq + i, 1e9 + seq + i, row, METRICS};
        }
        bn_history_batch batch = {run, list, (size_t)per_commit, seq};
        need(bn_history_append(store, &batch, 1, &err), &err);
    }
    double took_s = bn_clock_mono_s() - start_s;
    free(values);
    free(list);
    return took_s;
}

static void bench_append(bn_store *store, int64_t run, int records, int per_commit)
{
    double took_s = append(store, run, records, per_commit);
    (void)printf("append, %d points a commit: %.0f points/s, %.3f ms a commit\n",
                 per_commit * METRICS, (double)records * METRICS / took_s,
                 1e3 * took_s * per_commit / records);
}

static void drop_cache(const char *home)
{
    char path[BN_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/bnexp.db", home);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
}

static void bench_read(const char *home, int64_t run, const char *how)
{
    bn_store *store = NULL;
    bn_series series;
    bn_error err = {0};
    double start_s = bn_clock_mono_s();
    need(bn_store_open(&store, home, BN_STORE_READ, &err), &err);
    need(bn_history_series(store, run, "metric/07", &series, &err), &err);
    (void)printf("%s read of %zu points (open, steps and times included): %.2f ms\n", how,
                 series.count, 1e3 * (bn_clock_mono_s() - start_s));
    bn_series_release(&series);
    bn_store_close(store);
}

int main(int argc, char **argv)
{
    bn_store *store = NULL;
    bn_sweep sweep = {.name = "bench", .hash = "x", .method = "grid"};
    bn_error err = {0};
    bool found = false;
    if (argc != 2 || bn_file_exists(argv[1])) {
        (void)fprintf(stderr, "usage: store_bench HOME (which must not exist)\n");
        return 2;
    }
    need(bn_store_open(&store, argv[1], BN_STORE_WRITE, &err), &err);
    need(bn_sweep_add(store, &sweep, "", &found, &err), &err);
    int64_t last = 0;
    bench_append(store, make_run(store, sweep.id, 0), 2000, 1);
    bench_append(store, make_run(store, sweep.id, 1), 20000, 25);
    bench_append(store, make_run(store, sweep.id, 2), 40000, 200);
    bench_append(store, last = make_run(store, sweep.id, 3), 100000, 5000);
    bn_store_close(store);
    drop_cache(argv[1]);
    bench_read(argv[1], last, "cold");
    bench_read(argv[1], last, "warm");
    return 0;
}
