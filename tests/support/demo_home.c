#include "support/demo_home.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/history.h"

static const double LRS[DEMO_LRS] = {3e-4, 1e-3, 3e-3, 1e-2};

typedef struct demo_point {
    bool ternary;
    int lr, width, seed, number;
} demo_point;

/* fp16 is best at 1e-3 and ternary at 3e-3; wider is better; seeds shift both sides alike and the
 * odd ones ternary a little more. */
double demo_loss(bool ternary, int lr, int width, int seed)
{
    double off = ternary ? lr - 2 : lr - 1;
    double base = 2.0 + 0.5 / pow(2, width) + 0.04 * off * off;
    return base + 0.01 * seed + (ternary ? 0.07 + 0.002 * (seed % 2) : 0.0);
}

static bn_status add_run(bn_store *store, int64_t sweep, const demo_point *at, bn_run *run,
                         bn_error *err)
{
    const char *variant = at->ternary ? "ternary" : "fp16";
    bn_param params[4] = {{"optim.lr", "", true},
                          {"quant.variant", "", true},
                          {"model.width", "", true},
                          {"train.seed", "", false}};
    char config[256], name[64], dir[160];
    (void)snprintf(params[0].value, sizeof params[0].value, "%g", LRS[at->lr]);
    (void)snprintf(params[1].value, sizeof params[1].value, "\"%s\"", variant);
    (void)snprintf(params[2].value, sizeof params[2].value, "%d", 64 << at->width);
    (void)snprintf(params[3].value, sizeof params[3].value, "%d", at->seed);
    (void)snprintf(
        config, sizeof config,
        "{\"model.width\":%d,\"quant.variant\":\"%s\",\"optim.lr\":%g,\"train.seed\":%d}",
        64 << at->width, variant, LRS[at->lr], at->seed);
    (void)snprintf(name, sizeof name, "w%d-%s-lr%g-s%d", 64 << at->width, variant, LRS[at->lr],
                   at->seed);
    (void)snprintf(dir, sizeof dir, "demo/%d", at->number);
    bn_run_new fresh = {.sweep = sweep,
                        .number = at->number,
                        .name = name,
                        .config_json = config,
                        .params = params,
                        .param_count = 4,
                        .variant = variant,
                        .config_hash = "",
                        .dir = dir};
    return bn_run_add(store, &fresh, run, err);
}

static bn_status add_records(bn_store *store, int64_t run, const demo_plan *plan,
                             const demo_point *at, bn_error *err)
{
    enum { KNOWN = 6, EXTRA_MAX = 64 };
    static char names[EXTRA_MAX][16];
    bn_record *records = calloc((size_t)plan->records, sizeof *records);
    bn_value *values = calloc((size_t)plan->records * (KNOWN + EXTRA_MAX), sizeof *values);
    if (!records || !values) abort();
    double loss = demo_loss(at->ternary, at->lr, at->width, at->seed);
    for (int i = 0; i < plan->records; i++) {
        bn_value *row = values + (size_t)i * (KNOWN + EXTRA_MAX);
        row[0] = (bn_value){"val/loss", loss + 0.5 * (plan->records - 1 - i)};
        row[1] = (bn_value){"tokens_per_s", at->ternary ? 8000 : 10000};
        row[2] = (bn_value){"mem/engine_bytes", at->ternary ? 50e6 : 40e6};
        row[3] = (bn_value){"model/deployed_bytes", at->ternary ? 1e6 : 8e6};
        row[4] = (bn_value){"model/params", 1e5 * pow(4, at->width)};
        row[5] = (bn_value){"train/loss", i == 0 ? (double)NAN : loss};
        for (int m = 0; m < plan->metrics && m < EXTRA_MAX; m++) {
            (void)snprintf(names[m], sizeof names[m], "extra/%02d", m);
            row[KNOWN + m] = (bn_value){names[m], i + m};
        }
        records[i] = (bn_record){i, 10 * i, 1.7e9 + i, row, (size_t)(KNOWN + plan->metrics)};
    }
    bn_history_batch batch = {run, records, (size_t)plan->records, 100 * plan->records};
    bn_status status = bn_history_append(store, &batch, 1, err);
    free(values);
    free(records);
    return status;
}

static bn_status fill_run(bn_store *store, int64_t sweep, const demo_plan *plan,
                          const demo_point *at, bn_error *err)
{
    bn_run run;
    bn_run_change begin = {.from = BN_RUN_PENDING,
                           .to = BN_RUN_RUNNING,
                           .exit_code = -1,
                           .now_s = 1.7e9,
                           .begins_attempt = true,
                           .host = "demo",
                           .device = "cpu"};
    bn_run_change end = {.from = BN_RUN_RUNNING,
                         .to = BN_RUN_FINISHED,
                         .exit_code = 0,
                         .now_s = 1.7e9 + 65,
                         .ends_attempt = true};
    bn_status status = add_run(store, sweep, at, &run, err);
    if (status != BN_OK || plan->pending) return status;
    status = bn_run_move(store, run.id, &begin, err);
    if (status == BN_OK) status = add_records(store, run.id, plan, at, err);
    return status == BN_OK ? bn_run_move(store, run.id, &end, err) : status;
}

bn_status demo_home_fill(bn_store *store, const demo_plan *plan, bn_error *err)
{
    bn_sweep sweep = {.hash = "demo", .method = "grid", .metric = "val/loss"};
    bool found = false;
    (void)snprintf(sweep.name, sizeof sweep.name, "%s", plan->name);
    bn_status status = bn_sweep_add(store, &sweep, "# a demonstration\n", &found, err);
    int total = plan->widths * 2 * DEMO_LRS * plan->seeds;
    for (int i = 0; status == BN_OK && i < total; i++) {
        demo_point at = {.number = i, .seed = i % plan->seeds};
        int rest = i / plan->seeds;
        at.lr = rest % DEMO_LRS;
        at.ternary = rest / DEMO_LRS % 2 == 0;
        at.width = rest / DEMO_LRS / 2;
        status = fill_run(store, sweep.id, plan, &at, err);
    }
    return status;
}
