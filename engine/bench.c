#include "engine/bench.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "engine/cpu/cpu_backend.h"

enum { WARM_STEPS_BEHIND = 3, PRODUCTS_BEHIND = 20 };

/* Marks of the device's clock. */
enum { MARK_START, MARK_MIDDLE, MARK_END };

int bn_bench_warm_steps(const bn_bench *bench)
{
    return bench->profile.inner.ops->behind ? WARM_STEPS_BEHIND : 1;
}

bn_status bn_bench_open(bn_bench *bench, bn_backend be, const bn_config *config, bn_error *err)
{
    *bench = (bn_bench){.config = *config};
    bn_backend counted = bn_profile_around(&bench->profile, be);
    bench->profile.paused = be.ops->behind;
    bn_status status = bn_model_open(&bench->model, counted, &bench->config, err);
    if (status != BN_OK) goto done;
    status = bn_optimizer_open(&bench->optimizer, bench->model, &bench->config, err);
    if (status != BN_OK) goto done;
    bn_model_init(bench->model, 1);
    size_t count = (size_t)(config->train.batch * config->model.context) + 1;
    bench->tokens = malloc(count * sizeof *bench->tokens);
    if (!bench->tokens) {
        status = bn_fail(err, BN_ENOMEM, "no memory for %zu tokens", count);
        goto done;
    }
    uint64_t key = bn_rng_key(1, "bench", 0);
    for (size_t i = 0; i < count; i++) {
        bench->tokens[i] = (int32_t)bn_rng_below(key, i, (uint64_t)config->model.vocab);
    }
done:
    if (status != BN_OK) bn_bench_close(bench);
    return status;
}

void bn_bench_close(bn_bench *bench)
{
    free(bench->tokens);
    bn_optimizer_close(bench->optimizer);
    bn_model_close(bench->model);
    *bench = (bn_bench){0};
}

int64_t bn_bench_tokens_a_step(const bn_bench *bench)
{
    const bn_config *c = &bench->config;
    return c->train.batch * c->train.accum * c->model.context;
}

bn_status bn_bench_step(bn_bench *bench, double *step_s, bn_error *err)
{
    bn_backend be = bench->profile.inner;
    bn_optimizer_step step = {.lr = 1e-4, .wd = 0.1};
    int accum = (int)bench->config.train.accum;
    float scale = (float)(1 / (double)bn_bench_tokens_a_step(bench));
    bn_backend_mark(be, MARK_START);
    for (int micro = 0; micro < accum; micro++) {
        bn_model_train(bench->model, micro, bench->tokens, bench->tokens + 1, scale);
    }
    bn_optimizer_give(bench->optimizer, &step);
    bn_backend_mark(be, MARK_END);
    *step_s = bn_backend_seconds(be, MARK_START, MARK_END);
    if (!bench->profile.paused) bench->counted++;
    bn_optimizer_step told[BN_STEPS_MAX];
    int count = 0;
    return bn_optimizer_collect(bench->optimizer, told, &count, err);
}

void bn_bench_forget(bn_bench *bench)
{
    memset(bench->profile.seconds, 0, sizeof bench->profile.seconds);
    bench->counted = 0;
}

bn_status bn_bench_count(bn_bench *bench, int steps, bn_error *err)
{
    double ignored_s = 0;
    bn_status status = BN_OK;
    if (!bench->profile.paused) return BN_OK;
    bench->profile.paused = false;
    for (int i = -1; i < steps && status == BN_OK; i++) {
        status = bn_bench_step(bench, &ignored_s, err);
        if (i < 0) bn_bench_forget(bench); /* the first one makes the marks */
    }
    bench->profile.paused = true;
    return status;
}

double bn_bench_peak(bn_backend be, bn_dtype format)
{
    return strcmp(be.ops->name, "cpu") == 0 ? bn_cpu_peak(be, format) : 0;
}

/* Memory of one product. */
typedef struct product {
    bn_act x;
    bn_weight weight;
    bn_mat out, dx;
    float *dw, *stats;
} product;

