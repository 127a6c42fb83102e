/* page_home.c - homes for the page's tests, written through the store as a manager would:
 *     page_home KIND DIR [RUNS METRICS RECORDS]
 * KIND: empty, one, nan, hostile, demo (two sweeps that look like real ones), pruned (successive
 * halving, with failures), odd (sweeps that share no knob), waiting (sweeps without an answer above
 * one that has it), big; more: another 20 records for the
 * run that the demo left running. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "store/history.h"
#include "store/label.h"
#include "tests/support/page_lab.h"

static void make_grid(bn_store *store, const char *home, const char *name,
                      const char *const *variants, const int *widths, int seeds)
{
    static const double rates[] = {3e-4, 1e-3, 3e-3, 1e-2, 3e-2};
    bn_sweep sweep = page_sweep_add(store, name, 0, "name = \"demo\"\nmethod = \"grid\"\n");
    int number = 0;
    for (int v = 0; variants[v]; v++) {
        for (int w = 0; widths[w]; w++) {
            for (int i = 0; i < 5 * seeds; i++) {
                char run[96];
                double rate = rates[i / seeds];
                (void)snprintf(run, sizeof run, "w%d-%s-lr%.0e-s%d", widths[w], variants[v], rate,
                               i % seeds);
                run_plan plan = {name,    variants[v], run,       number++,      widths[w],
                                 RECORDS, rate,        i % seeds, widths[1] != 0};
                page_run_make(store, home, sweep.id, &plan);
            }
        }
    }
    run_plan last = {name, "ternary", "failed-run",  number, widths[0], RECORDS,
                     0.1,  9,         widths[1] != 0};
    bn_run run = page_run_add(store, sweep.id, &last);
    page_run_begin(store, run.id, 1.79537e9 + 3000);
    page_records_append(store, run.id, &last, 0, 60);
    page_run_end(store, run.id, BN_RUN_FAILED, "diverged at step 600", 1.79537e9 + 3030);
    last.number++;
    last.name = "running-run";
    last.rate = 2e-3;
    run = page_run_add(store, sweep.id, &last);
    page_run_begin(store, run.id, 1.79537e9 + 3100);
    page_records_append(store, run.id, &last, 0, 140);
    last.number++;
    last.name = "waiting-run";
    (void)page_run_add(store, sweep.id, &last);
}

static void make_demo(bn_store *store, const char *home)
{
    static const char *const two[] = {"ternary", "fp16", NULL};
    static const char *const three[] = {"ternary", "bf16", "fp16", NULL};
    static const int one_width[] = {128, 0};
    static const int widths[] = {64, 128, 192, 256, 0};
    make_grid(store, home, "width", three, widths, 2);
    make_grid(store, home, "lr", two, one_width, 6);
}

static void make_more(bn_store *store)
{
    bn_sweep sweep;
    bn_run *runs = NULL;
    size_t count = 0;
    bn_error err = {0};
    page_check(bn_sweep_find(store, "lr", &sweep, &err), &err);
    page_check(bn_run_list(store, sweep.id, &runs, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        const bn_run run = runs[i];
        if (run.state != BN_RUN_RUNNING) continue;
        run_plan plan = {"lr", "ternary", run.name, run.number, 128, RECORDS, 2e-3, 9, false};
        page_records_append(store, run.id, &plan, (int)run.next_seq, (int)run.next_seq + 20);
    }
    free(runs);
}

static void make_nan(bn_store *store)
{
    bn_sweep sweep = page_sweep_add(store, "nan", 1, "");
    run_plan plan = {"nan", "fp16", "only-nan", 0, 64, 40, 1, 0, false};
    bn_run run = page_run_add(store, sweep.id, &plan);
    bn_error err = {0};
    page_run_begin(store, run.id, 1.79537e9);
    for (int i = 0; i < 40; i++) {
        bn_value values[] = {{"train/loss", (double)NAN}, {"val/loss", (double)NAN}};
        bn_record record = {i, i * 10, 1.79537e9 + i, values, 2};
        bn_history_batch batch = {run.id, &record, 1, i};
        page_check(bn_history_append(store, &batch, 1, &err), &err);
    }
    page_run_end(store, run.id, BN_RUN_FAILED, "diverged at step 0", 1.79537e9 + 50);
}

/* A sweep by successive halving: rungs at 40, 120 and 360 steps, one in three goes on. */
static void make_pruned(bn_store *store, const char *home)
{
    static const char spec[] = "name = \"halving\"\nmethod = \"random\"\n\n[early_terminate]\n"
                               "type     = \"asha\"\nmin_iter = 40\neta      = 3\n";
    bn_sweep sweep = page_sweep_add(store, "halving", 28, spec);
    for (int i = 0; i < 27; i++) {
        char name[96], reason[120];
        int records = i % 3 ? 4 : i % 9 ? 12 : 40;
        double rate = 3e-4 * pow(1.2, i);
        (void)snprintf(name, sizeof name, "half-%02d", i);
        run_plan plan = {"halving", i % 2 ? "fp16" : "ternary", name, i, 64, 40, rate, i, false};
        bn_run run = page_run_add(store, sweep.id, &plan);
        double start_s = 1.79537e9 + 40.0 * i;
        page_folder_fill(home, &run);
        page_run_begin(store, run.id, start_s);
        page_records_append(store, run.id, &plan, 0, records);
        (void)snprintf(reason, sizeof reason, "asha: 3.5 at step %d is number 2 of 3, 1 goes on",
                       records * 10);
        bool whole = records == 40;
        page_run_end(store, run.id, whole ? BN_RUN_FINISHED : BN_RUN_PRUNED, whole ? "" : reason,
                     start_s + records);
    }
    run_plan bad = {"halving", "fp16", "half-failed", 27, 64, 40, 1, 0, false};
    bn_run run = page_run_add(store, sweep.id, &bad);
    page_run_begin(store, run.id, 1.79537e9 + 2000);
    page_records_append(store, run.id, &bad, 0, 2);
    page_run_end(store, run.id, BN_RUN_FAILED, "diverged at step 20", 1.79537e9 + 2010);
}

