/* page_home.c - homes for the page's tests, written through the store as a manager would:
 *     page_home KIND DIR [RUNS METRICS RECORDS]
 * KIND: empty, one, nan, hostile, demo (two sweeps that look like real ones), big; more: another 20
 * records for the run that the demo left running. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/rng.h"
#include "engine/config.h"
#include "store/history.h"
#include "store/label.h"
#include "store/run.h"

enum { RECORDS = 300, BATCH = 500 };

/* One run to be made up. */
typedef struct run_plan {
    const char *sweep, *variant, *name;
    int number, width, records;
    double rate;
    int seed;
    bool width_varies;
} run_plan;

static void check(bn_status status, const bn_error *err)
{
    if (status == BN_OK) return;
    (void)fprintf(stderr, "page_home: %s\n", err->text);
    exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

/* Log10 of the best rate, and the loss that a variant and a width reach with it. */
static double best_rate(const run_plan *run)
{
    return strcmp(run->variant, "ternary") == 0 ? -2.35 : -2.75;
}

static double params_of(const run_plan *run)
{
    return 32640.0 + 4.0 * 12 * run->width * run->width;
}

static double final_loss(const run_plan *run)
{
    double off = log10(run->rate) - best_rate(run);
    double gap = 0;
    if (strcmp(run->variant, "ternary") == 0) gap = 0.16 * pow(params_of(run) / 1e6, -0.12);
    if (strcmp(run->variant, "bf16") == 0) gap = 0.003;
    double noise = 0.012 * bn_rng_normal(bn_rng_key(7, run->name, (uint64_t)run->seed), 0);
    return 1.18 + 0.42 * pow(params_of(run) / 1e6, -0.2) + gap + 0.28 * off * off + noise;
}

static void put(bn_value *values, size_t *count, const char *key, double number)
{
    values[(*count)++] = (bn_value){key, number};
}

static const char *histogram_key(int bin)
{
    static char keys[16][24];
    (void)snprintf(keys[bin], sizeof keys[bin], "quant/hist_%02d", bin);
    return keys[bin];
}

static void put_quant(bn_value *values, size_t *count, double part)
{
    put(values, count, "quant/zero_frac", 0.31 + 0.07 * part);
    put(values, count, "quant/flip_rate", 0.06 * exp(-4 * part) + 0.002);
    double sum = 0;
    double weight[16];
    for (int bin = 0; bin < 16; bin++) {
        double x = (bin + 0.5) * 0.25;
        double wide = 0.5 + 0.25 * part;
        weight[bin] = exp(-x * x / (2 * wide * wide)) + part * 0.5 * exp(-(x - 1) * (x - 1) / 0.02);
        sum += weight[bin];
    }
    for (int bin = 0; bin < 16; bin++) put(values, count, histogram_key(bin), weight[bin] / sum);
}

static void put_memory(bn_value *values, size_t *count, const run_plan *run)
{
    double params = params_of(run);
    put(values, count, "mem/weights_bytes", params * 4.5);
    put(values, count, "mem/grads_bytes", params * 4);
    put(values, count, "mem/optimizer_bytes", params * 8);
    put(values, count, "mem/activations_bytes", 5.2e6 * run->width / 128.0);
    put(values, count, "mem/engine_bytes", params * 16.5 + 5.2e6 * run->width / 128.0);
    put(values, count, "mem/peak_rss_bytes", params * 18 + 2.1e7);
}

/* Record number i of the run. */
static size_t measure(const run_plan *run, int i, bn_value *values)
{
    bool ternary = strcmp(run->variant, "ternary") == 0;
    size_t count = 0;
    double part = (double)i / (run->records - 1);
    uint64_t key = bn_rng_key(11, run->name, (uint64_t)run->seed);
    double end = final_loss(run);
    double loss = end + (5.5 - end) * pow(1 + 40 * part, -1.25) * (1 - part * part);
    double speed = (ternary ? 61000.0 : 52000.0) * 128 / run->width;
    double noise = 0.03 * bn_rng_normal(key, (uint64_t)i);
    put(values, &count, "train/loss", (double)(float)(loss + noise));
    put(values, &count, "lr", run->rate * (i < 15 ? i / 15.0 : 0.5 + 0.5 * cos(M_PI * part)));
    put(values, &count, "grad_norm", 0.4 + 2 * exp(-8 * part) + 0.05 * fabs(noise));
    put(values, &count, "tokens", 2048.0 * 10 * (i + 1));
    put(values, &count, "tokens_per_s", speed * (1 + 0.3 * noise));
    put(values, &count, "step_ms", 2048.0 * 1000 / (speed * (1 + 0.3 * noise)));
    put(values, &count, "energy_j", 14.0 * (i + 1) * (ternary ? 0.35 : 0.4));
    if (i % 20 == 0 || i == run->records - 1) {
        put(values, &count, "val/loss", (double)(float)(loss + 0.015));
        put(values, &count, "val/bpb", (loss + 0.015) / 0.693147180559945);
        if (ternary) put_quant(values, &count, part);
        put_memory(values, &count, run);
    }
    if (i == run->records - 1) {
        put(values, &count, "model/params", params_of(run));
        put(values, &count, "model/deployed_bytes",
            ternary ? params_of(run) * 0.26 + 40000 : params_of(run) * 2);
        put(values, &count, "data/entropy_floor", 1.021);
    }
    return count;
}

static void append_part(bn_store *store, int64_t id, const run_plan *run, int from, int records)
{
    static bn_value values[BATCH * 80];
    static bn_record batch[BATCH];
    bn_error err = {0};
    double speed = strcmp(run->variant, "ternary") == 0 ? 0.34 : 0.39;
    for (int first = from; first < records; first += BATCH) {
        size_t used = 0;
        size_t count = 0;
        for (int i = first; i < records && i < first + BATCH; i++) {
            size_t got = measure(run, i, values + used);
            batch[count++] = (bn_record){.seq = i,
                                         .step = 10 * (int64_t)(i + 1),
                                         .wall_s = 1.79537e9 + 40.0 * run->number + speed * i,
                                         .values = values + used,
                                         .count = got};
            used += got;
        }
        bn_history_batch one = {id, batch, count, 100 * (int64_t)(first + (int)count)};
        check(bn_history_append(store, &one, 1, &err), &err);
    }
}

static void append_all(bn_store *store, int64_t id, const run_plan *run, int records)
{
    append_part(store, id, run, 0, records);
}

static void move(bn_store *store, int64_t id, const bn_run_change *change)
{
    bn_error err = {0};
    check(bn_run_move(store, id, change, &err), &err);
}

static void begin(bn_store *store, int64_t id, double now_s)
{
    bn_run_change change = {.from = BN_RUN_PENDING,
                            .to = BN_RUN_RUNNING,
                            .host = "forge-2",
                            .device = "cpu (8 threads, AVX-512 VNNI)",
                            .exit_code = -1,
                            .now_s = now_s,
                            .begins_attempt = true};
    move(store, id, &change);
}

static void end(bn_store *store, int64_t id, bn_run_state state, const char *reason, double now_s)
{
    bn_run_change change = {.from = BN_RUN_RUNNING,
                            .to = state,
                            .reason = reason,
                            .exit_code = state == BN_RUN_FINISHED ? 0 : 1,
                            .now_s = now_s,
                            .ends_attempt = true};
    move(store, id, &change);
}

static bn_sweep add_sweep(bn_store *store, const char *name, int64_t planned, const char *spec)
{
    bn_sweep sweep = {.method = "grid",
                      .metric = "val/loss",
                      .seed = 1,
                      .state = BN_SWEEP_RUNNING,
                      .created_s = 1.79537e9 - 5,
                      .planned = planned};
    (void)snprintf(sweep.name, sizeof sweep.name, "%s", name);
    (void)snprintf(sweep.hash, sizeof sweep.hash, "%064x", (unsigned)strlen(name));
    bn_error err = {0};
    bool found = false;
    check(bn_sweep_add(store, &sweep, spec, &found, &err), &err);
    return sweep;
}

static bn_run add_run(bn_store *store, int64_t sweep, const run_plan *plan)
{
    bn_config config;
    bn_error err = {0};
    char text[40];
    bn_config_init(&config);
    (void)snprintf(text, sizeof text, "%.9g", plan->rate);
    check(bn_config_set(&config, "optim.lr", text, &err), &err);
    check(bn_config_set(&config, "quant.variant", plan->variant, &err), &err);
    bn_param params[3] = {{.name = "quant.variant", .varied = true},
                          {.name = "optim.lr", .varied = true},
                          {.name = "model.width", .varied = true}};
    (void)snprintf(params[0].value, sizeof params[0].value, "\"%s\"", plan->variant);
    (void)snprintf(params[1].value, sizeof params[1].value, "%s", text);
    (void)snprintf(text, sizeof text, "%d", plan->width);
    (void)snprintf(params[2].value, sizeof params[2].value, "%s", text);
    check(bn_config_set(&config, "model.width", text, &err), &err);
    (void)snprintf(text, sizeof text, "%d", plan->seed);
    check(bn_config_set(&config, "train.seed", text, &err), &err);
    bn_text json_text = {0};
    bn_json json = {.text = &json_text};
    bn_config_json(&config, false, &json);
    char dir[160];
    (void)snprintf(dir, sizeof dir, "%s/run-%d", plan->sweep, plan->number);
    bn_run_new fresh = {.sweep = sweep,
                        .number = plan->number,
                        .name = plan->name,
                        .config_json = json_text.data,
                        .params = params,
                        .param_count = plan->width_varies ? 3 : 2,
                        .variant = plan->variant,
                        .config_hash = plan->name,
                        .dir = dir};
    bn_run run;
    check(bn_run_add(store, &fresh, &run, &err), &err);
    bn_text_release(&json_text);
    return run;
}

/* What a run's folder would hold. */
static void fill_folder(const char *home, const bn_run *run)
{
    char dir[BN_PATH_MAX];
    char path[BN_PATH_MAX];
    bn_error err = {0};
    check(bn_path_join(dir, home, run->dir, &err), &err);
    check(bn_dir_make(dir, 0755, &err), &err);
    static const char events[] =
        "{\"type\":\"begin\",\"attempt\":1,\"pid\":4711,\"host\":\"forge-2\",\"device\":\"cpu\"}\n"
        "{\"type\":\"record\",\"seq\":0,\"step\":10,\"wall_s\":1,\"values\":{}}\n"
        "{\"type\":\"end\",\"how\":\"finished\",\"reason\":\"\"}\n";
    check(bn_path_join(path, dir, "events.jsonl", &err), &err);
    check(bn_file_write(path, events, sizeof events - 1, 0644, &err), &err);
    static const char log[] = "reading 1.1 MB of text\n3000 steps, 6.1 M tokens\n";
    check(bn_path_join(path, dir, "stderr.log", &err), &err);
    check(bn_file_write(path, log, sizeof log - 1, 0644, &err), &err);
}

static void make_run(bn_store *store, const char *home, int64_t sweep, const run_plan *plan)
{
    bn_run run = add_run(store, sweep, plan);
    double start_s = 1.79537e9 + 40.0 * plan->number;
    fill_folder(home, &run);
    begin(store, run.id, start_s);
    append_all(store, run.id, plan, plan->records);
    end(store, run.id, BN_RUN_FINISHED, "", start_s + 0.37 * plan->records);
}

static void make_grid(bn_store *store, const char *home, const char *name,
                      const char *const *variants, const int *widths, int seeds)
{
    static const double rates[] = {3e-4, 1e-3, 3e-3, 1e-2, 3e-2};
    bn_sweep sweep = add_sweep(store, name, 0, "name = \"demo\"\nmethod = \"grid\"\n");
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
                make_run(store, home, sweep.id, &plan);
            }
        }
    }
    run_plan last = {name, "ternary", "failed-run",  number, widths[0], RECORDS,
                     0.1,  9,         widths[1] != 0};
    bn_run run = add_run(store, sweep.id, &last);
    begin(store, run.id, 1.79537e9 + 3000);
    append_all(store, run.id, &last, 60);
    end(store, run.id, BN_RUN_FAILED, "diverged at step 600", 1.79537e9 + 3030);
    last.number++;
    last.name = "running-run";
    last.rate = 2e-3;
    run = add_run(store, sweep.id, &last);
    begin(store, run.id, 1.79537e9 + 3100);
    append_all(store, run.id, &last, 140);
    last.number++;
    last.name = "waiting-run";
    (void)add_run(store, sweep.id, &last);
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
    check(bn_sweep_find(store, "lr", &sweep, &err), &err);
    check(bn_run_list(store, sweep.id, &runs, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        const bn_run run = runs[i];
        if (run.state != BN_RUN_RUNNING) continue;
        run_plan plan = {"lr", "ternary", run.name, run.number, 128, RECORDS, 2e-3, 9, false};
        append_part(store, run.id, &plan, (int)run.next_seq, (int)run.next_seq + 20);
    }
    free(runs);
}

