#include "runner/cli/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/cost.h"
#include "runner/cli/trash.h"
#include "runner/sweep_start.h"

enum { DONE_MAX = 1000, VOCAB_GUESS = 256 };

static const double OTHER_VARIANT = 2.0; /* as far as a model of e^2 times the parameters */
static const double DISTANT = 2.303;     /* ln 10 */

/* How large a training is: what its time and disk grow with. All 1 for another program. */
typedef struct extent {
    double params, tokens, flops;
    int variant;
} extent;

typedef struct done {
    char dir[512]; /* relative to the home */
    extent size;
    double run_s;
    int64_t disk_bytes; /* -1: not looked at yet; 0: gone */
    bool used;
} done;

struct bn_estimate {
    char home[BN_PATH_MAX];
    const bn_spec *spec;
    done *runs;
    size_t count;
    bn_estimate_sum sum;
};

static int64_t tokens_of(const bn_config *c)
{
    return c->train.steps * c->train.batch * c->train.accum * c->model.context;
}

/* False for a network that cannot be laid out. */
static bool measure(const bn_config *config, extent *out)
{
    bn_params params = {0};
    bn_error ignored = {0};
    bn_config sized = *config;
    if (sized.model.vocab == 0) sized.model.vocab = VOCAB_GUESS; /* the tokenizer will tell */
    if (bn_params_init(&params, &sized, &ignored) != BN_OK) return false;
    out->params = (double)params.total;
    out->tokens = (double)tokens_of(config);
    out->flops = bn_cost_of(&sized, &params).train_flops_per_token * out->tokens;
    out->variant = config->quant.variant;
    bn_params_release(&params);
    return out->params > 0 && out->flops > 0;
}

/* Whether a finished run can tell anything about this sweep's. */
static bool compares(const bn_spec *spec, const bn_run *run, const char *json, extent *out)
{
    bn_config config;
    bn_error ignored = {0};
    bool ours = strstr(json, "\"model.width\":") != NULL; /* every knob is in one of the engine's */
    if (!spec->builtin) {
        *out = (extent){1, 1, 1, 0};
        return !ours && strcmp(run->sweep_name, spec->name) == 0;
    }
    bn_config_init(&config);
    return ours && bn_start_config(json, &config, &ignored) == BN_OK && measure(&config, out);
}

static bn_status read_done(bn_estimate *e, bn_store *store, bn_error *err)
{
    bn_run *runs = NULL;
    size_t count = 0;
    bn_status status = bn_run_list(store, 0, &runs, &count, err);
    for (size_t i = count; status == BN_OK && i-- > 0 && e->count < DONE_MAX;) {
        char *json = NULL;
        done *next = &e->runs[e->count];
        if (runs[i].state != BN_RUN_FINISHED || !(runs[i].duration_s > 0)) continue;
        status = bn_run_config(store, runs[i].id, &json, err);
        if (status == BN_OK && compares(e->spec, &runs[i], json, &next->size)) {
            (void)snprintf(next->dir, sizeof next->dir, "%s", runs[i].dir);
            next->run_s = runs[i].duration_s;
            next->disk_bytes = -1;
            e->count++;
        }
        free(json);
    }
    free(runs);
    return status;
}

bn_status bn_estimate_open(bn_estimate **out, const char *home, const bn_spec *spec, bn_error *err)
{
    bn_store *store = NULL;
    bn_estimate *e = calloc(1, sizeof *e);
    *out = e;
    if (e) e->runs = calloc(DONE_MAX, sizeof *e->runs);
    if (!e || !e->runs) return bn_fail(err, BN_ENOMEM, "no memory for an estimate");
    e->spec = spec;
    if (bn_path_absolute(e->home, home, err) != BN_OK) return err->status;
    bn_status status = bn_store_open(&store, e->home, BN_STORE_READ, err);
    if (status == BN_OK) {
        status = read_done(e, store, err);
    } else if (status == BN_ENOENT) {
        status = (*err = (bn_error){0}).status;
    }
    bn_store_close(store);
    return status;
}

void bn_estimate_close(bn_estimate *e)
{
    if (!e) return;
    free(e->runs);
    free(e);
}

static double distance(const extent *a, const extent *b)
{
    return fabs(log(a->params / b->params)) + fabs(log(a->tokens / b->tokens)) +
           (a->variant == b->variant ? 0 : OTHER_VARIANT);
}

static double disk_of(const bn_estimate *e, done *run)
{
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    if (run->disk_bytes < 0 && (bn_path_join(path, e->home, run->dir, &ignored) != BN_OK ||
                                bn_trash_size(path, &run->disk_bytes, &ignored) != BN_OK)) {
        run->disk_bytes = 0;
    }
    return (double)run->disk_bytes;
}

/* Means over the nearest, all of them where several are as near. */
static void scale(bn_estimate *e, const extent *size, double *run_s, double *disk_bytes)
{
    double nearest = INFINITY, disk_runs = 0, runs = 0;
    *run_s = *disk_bytes = 0;
    for (size_t i = 0; i < e->count; i++) {
        nearest = fmin(nearest, distance(size, &e->runs[i].size));
    }
    e->sum.distant |= isfinite(nearest) && nearest > DISTANT;
    for (size_t i = 0; i < e->count; i++) {
        done *run = &e->runs[i];
        if (!(distance(size, &run->size) <= nearest + 1e-9)) continue;
        double disk = disk_of(e, run);
        if (!run->used) e->sum.from++;
        run->used = true;
        runs++;
        *run_s += run->run_s * size->flops / run->size.flops;
        if (disk > 0) disk_runs++;
        *disk_bytes += disk * size->params / run->size.params;
    }
    *run_s /= runs; /* NaN where there are none */
    *disk_bytes /= disk_runs;
}

void bn_estimate_add(bn_estimate *e, const bn_planned *run, int64_t times)
{
    double run_s, disk_bytes, n = (double)times;
    extent size = {1, 1, 1, 0};
    if (e->spec->builtin) e->sum.tokens += tokens_of(&run->config) * times;
    bool known = !e->spec->builtin || measure(&run->config, &size);
    scale(e, &size, &run_s, &disk_bytes);
    e->sum.run_s += known ? run_s * n : (double)NAN;
    e->sum.longest_s = fmax(e->sum.longest_s, run_s);
    e->sum.disk_bytes += known ? disk_bytes * n : (double)NAN;
}

bn_estimate_sum bn_estimate_total(const bn_estimate *e)
{
    bn_estimate_sum sum = e->sum;
    if (sum.from == 0) sum.run_s = sum.longest_s = sum.disk_bytes = (double)NAN;
    return sum;
}