/* One sweep that has its answer, and newer ones that lack a side, an end or a beginning. */
static void make_waiting(bn_store *store, const char *home)
{
    static const char *const names[] = {"answered", "halfway", "begun", "to-come"};
    for (int i = 0; i < 4; i++) {
        bn_sweep sweep = page_sweep_add(store, names[i], 2, "");
        run_plan ternary = {names[i], "ternary", "ternary-s0", 0, 64, RECORDS, 1e-3, 0, false};
        run_plan fp16 = {names[i], "fp16", "fp16-s0", 1, 64, RECORDS, 1e-3, 0, false};
        if (i < 2) page_run_make(store, home, sweep.id, &ternary);
        if (i < 1) page_run_make(store, home, sweep.id, &fp16);
        if (i != 1 && i != 2) continue;
        bn_run run = page_run_add(store, sweep.id, &fp16);
        page_run_begin(store, run.id, 1.79537e9 + 60);
        page_records_append(store, run.id, &fp16, 0, 20);
    }
}

/* A run of another program: knobs and metrics that the built-in engine does not have. */
static void add_foreign(bn_store *store, int64_t sweep, int number)
{
    char name[32], config[96], dir[48], depth[16];
    bn_error err = {0};
    bn_run run;
    (void)snprintf(name, sizeof name, "tree-%d", number);
    (void)snprintf(dir, sizeof dir, "trees/tree-%d", number);
    (void)snprintf(depth, sizeof depth, "%d", 2 + number);
    (void)snprintf(config, sizeof config, "{\"tree.depth\":%s,\"tree.kind\":\"oak\"}", depth);
    bn_param params[1] = {{.name = "tree.depth", .varied = true}};
    (void)snprintf(params[0].value, sizeof params[0].value, "%s", depth);
    bn_run_new fresh = {.sweep = sweep,
                        .number = number,
                        .name = name,
                        .config_json = config,
                        .params = params,
                        .param_count = 1,
                        .variant = "",
                        .config_hash = name,
                        .dir = dir};
    page_check(bn_run_add(store, &fresh, &run, &err), &err);
    page_run_begin(store, run.id, 1.79537e9 + number);
    for (int i = 0; i < 30; i++) {
        bn_value values[] = {{"accuracy", 1 - 1.0 / (i + 2 + number)}, {"leaf_s", 2e-6 * (i + 1)}};
        bn_record record = {i, i, 1.79537e9 + i, values, 2};
        bn_history_batch batch = {run.id, &record, 1, i + 1};
        page_check(bn_history_append(store, &batch, 1, &err), &err);
    }
    page_run_end(store, run.id, BN_RUN_FINISHED, "", 1.79537e9 + 60);
}