static float *floats(bn_backend be, int rows, int cols)
{
    size_t count = (size_t)rows * (size_t)cols;
    float *host = malloc(count * sizeof *host);
    float *memory = bn_backend_alloc(be, count * sizeof *host);
    if (!host || !memory) {
        free(host);
        return memory;
    }
    uint64_t key = bn_rng_key(2, "product", count);
    for (size_t i = 0; i < count; i++) host[i] = (float)(bn_rng_uniform(key, i) - 0.5);
    bn_backend_write(be, memory, host, count * sizeof *host);
    free(host);
    return memory;
}

static bn_mat matrix(bn_backend be, int rows, int cols)
{
    return (bn_mat){.data = floats(be, rows, cols), .rows = rows, .cols = cols};
}

static product take(bn_backend be, const bn_bench_product *shape)
{
    product p = {.weight = {.rows = shape->outs, .cols = shape->ins, .format = shape->format}};
    p.weight.master = floats(be, shape->outs, shape->ins);
    p.weight.form =
        bn_backend_alloc(be, bn_weight_form_bytes(be, shape->outs, shape->ins, shape->format));
    p.x = (bn_act){.rows = shape->rows, .cols = shape->ins, .dtype = shape->act};
    p.x.data = bn_backend_alloc(be, (size_t)shape->rows * (size_t)shape->ins * sizeof(float));
    p.x.scale = bn_backend_alloc(be, (size_t)shape->rows * sizeof *p.x.scale);
    p.x.sum = bn_backend_alloc(be, (size_t)shape->rows * sizeof *p.x.sum);
    p.out = matrix(be, shape->rows, shape->outs);
    p.dx = matrix(be, shape->rows, shape->ins);
    p.dw = floats(be, shape->outs, shape->ins);
    p.stats = floats(be, shape->rows, BN_NORM_STATS);
    return p;
}

static void give_back(bn_backend be, const product *p)
{
    bn_backend_free(be, p->weight.master);
    bn_backend_free(be, p->weight.form);
    bn_backend_free(be, p->x.data);
    bn_backend_free(be, p->x.scale);
    bn_backend_free(be, p->x.sum);
    bn_backend_free(be, p->out.data);
    bn_backend_free(be, p->dx.data);
    bn_backend_free(be, p->dw);
    bn_backend_free(be, p->stats);
}

static double least(double a, double b)
{
    return a < 0 || b < a ? b : a;
}

bn_status bn_bench_linear(bn_bench_times *out, bn_backend be, const bn_bench_product *shape,
                          int repeats, bn_error *err)
{
    product p = take(be, shape);
    *out = (bn_bench_times){-1, -1};
    bn_status status = bn_backend_sync(be, err);
    if (status != BN_OK) goto done;
    bn_norm_args norm = {.x = p.dx, .out = p.x, .stats = p.stats};
    bn_norm_forward(be, &norm); /* no norm at all: it only fills x */
    bn_weight_prepare(be, &p.weight);
    const bn_linear_out forward = {.weight = &p.weight, .out = p.out};
    const bn_linear_grad backward = {.weight = &p.weight, .dy = p.out, .dw = p.dw};
    int each = be.ops->behind ? PRODUCTS_BEHIND : 1;
    for (int i = 0; i < repeats && status == BN_OK; i++) {
        bn_backend_mark(be, MARK_START);
        for (int n = 0; n < each; n++) bn_linear_forward(be, p.x, &forward, 1);
        bn_backend_mark(be, MARK_MIDDLE);
        for (int n = 0; n < each; n++) bn_linear_backward(be, p.dx, p.x, &backward, 1);
        bn_backend_mark(be, MARK_END);
        double forward_s = bn_backend_seconds(be, MARK_START, MARK_MIDDLE);
        double backward_s = bn_backend_seconds(be, MARK_MIDDLE, MARK_END);
        status = bn_backend_sync(be, err);
        out->forward_s = least(out->forward_s, forward_s / each);
        out->backward_s = least(out->backward_s, backward_s / each);
    }
done:
    give_back(be, &p);
    return status;
}