static void make_nan(bn_store *store)
{
    bn_sweep sweep = add_sweep(store, "nan", 1, "");
    run_plan plan = {"nan", "fp16", "only-nan", 0, 64, 40, 1, 0, false};
    bn_run run = add_run(store, sweep.id, &plan);
    bn_error err = {0};
    begin(store, run.id, 1.79537e9);
    for (int i = 0; i < 40; i++) {
        bn_value values[] = {{"train/loss", (double)NAN}, {"val/loss", (double)NAN}};
        bn_record record = {i, i * 10, 1.79537e9 + i, values, 2};
        bn_history_batch batch = {run.id, &record, 1, i};
        check(bn_history_append(store, &batch, 1, &err), &err);
    }
    end(store, run.id, BN_RUN_FAILED, "diverged at step 0", 1.79537e9 + 50);
}

/* NOLINTNEXTLINE(misc-misleading-bidirectional): that is what it is for */
#define RIGHT_TO_LEFT "\xE2\x80\xAEright to left"

/* Names and words that would harm a careless page. */
static void make_hostile(bn_store *store, const char *home)
{
    static const char *const names[] = {"<img src=x onerror=alert(1)>",
                                        "</script><script>alert(2)",
                                        "\"'`${alert(3)}",
                                        "__proto__",
                                        "constructor",
                                        RIGHT_TO_LEFT,
                                        "\xFF\xFE not text",
                                        "=HYPERLINK(\"http://x\")"};
    bn_sweep sweep =
        add_sweep(store, "<b onclick=alert(4)>&amp;", 8, "</pre><script>alert(5)</script>");
    for (int i = 0; i < 8; i++) {
        run_plan plan = {"hostile", i % 2 ? "fp16" : "ternary", names[i], i, 64, 50, 1e-3, i / 2,
                         false};
        bn_run run = add_run(store, sweep.id, &plan);
        fill_folder(home, &run);
        begin(store, run.id, 1.79537e9 + i);
        append_all(store, run.id, &plan, 50);
        bn_error err = {0};
        static const char note[] = "<svg onload=alert(6)> a note";
        check(bn_note_add(store, run.id, note, &err), &err);
        bool well = i < 6;
        end(store, run.id, well ? BN_RUN_FINISHED : BN_RUN_FAILED,
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
        check(bn_history_append(store, &one, 1, &err), &err);
    }
}

static void make_big(bn_store *store, int runs, int metrics, int records)
{
    static const double rates[] = {3e-4, 1e-3, 3e-3, 1e-2};
    bn_sweep sweep = add_sweep(store, "big", runs, "");
    for (int i = 0; i < runs; i++) {
        char name[96];
        (void)snprintf(name, sizeof name, "%s-lr%d-s%d", i % 2 ? "fp16" : "ternary", i / 2 % 4,
                       i / 8);
        run_plan plan = {"big",   i % 2 ? "fp16" : "ternary", name,  i,    64,
                         records, rates[i / 2 % 4],           i / 8, false};
        bn_run run = add_run(store, sweep.id, &plan);
        begin(store, run.id, 1.79537e9 + i);
        append_big(store, run.id, i, metrics, records);
        end(store, run.id, BN_RUN_FINISHED, "", 1.79537e9 + i + 250);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    bn_store *store = NULL;
    bn_error err = {0};
    const char *kind = argv[1];
    check(bn_store_open(&store, argv[2], BN_STORE_WRITE, &err), &err);
    if (strcmp(kind, "one") == 0) {
        bn_sweep sweep = add_sweep(store, "one", 1, "name = \"one\"\n");
        run_plan plan = {"one", "ternary", "ternary-lr1e-3-s0", 0, 128, RECORDS, 1e-3, 0, false};
        make_run(store, argv[2], sweep.id, &plan);
    } else if (strcmp(kind, "nan") == 0) {
        make_nan(store);
    } else if (strcmp(kind, "hostile") == 0) {
        make_hostile(store, argv[2]);
    } else if (strcmp(kind, "demo") == 0) {
        make_demo(store, argv[2]);
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