/* Two sweeps with nothing in common, and a note as long as a short book. */
static void make_odd(bn_store *store, const char *home)
{
    static char note[100001];
    bn_error err = {0};
    bn_sweep one = page_sweep_add(store, "one", 1, "name = \"one\"\n");
    run_plan plan = {"one", "ternary", "with-a-note", 0, 128, RECORDS, 1e-3, 0, false};
    page_run_make(store, home, one.id, &plan);
    for (size_t i = 0; i < sizeof note - 1; i++) note[i] = "words and "[i % 10];
    for (size_t i = 79; i < sizeof note - 1; i += 80) note[i] = '\n';
    bn_run run;
    page_check(bn_run_find(store, "with-a-note", &run, &err), &err);
    page_check(bn_note_add(store, run.id, note, &err), &err);
    bn_sweep trees = {.method = "random",
                      .metric = "accuracy",
                      .maximize = true,
                      .state = BN_SWEEP_RUNNING,
                      .created_s = 1.79537e9,
                      .planned = 3};
    bool found = false;
    (void)snprintf(trees.name, sizeof trees.name, "trees");
    (void)snprintf(trees.hash, sizeof trees.hash, "%064x", 77u);
    page_check(bn_sweep_add(store, &trees, "name = \"trees\"\n", &found, &err), &err);
    for (int i = 0; i < 3; i++) add_foreign(store, trees.id, i);
}

/* NOLINTNEXTLINE(misc-misleading-bidirectional): that is what it is for */
#define RIGHT_TO_LEFT "\xE2\x80\xAEright to left"

#define LONG_NAME                                                                                  \
    "a-name-of-ninety-letters-without-a-single-place-to-break-the-line-that-it-is-printed-on-once"

/* Names and words that would harm a careless page. */
static void make_hostile(bn_store *store, const char *home)
{
    static const char *const names[] = {
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(2)",
        "\"'`${alert(3)}",
        "__proto__",
        "constructor",
        RIGHT_TO_LEFT,
        "\xFF\xFE not text",
        "=HYPERLINK(\"http://x\")",
        "\xF0\x9F\x8C\xB2\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x94\xAC trees",
        LONG_NAME};
    bn_sweep sweep =
        page_sweep_add(store, "<b onclick=alert(4)>&amp;", 10, "</pre><script>alert(5)</script>");
    for (int i = 0; i < 10; i++) {
        run_plan plan = {"hostile", i % 2 ? "fp16" : "ternary", names[i], i, 64, 50, 1e-3, i / 2,
                         false};
        bn_run run = page_run_add(store, sweep.id, &plan);
        page_folder_fill(home, &run);
        page_run_begin(store, run.id, 1.79537e9 + i);
        page_records_append(store, run.id, &plan, 0, 50);
        bn_error err = {0};
        static const char note[] = "<svg onload=alert(6)> a note";
        page_check(bn_note_add(store, run.id, note, &err), &err);
        bool well = i < 6;
        page_run_end(store, run.id, well ? BN_RUN_FINISHED : BN_RUN_FAILED,
                     well ? "" : "<script>alert(7)</script>", 1.79537e9 + 60 + i);
    }
}

