#include "tests/support/page_lab.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/rng.h"
#include "engine/config.h"
#include "store/history.h"

void page_check(bn_status status, const bn_error *err)
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
    if (i % (run->records > 100 ? 20 : 1) == 0 || i == run->records - 1) {
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

void page_records_append(bn_store *store, int64_t id, const run_plan *run, int from, int records)
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
        page_check(bn_history_append(store, &one, 1, &err), &err);
    }
}

static void move(bn_store *store, int64_t id, const bn_run_change *change)
{
    bn_error err = {0};
    page_check(bn_run_move(store, id, change, &err), &err);
}

void page_run_begin(bn_store *store, int64_t id, double now_s)
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

void page_run_end(bn_store *store, int64_t id, bn_run_state state, const char *reason, double now_s)
{
    bn_run_change change = {.from = BN_RUN_RUNNING,
                            .to = state,
                            .reason = reason,
                            .exit_code = state == BN_RUN_FINISHED ? 0 : 1,
                            .now_s = now_s,
                            .ends_attempt = true};
    move(store, id, &change);
}

bn_sweep page_sweep_add(bn_store *store, const char *name, int64_t planned, const char *spec)
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
    page_check(bn_sweep_add(store, &sweep, spec, &found, &err), &err);
    return sweep;
}

bn_run page_run_add(bn_store *store, int64_t sweep, const run_plan *plan)
{
    bn_config config;
    bn_error err = {0};
    char text[40];
    bn_config_init(&config);
    (void)snprintf(text, sizeof text, "%.9g", plan->rate);
    page_check(bn_config_set(&config, "optim.lr", text, &err), &err);
    page_check(bn_config_set(&config, "quant.variant", plan->variant, &err), &err);
    bn_param params[3] = {{.name = "quant.variant", .varied = true},
                          {.name = "optim.lr", .varied = true},
                          {.name = "model.width", .varied = true}};
    (void)snprintf(params[0].value, sizeof params[0].value, "\"%s\"", plan->variant);
    (void)snprintf(params[1].value, sizeof params[1].value, "%s", text);
    (void)snprintf(text, sizeof text, "%d", plan->width);
    (void)snprintf(params[2].value, sizeof params[2].value, "%s", text);
    page_check(bn_config_set(&config, "model.width", text, &err), &err);
    (void)snprintf(text, sizeof text, "%d", plan->seed);
    page_check(bn_config_set(&config, "train.seed", text, &err), &err);
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
    page_check(bn_run_add(store, &fresh, &run, &err), &err);
    bn_text_release(&json_text);
    return run;
}

/* What a run's folder would hold. */
void page_folder_fill(const char *home, const bn_run *run)
{
    char dir[BN_PATH_MAX];
    char path[BN_PATH_MAX];
    bn_error err = {0};
    page_check(bn_path_join(dir, home, run->dir, &err), &err);
    page_check(bn_dir_make(dir, 0755, &err), &err);
    static const char events[] =
        "{\"type\":\"begin\",\"attempt\":1,\"pid\":4711,\"host\":\"forge-2\",\"device\":\"cpu\"}\n"
        "{\"type\":\"record\",\"seq\":0,\"step\":10,\"wall_s\":1,\"values\":{}}\n"
        "{\"type\":\"end\",\"how\":\"finished\",\"reason\":\"\"}\n";
    page_check(bn_path_join(path, dir, "events.jsonl", &err), &err);
    page_check(bn_file_write(path, events, sizeof events - 1, 0644, &err), &err);
    static const char log[] = "reading 1.1 MB of text\n3000 steps, 6.1 M tokens\n";
    page_check(bn_path_join(path, dir, "stderr.log", &err), &err);
    page_check(bn_file_write(path, log, sizeof log - 1, 0644, &err), &err);
}

void page_run_make(bn_store *store, const char *home, int64_t sweep, const run_plan *plan)
{
    bn_run run = page_run_add(store, sweep, plan);
    double start_s = 1.79537e9 + 40.0 * plan->number;
    page_folder_fill(home, &run);
    page_run_begin(store, run.id, start_s);
    page_records_append(store, run.id, plan, 0, plan->records);
    page_run_end(store, run.id, BN_RUN_FINISHED, "", start_s + 0.37 * plan->records);
}