static void append_big(bn_store *store, int64_t id, int number, int metrics, int records)
{
    static char keys[64][24];
    static bn_value values[BATCH * 64];
    static bn_record batch[BATCH];
    bn_error err = {0};
    for (int m = 0; m < metrics; m++) {
        (void)snprintf(keys[m], sizeof keys[m], m ? "m/%02d" : "val/loss", m);
    }
    for (int first = 0; first < records; first += BATCH) {
        size_t count = 0;
        for (int i = first; i < records && i < first + BATCH; i++, count++) {
            bn_value *row = values + count * (size_t)metrics;
            for (int m = 0; m < metrics; m++) {
                double wave = sin(i * 0.01 + m) * 0.1;
                uint64_t index = (uint64_t)i * 64 + (uint64_t)m;
                double noise = bn_rng_uniform((uint64_t)number + 1, index) * 0.2;
                row[m] =
                    (bn_value){keys[m], (double)(float)(2 + 4 / (1 + i * 0.02) + wave + noise)};
            }
            batch[count] =
                (bn_record){i, (int64_t)i + 1, 1.79537e9 + i * 0.25, row, (size_t)metrics};
        }
        bn_history_batch one = {id, batch, count, (int64_t)first + (int64_t)count};
        page_check(bn_history_append(store, &one, 1, &err), &err);
    }
}

static void make_big(bn_store *store, int runs, int metrics, int records)
{
    static const double rates[] = {3e-4, 1e-3, 3e-3, 1e-2};
    bn_sweep sweep = page_sweep_add(store, "big", runs, "");
    for (int i = 0; i < runs; i++) {
        char name[96];
        (void)snprintf(name, sizeof name, "%s-lr%d-s%d", i % 2 ? "fp16" : "ternary", i / 2 % 4,
                       i / 8);
        run_plan plan = {"big",   i % 2 ? "fp16" : "ternary", name,  i,    64,
                         records, rates[i / 2 % 4],           i / 8, false};
        bn_run run = page_run_add(store, sweep.id, &plan);
        page_run_begin(store, run.id, 1.79537e9 + i);
        append_big(store, run.id, i, metrics, records);
        page_run_end(store, run.id, BN_RUN_FINISHED, "", 1.79537e9 + i + 250);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    bn_store *store = NULL;
    bn_error err = {0};
    const char *kind = argv[1];
    page_check(bn_store_open(&store, argv[2], BN_STORE_WRITE, &err), &err);
    if (strcmp(kind, "one") == 0) {
        bn_sweep sweep = page_sweep_add(store, "one", 1, "name = \"one\"\n");
        run_plan plan = {"one", "ternary", "ternary-lr1e-3-s0", 0, 128, RECORDS, 1e-3, 0, false};
        page_run_make(store, argv[2], sweep.id, &plan);
    } else if (strcmp(kind, "nan") == 0) {
        make_nan(store);
    } else if (strcmp(kind, "hostile") == 0) {
        make_hostile(store, argv[2]);
    } else if (strcmp(kind, "demo") == 0) {
        make_demo(store, argv[2]);
    } else if (strcmp(kind, "pruned") == 0) {
        make_pruned(store, argv[2]);
    } else if (strcmp(kind, "odd") == 0) {
        make_odd(store, argv[2]);
    } else if (strcmp(kind, "waiting") == 0) {
        make_waiting(store, argv[2]);
    } else if (strcmp(kind, "more") == 0) {
        make_more(store);
    } else if (strcmp(kind, "big") == 0 && argc == 6) {
        make_big(store, (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10),
                 (int)strtol(argv[5], NULL, 10));
    } else if (strcmp(kind, "empty") != 0) {
        return 2;
    }
    bn_store_close(store);
    return 0;
}
